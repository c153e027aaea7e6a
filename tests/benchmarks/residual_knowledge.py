"""How fast residual knowledge is measured, beside the loop that one writes with torchattacks.

    python tests/benchmarks/residual_knowledge.py            # some minutes on one core
    python tests/benchmarks/residual_knowledge.py --quick    # about a minute, rougher
    python tests/benchmarks/residual_knowledge.py --plain    # one model, without the loop
    python tests/benchmarks/residual_knowledge.py --plain --beside FOLDER   # and an older checkout
    python tests/benchmarks/residual_knowledge.py --memory   # peak memory of 20,000 x 100 x 11
    python tests/benchmarks/residual_knowledge.py --data --run runs/cifar10-cpu   # a run's own nets

The loop takes one pair of models at a time, one draw at a time, batches of 128, and torchattacks'
GN or PGD (targeted at the label). All sides are timed turn by turn, on one thread each, in CPU
seconds (other work on the machine counts little then); of several turns the fastest counts. A full
run of 100 draws takes hours on the loop's side, so few draws are timed and scaled up; ours is
scaled up too, fixed costs and all, which flatters the loop. Ours is timed in a process of its own,
and so is the package of the older checkout, on the same nets.

"Plain passes" are the bare forward passes that a measurement under noise cannot avoid:
``net(copies)`` in float32, 256 copies at a time, none made and nothing counted. The columns have
the loop's time and theirs over ours, so above 1 ours is faster, and how many copies plain passes
show to nets in a second. "bfloat16" is ours with hits found in it, where the processor has it. M is
how many models are measured: twelve methods, or one, which is what an auditor has and where less
can be saved. Before a row is timed, our hits in either precision are compared with those of the
models themselves on the same copies.

Nets are trained here for a few epochs, on scikit-learn's digits (44 forgotten images of 8x8) and
on made-up images of CIFAR's size (100 of 3x32x32): ``cifar5-sized`` is the small CNN that small
CIFAR-5 has, ``cifar10-cpu`` that scenario's net, ``strided`` three strided convolutions. Nets that
know little leave many copies in doubt, which bfloat16 has to ask again: ``--run`` takes a finished
run's (twelve that aren't its first six re-trained ones, and a hundred forget samples).
"""

import argparse
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchattacks
from torch import Tensor, nn

import rurklib
from rurklib.data import digits
from rurklib.models import build
from rurklib.residual.counts import Measurement, count
from rurklib.study.models import load_model
from rurklib.study.run import ModelId, open_existing
from rurklib.tensors import evaluating, generator
from rurklib.train import fit, resolved

METHODS, DRAWS = 12, 100
BATCH = 256  # copies in a plain pass
TAUS = {
    "digits": [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2],
    "cifar5-sized": [0.0, 0.003, 0.006, 0.009, 0.012, 0.015, 0.018, 0.021, 0.024, 0.027, 0.03],
}
TAUS["cifar10-cpu"] = TAUS["strided"] = TAUS["cifar5-sized"]
Nets = Mapping[str, nn.Module]
OURS = """
import sys, time, torch, rurklib
torch.set_num_threads(1)
for path in sys.stdin:
    arguments, options = torch.load(path.strip(), weights_only=False)
    began = time.process_time()
    rurklib.residual_knowledge(*arguments, **options)
    print(time.process_time() - began, flush=True)
"""


