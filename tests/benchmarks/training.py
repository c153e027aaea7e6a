"""Images a second in training: the loop here, the field's DataLoader loop, and what the net allows.

    python tests/benchmarks/training.py                          # a small CNN, on the CPU
    python tests/benchmarks/training.py --model resnet18 --images 50000   # where there is a GPU

All rows in one process, on the same net, batches and machine, shuffled and augmented (shifted by up
to 4 pixels, mirrored). Rows, each the median of ``--repeats`` passes after one that isn't counted:

- "DataLoader": PIL images through torchvision's RandomCrop(32, padding=4), RandomHorizontalFlip,
  ToTensor, four worker processes, float32; SGD with momentum. As in the code of the field, but
  without its ``loss.item()`` at every step.
- "DataLoader, kept": the same with workers that outlive an epoch, so that none are started in the
  time that is counted (kinder to it than the field's code).
- "rurklib": :func:`rurklib.train.fit`, in float32 on a CPU; there also with images in the layout
  channels-last, and with "bfloat16", which processors with avx512_bf16 are fast at.
- "forward and backward": one batch that lies there already, again and again, without an optimizer:
  the limit. ``share_of_limit`` is measured against it.

    python tests/benchmarks/training.py --stacked 6

times K small nets as one batched program (``torch.func``: parameters stacked, one ``vmap``) against
the same K one after another. It is what would make many references cheaper, where it pays.

    python tests/benchmarks/training.py --folder imagenette --size 96 --model resnet18-imagenet

reads a folder of images, trains one real epoch, and says the rates of both, what the net then
knows, and the process's peak memory. ``RURK_CACHE`` to an empty folder: images are decoded anew.
"""

import argparse
import copy
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import metrics, models
from rurklib.rng import generator
from rurklib.study import files
from rurklib.study.environment import surroundings
from rurklib.study.sources.image_folder import image_folder
from rurklib.train.fit import fit
from rurklib.train.precision import processor_has_bfloat16

LR, MOMENTUM, DECAY = 0.01, 0.9, 5e-4


def images(n: int, size: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    """Random bytes: how fast a net learns them doesn't depend on what they show."""
    rng = generator(0)
    x = torch.randint(256, (n, channels, size, size), generator=rng, dtype=torch.uint8)
    return x, torch.randint(10, (n,), generator=rng)


class Images(torch.utils.data.Dataset):
    """As torchvision's CIFAR10 serves them: an array, made a PIL image one at a time."""

    def __init__(self, x: Tensor, y: Tensor, transform: Callable) -> None:
        self.x, self.y = x.permute(0, 2, 3, 1).contiguous().numpy(), y.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.x[index])), self.y[index]


