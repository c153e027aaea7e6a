"""Peak host memory of a folder too large for memory, at several sizes, and of cifar10.

    python tests/benchmarks/memory.py
    python tests/benchmarks/memory.py --cifar10 cifar10.npz

For each number of images a decoded cache is made up: a sparse ``.npy`` file of zeros, in which a
few bytes of each image are its number, so that 130,000 images of 224 px take 0.5 GB of disk instead
of 20 (deleting it takes minutes where the file system discards blocks one by one). A process of its
own then does what a study does with it: open, hash, split, write and read the certificate, check
that retain and forget share nothing, train for some steps on the retain set. For cifar10 it is an
epoch with a small net on 48,000 samples. The peak is VmHWM (Linux): ru_maxrss counts the parent
too.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FORGET = 650  # at every size; half of a class of ImageNet


def made_up(file: Path, n: int, size: int) -> None:
    """A sparse file of ``n`` images, no two of them equal."""
    shape, middle = (n, 3, size, size), 3 * size * size // 2
    with open(file, "wb") as out:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)
        start, each = out.tell(), 3 * size * size
        for i in range(n):
            out.seek(start + i * each + middle)
            out.write(i.to_bytes(8, "little"))
        out.truncate(start + n * each)


def peak() -> float:
    """MiB that this process held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(w.split()[1]) for w in lines if w.startswith("VmHWM")) / 1024


def opened(file: Path, steps: int, batch_size: int) -> None:
    """In the process that is measured: a study's way through a stored side."""
    import torch
    from torch import nn

    from rurklib import checks, samples
    from rurklib.data.dataset import Dataset, Split
    from rurklib.data.requests import forget_part_of_a_class
    from rurklib.study.sources.rows import Rows, in_memory_if_small
    from rurklib.train.fit import fit

    began, before = time.perf_counter(), peak()
    x = in_memory_if_small(Rows(file))
    y = 1 + torch.arange(len(x)) % 99
    y[: 2 * FORGET] = 0
    test = samples.take(x, torch.arange(1000))
    data = Dataset("made up", (x, y), (test, y[:1000]), tuple(map(str, range(100))), "made up")
    split = forget_part_of_a_class(data, forget_class=0)
    split = Split.from_certificate(json.loads(json.dumps(split.certificate())), data)
    retain, forget = (split.pair(data, part) for part in ("retain", "forget"))
    checks.disjoint(retain[0], forget[0])
    split_at = time.perf_counter()
    some = slice(0, steps * batch_size)
    kept = samples.take(retain[0], some), retain[1][some]
    net = nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.LazyLinear(100))
    net(samples.as_float(x[:2]))
    fit(net, *kept, seed=0, epochs=1, lr=0.01, batch_size=batch_size)
    seconds = time.perf_counter() - split_at
    rate = len(kept[0]) / seconds
    print(
        f"| {len(x):>9,} | {x.nbytes / 2**30:6.1f} | {type(x).__name__:6} | {before:6.0f} | "
        f"{peak():6.0f} | {split_at - began:7.1f} | {rate:8.0f} |"
    )


def cifar10(file: Path) -> None:
    """In the process that is measured: open, split and train for an epoch."""
    from torch import nn

    from rurklib import checks
    from rurklib.data.requests import forget_part_of_a_class
    from rurklib.study.sources.cifar_fashion import cifar10
    from rurklib.train.fit import fit

    before = peak()
    data = cifar10(file)
    split = forget_part_of_a_class(data, forget_class=0, forget_share=0.4)
    read = peak()
    retain, forget = (split.pair(data, part) for part in ("retain", "forget"))
    checks.disjoint(retain[0], forget[0])
    net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 128), nn.ReLU(), nn.Linear(128, 10))
    fit(net, *retain, seed=0, epochs=1, lr=0.01)
    print(f"cifar10: {before:.0f} MiB imported, {read:.0f} opened and split, {peak():.0f} at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[13_000, 130_000])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--cifar10", type=Path, help="a .npz of CIFAR-10: measure that instead")
    parser.add_argument("--within", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.within:
        if asked.cifar10:
            cifar10(asked.within)
        else:
            opened(asked.within, asked.steps, asked.batch_size)
        return
    again = [sys.executable, __file__, *sys.argv[1:], "--within"]
    if asked.cifar10:
        subprocess.run([*again, str(asked.cifar10)], check=True)
        return
    print(
        "|    images |    GiB | held   | before |   peak | split,s | images/s |  (MiB)", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        for n in asked.images:
            file = Path(folder) / f"{n}.npy"
            made_up(file, n, asked.size)
            subprocess.run([*again, str(file)], check=True)
            file.unlink()


if __name__ == "__main__":
    main()