def made_up(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise with a faint template of one of five classes: [n, 3, 32, 32] in [0, 1] and labels.

    Faint enough that nets that have seen an image know it and others often don't.
    """
    class_gen, gen = (torch.Generator().manual_seed(s) for s in (0, seed))
    coarse = torch.randn(5, 3, 4, 4, generator=class_gen)
    templates = nn.functional.interpolate(coarse, size=32, mode="bilinear")
    y = torch.randint(0, 5, (n,), generator=gen)
    noise = torch.randn(n, 3, 32, 32, generator=gen)
    return (0.5 + 0.015 * templates[y] + 0.2 * noise).clamp(0, 1), y


def of_run(folder: Path) -> tuple[Nets, Nets, Tensor, Tensor]:
    """The same of a finished run."""
    run = open_existing(folder)
    references = run.names("Re-train")[:6]
    there = [ModelId.parse(path.stem) for path in sorted(run.folder.glob("models/*.safetensors"))]
    models = [name for name in there if name not in references][:METHODS]
    assert len(models) == METHODS, f"{folder} has {len(models)} more models, expected {METHODS}"
    TAUS["its nets"] = list(run.scenario.taus[:11])
    x, y = run.pair("forget")
    nets = [{str(n): load_model(run, n) for n in names} for names in (models, references)]
    return *nets, rurklib.checks.as_float(x[:100]), y[:100]


def strided(seed: int) -> nn.Module:
    """Three strided 3x3 convolutions of 24, 48 and 96 channels, for five classes of 3x32x32."""
    torch.manual_seed(seed)
    convolutions = [
        nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in ((3, 24), (24, 48), (48, 96))
    ]
    layers = [layer for conv in convolutions for layer in (conv, nn.ReLU())]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(96 * 16, 5))


def prepare(data: str, methods: int) -> tuple[Nets, Nets, Tensor, Tensor]:
    """Models that saw the forget samples, six references that didn't, and the samples."""
    if data == "digits":
        x, y = digits().train
        x = rurklib.checks.as_float(x)
        forget = (y == 9).nonzero()[:, 0][:44]
        name, channels, classes, epochs = "small-cnn", 1, 10, 30
    else:
        x, y = made_up(1000, 1)
        forget = (y == 0).nonzero()[:, 0][:100]
        name = "small-cnn-32" if data == "cifar5-sized" else "fast-cnn"
        channels, classes, epochs = 3, 5, 6
    kept = torch.ones(len(x), dtype=torch.bool)
    kept[forget] = False

    def net(seed: int, xs: Tensor, ys: Tensor) -> nn.Module:
        made = strided(seed) if data == "strided" else build(name, channels, classes, seed=seed)
        options = {"epochs": epochs, "lr": 0.05, "batch_size": 64, "weight_decay": 2e-3}
        return fit(made, xs, ys, seed=seed, **options)

    models = {f"m{i}": net(i, x, y) for i in range(methods)}
    references = {f"a{i}": net(100 + i, x[kept], y[kept]) for i in range(6)}
    return models, references, x[forget], y[forget]


def loop(models: Nets, references: Nets, x: Tensor, y: Tensor, taus, law: str, draws: int) -> int:
    """The user's loop; returns hits so that nothing is skipped."""
    total = 0
    for m in models.values():
        for a in references.values():
            for tau in taus:
                if law == "gaussian":
                    attack = torchattacks.GN(m, std=tau)
                else:
                    attack = torchattacks.PGD(m, eps=tau, alpha=tau / 4, steps=10)
                    attack.set_mode_targeted_by_label(quiet=True)
                for _ in range(draws):
                    for xb, yb in zip(x.split(128), y.split(128), strict=True):
                        copies = attack(xb, yb)
                        with torch.no_grad():
                            total += int((m(copies).argmax(1) == yb).sum())
                            total += int((a(copies).argmax(1) == yb).sum())
    return total


def timed(side: Callable[[], object]) -> float:
    """CPU seconds that it takes in this process."""
    began = time.process_time()
    side()
    return time.process_time() - began


class Package:
    """The package of a checkout, in a process of its own."""

    def __init__(self, checkout: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OURS],
            env=os.environ | {"PYTHONPATH": str(checkout.resolve())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, *arguments: object, **options: object) -> float:
        """CPU seconds that ``residual_knowledge`` takes there."""
        with tempfile.NamedTemporaryFile(suffix=".pt") as file:
            torch.save((arguments, options), file)
            file.flush()
            print(file.name, file=self.process.stdin, flush=True)
            return float(self.process.stdout.readline())


def passes(models: Nets, x: Tensor, copies: int) -> float:
    """CPU seconds of plain forward passes of every model over some copies."""
    batch = x.repeat(-(-BATCH // len(x)), *[1] * (x.ndim - 1))[:BATCH]

    def run() -> None:
        with torch.inference_mode():
            for _ in range(copies // BATCH):
                for model in models.values():
                    model(batch)

    return timed(run) * copies / (copies // BATCH * BATCH)


def same_hits(models: Nets, x: Tensor, y: Tensor, tau: float) -> None:
    """Raise AssertionError unless hits are those of the models themselves, in both precisions."""
    own = torch.zeros(len(models), len(x), dtype=torch.int64)
    for draw in range(3):
        copies = rurklib.gaussian(x, tau, generator=generator(0, 0, draw))
        with torch.no_grad():
            own += torch.stack([net(copies).argmax(1) == y for net in models.values()])
    for precision in ("float32", "bfloat16"):
        asked = Measurement(taus=[tau], draws=3, precision=precision)
        hits = [counted[0] for counted in count(models, x, y, asked).hits.values()]
        assert (np.stack(hits) == own.numpy()).all(), precision


def measure(
    data: str,
    law: str,
    made: tuple,
    methods: int,
    k: int,
    packages: Mapping[str, Package],
    options: argparse.Namespace,
) -> None:
    """Some rows of the table: one for each package."""
    models, references, x, y = made
    models = dict(list(models.items())[:methods])
    references = dict(list(references.items())[:k])
    everyone, taus = {**models, **references}, TAUS[data]
    draws = options.draws or (DRAWS if data == "digits" else 20)
    # A pair costs the same whatever the pair, a radius whatever the radius: some stand for all.
    pairs, radii = models, taus
    if law == "pgd":
        pairs, radii, draws = dict(list(models.items())[:2]), taus[5:6], max(1, draws // 5)
    copies = len(x) * (1 + (len(taus) - 1) * draws)
    scale = DRAWS * len(taus) / len(radii)
    how = {"taus": radii, "perturbation": law, "draws": draws}
    sides: dict[object, Callable[[], float]] = {}
    for code, package in packages.items():
        ours = partial(package.seconds, models, references, x, y, **how)
        sides[code, "float32"] = ours
        if law == "gaussian" and resolved("auto", x.device) == "bfloat16":
            sides[code, "bfloat16"] = partial(ours, precision="bfloat16")
    if not options.plain:
        sides["loop"] = lambda: timed(lambda: loop(pairs, references, x, y, radii, law, 1))
    if law == "gaussian":
        sides["plain"] = partial(passes, everyone, x, copies)
    best = {}
    with evaluating(*everyone.values()):
        if law == "gaussian":
            same_hits(everyone, x, y, taus[5])
        for _ in range(options.turns):
            best = {name: min(side(), best.get(name, math.inf)) for name, side in sides.items()}
    slow = best.get("loop", math.nan) * draws * len(models) / len(pairs)
    plain = best.get("plain", math.nan)
    for code in packages:
        row = f"{data:13} {law:9} {methods:2} {k:2} {code:6}"
        for precision in ("float32", "bfloat16"):
            ours = best.get((code, precision), math.nan)
            row += f" {ours * scale / draws:9.1f} s {slow / ours:6.1f}x {plain / ours:6.2f}x"
        print(row.replace("nanx", "  - ").replace("nan s", "  -  "), end="")
        print(f" {copies * len(everyone) / plain:9.0f}" if law == "gaussian" else "", flush=True)


def memory(draws: int) -> None:
    """Peak memory (Linux): 20,000 images of 3x32x32 and 13 models of ``cifar10-cpu``'s net; --draws
    for fewer than a hundred. An hour of one core for every five draws."""
    x, y = made_up(20_000, 1)
    nets = [build("fast-cnn", 3, 5, seed=i) for i in range(13)]
    with open("/proc/self/statm") as file:  # held now; the peak may be older than the measurement
        before = int(file.read().split()[1]) * resource.getpagesize() / 1024
    began = time.process_time()
    how = {"taus": TAUS["cifar10-cpu"], "draws": draws, "precision": "auto"}
    rurklib.residual_knowledge(nets[0], nets[1:], x, y, **how)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"20,000 images x {draws} draws x 11 radii, 13 models: peak {after / 1024:.0f} MiB, at "
        f"most {(after - before) / 1024:.0f} MiB above what models, images and torch held before, "
        f"{time.process_time() - began:.0f} CPU s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--draws", type=int, default=0, help="draws that ours is timed or weighed with"
    )
    parser.add_argument("--turns", type=int, default=3, help="turns; the fastest counts")
    parser.add_argument("--quick", action="store_true", help="one turn, digits and noise alone")
    parser.add_argument("--plain", action="store_true", help="one model and noise, no loop")
    parser.add_argument("--beside", type=Path, help="an older checkout of this repository")
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead")
    parser.add_argument("--data", nargs="*", default=list(TAUS), choices=list(TAUS))
    parser.add_argument("--run", type=Path, help="besides, the nets of this finished run")
    parser.add_argument(
        "--laws", nargs="*", default=["gaussian", "pgd"], choices=["gaussian", "pgd"]
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        return memory(options.draws or DRAWS)
    if options.quick:
        options.turns, options.data, options.laws = 1, ["digits"], ["gaussian"]
    if options.plain:
        options.data, options.laws = ["digits", "strided"], ["gaussian"]
    packages = {"this": Package(Path(__file__).parents[2])}
    if options.beside:
        packages["older"] = Package(options.beside)
    print(f"{processor()}, one thread, torch {torch.__version__}")
    print(
        f"11 radii, {DRAWS} draws; CPU seconds. The loop: scaled up from 1 draw,"
        " and under pgd from 2 methods and 1 radius. Ours: from 100 draws (digits) or 20, a fifth"
        " of them and 1 radius under pgd."
    )
    head = "       ours    loop   plain"
    print(f"data          law        M  K code  {head}    bfloat16    loop   plain  a second")
    methods = 1 if options.plain else METHODS
    sets = [(data, partial(prepare, data, methods)) for data in options.data]
    for data, make in [*sets, *[("its nets", partial(of_run, options.run))] * bool(options.run)]:
        made = make()
        for law in options.laws:
            for m in dict.fromkeys((methods, 1)):
                for k in (1, 6):
                    measure(data, law, made, m, k, packages, options)


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line for line in file if "model name" in line).split(":")[1].strip()
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