def dataloader(net: nn.Module, x: Tensor, y: Tensor, size: int, kept: bool) -> Callable[[], None]:
    """One epoch of the field's loop."""
    from torchvision import transforms

    steps = [
        transforms.RandomCrop(x.shape[-1], padding=x.shape[-1] // 8),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
    ]
    data = Images(x, y, transforms.Compose(steps))
    device = next(net.parameters()).device
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises fewer workers where there are fewer cores
        loader = torch.utils.data.DataLoader(
            data,
            batch_size=size,
            shuffle=True,
            num_workers=4,
            pin_memory=device.type == "cuda",
            persistent_workers=kept,
        )
    optimizer = torch.optim.SGD(net.parameters(), LR, MOMENTUM, weight_decay=DECAY)

    def epoch() -> None:
        net.train()
        for xb, yb in loader:
            optimizer.zero_grad()
            out = net(xb.to(device, non_blocking=True))
            F.cross_entropy(out, yb.to(device, non_blocking=True)).backward()
            optimizer.step()

    return epoch


def limit(net: nn.Module, x: Tensor, y: Tensor, size: int, precision: str) -> Callable[[], None]:
    """As many forward and backward passes as an epoch has, of a batch that lies there already."""
    device = next(net.parameters()).device
    xb, yb = x[:size].to(device).float() / 255, y[:size].to(device)
    half = precision == "bfloat16"
    if half:
        net, xb = (
            net.to(memory_format=torch.channels_last),
            xb.to(memory_format=torch.channels_last),
        )

    def epoch() -> None:
        net.train()
        for _ in range(-(-len(x) // size)):
            net.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                loss = F.cross_entropy(net(xb), yb)
            loss.backward()

    return epoch


def rate(n: int, epoch: Callable[[], None], repeats: int, device: torch.device) -> list[float]:
    """Images a second in each of ``repeats`` passes."""
    rates = []
    for _ in range(repeats + 1):
        if device.type == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        epoch()
        if device.type == "cuda":
            torch.cuda.synchronize()
        rates.append(n / (time.perf_counter() - began))
    return rates[1:]


def compared(model: str, n: int, size: int, batch: int, repeats: int) -> pd.DataFrame:
    """A row for each way of training ``model`` for an epoch."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = "bfloat16" if device.type == "cuda" else "float32"
    half = device.type == "cpu" and processor_has_bfloat16()  # elsewhere it takes minutes
    x, y = images(n, size)

    def net() -> nn.Module:
        return models.build(model, 3, 10, seed=0).to(device)

    ours, on_device = net(), (x.to(device), y.to(device))
    settings = {"lr": LR, "momentum": MOMENTUM, "weight_decay": DECAY, "batch_size": batch}

    def epoch(precision: str = precision, last: bool | None = None) -> None:
        how = {"precision": precision, "channels_last": last, **settings}
        fit(ours, *on_device, seed=0, epochs=1, augment="flip-crop", **how)

    ways = {
        "DataLoader": dataloader(net(), x, y, batch, kept=False),
        "DataLoader, kept": dataloader(net(), x, y, batch, kept=True),
        "rurklib": epoch,
        **({"rurklib, channels-last": lambda: epoch(last=True)} if device.type == "cpu" else {}),
        **({"rurklib, bfloat16": lambda: epoch("bfloat16")} if half else {}),
        "forward and backward": limit(net(), x, y, batch, precision),
    }
    rates = {name: rate(n, way, repeats, device) for name, way in ways.items()}
    middle = {name: statistics.median(r) for name, r in rates.items()}
    rows = [
        {
            "model": model,
            "way": name,
            "images_per_second": middle[name],
            "lowest": min(r),
            "highest": max(r),
            "times_dataloader": middle[name] / middle["DataLoader"],
            "share_of_limit": middle[name] / middle["forward and backward"],
        }
        for name, r in rates.items()
    ]
    return pd.DataFrame(rows)


def stacked_epoch(nets: list[nn.Module], x: Tensor, y: Tensor, size: int) -> Callable[[], None]:
    """One epoch of K nets as one program, each on an order of its own; plain SGD with momentum."""
    from torch.func import functional_call, grad_and_value, stack_module_state, vmap

    weights, buffers = stack_module_state(nets)
    weights = {k: w.detach() for k, w in weights.items()}
    pace = {k: torch.zeros_like(w) for k, w in weights.items()}
    shell = copy.deepcopy(nets[0]).train()

    def loss(w: dict, b: dict, xb: Tensor, yb: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(shell, (w, b), (xb,)), yb)

    step = vmap(grad_and_value(loss))

    def epoch() -> None:
        orders = torch.stack(
            [torch.randperm(len(x), generator=generator(k)) for k in range(len(nets))]
        )
        for index in orders.tensor_split(-(-len(x) // size), dim=1):
            gradients, _ = step(weights, buffers, x[index].float() / 255, y[index])
            for k, g in gradients.items():
                pace[k].mul_(MOMENTUM).add_(g.add(weights[k], alpha=DECAY))
                weights[k].sub_(pace[k], alpha=LR)

    return epoch


def many(model: str, k: int, n: int, size: int, batch: int, repeats: int) -> pd.DataFrame:
    """K nets: one after another by the loop here, and stacked."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    x, y = (t.to(device) for t in images(n, size, channels=1 if size == 8 else 3))
    channels = x.shape[1]
    nets = [models.build(model, channels, 10, seed=s).to(device) for s in range(k)]

    def one_by_one() -> None:
        for seed, net in enumerate(nets):
            fit(net, x, y, seed=seed, epochs=1, lr=LR, batch_size=batch)

    ways = {
        "one after another": one_by_one,
        "stacked": stacked_epoch(copy.deepcopy(nets), x, y, batch),
    }
    rows = []
    for name, way in ways.items():
        r = rate(k * n, way, repeats, device)
        rows.append(
            {
                "model": model,
                "nets": k,
                "way": name,
                "images_per_second": statistics.median(r),
                "lowest": min(r),
                "highest": max(r),
            }
        )
    return pd.DataFrame(rows)


def folder(path: Path, model: str, size: int, batch: int, precision: str) -> pd.DataFrame:
    """One real epoch on a folder of images."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    began = time.perf_counter()
    data = image_folder(path, size)
    reading = time.perf_counter() - began
    n = len(data.train[1]) + len(data.test[1])
    data = data.to(device)
    net = models.build(model, 3, len(data.classes), seed=0).to(device)
    settings = {"lr": 0.05, "batch_size": batch, "augment": "flip-crop", "precision": precision}
    began = time.perf_counter()
    fit(net, *data.train, seed=0, epochs=1, **settings)
    training = time.perf_counter() - began
    row = {
        "model": model,
        "precision": precision,
        "read_per_second": n / reading,
        "trained": len(data.train[1]),
        "seconds": training,
        "images_per_second": len(data.train[1]) / training,
        "test_accuracy": metrics.accuracy(net, *data.test),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    return pd.DataFrame([row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="small-cnn-32")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--size", type=int, default=32, help="of an image, in pixels")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--stacked", type=int, default=0, metavar="K", help="time K nets at once")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0: as torch chooses")
    parser.add_argument("--folder", type=Path, default=None, help="train one epoch on its images")
    parser.add_argument("--precision", default="auto", help="with --folder")
    parser.add_argument("--table", type=Path, default=None, help="where the CSV is written")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    shape = (given.images, given.size, given.batch_size, given.repeats)
    if given.folder:
        table = folder(given.folder, given.model, given.size, given.batch_size, given.precision)
    elif given.stacked:
        table = many(given.model, given.stacked, *shape)
    else:
        table = compared(given.model, *shape)
    machine = surroundings(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    print(
        f"{machine['device']}, {machine['processor']}, {torch.get_num_threads()} threads of torch"
    )
    print(table.round(2).to_string(index=False))
    if given.table:
        files.write_frame(given.table, table.round(3))


if __name__ == "__main__":
    main()
