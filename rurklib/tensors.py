"""What every part builds on: samples as floats, random streams, and the modes of a model.

What belongs to the caller is left as found: samples, modes and the global random state.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b, sha256

import torch
from torch import Tensor, nn

Bounds = tuple[float, float] | None
Pair = tuple[Tensor, Tensor]  # samples [n, ...] and their labels int64 [n]


def of_one_kind(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both as they are; or as floats, where one is uint8 and the other isn't."""
    return (a, b) if a.dtype == b.dtype else (as_float(a), as_float(b))


def copies(x: Tensor, of: Tensor) -> Tensor:
    """Which samples of ``x`` stand in ``of`` too, byte for byte: bool [len(x)] on the CPU."""
    wanted = set(hashes(of))
    return torch.tensor([sample in wanted for sample in hashes(x)], dtype=torch.bool)


def hashes(x: Tensor) -> Iterator[bytes]:
    """A hash of each sample's bytes, 16 bytes long."""
    for row in x.detach().cpu().contiguous().numpy():
        yield blake2b(row.tobytes(), digest_size=16).digest()


def as_float(x: Tensor) -> Tensor:
    """Inputs as the model takes them: uint8 images become x / 255 in [0, 1], floats stay."""
    return x.to(torch.get_default_dtype()).div_(255) if x.dtype == torch.uint8 else x


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block on its own global random state (weight initialisation, dropout); restore it."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(mixed_seed(seed))
        yield


def mixed_seed(*seeds: int) -> int:
    """One 63-bit seed, well mixed, from several whole numbers, e.g. (seed, block, draw).

    A hash of the numbers as written, so (3,), (3, 0) and (0, 3) name three streams: sums of seeds
    collide, and NumPy's SeedSequence takes trailing zeros for nothing.
    """
    name = ",".join(map(str, seeds))
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big") >> 1


def generator(*seeds: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own for a stream named by whole numbers; the global one isn't touched."""
    return torch.Generator(device=device).manual_seed(mixed_seed(*seeds))


def finite(model: nn.Module) -> bool:
    """Whether every weight is a number: the argmax of NaNs is class 0, which may even be right."""
    return all(bool(p.isfinite().all()) for p in model.state_dict().values())


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Put models in eval mode inside the block; give every submodule its own mode back after.

    A blanket ``model.train()`` afterwards would unfreeze layers that the user had put in eval
    mode, so each module's flag is remembered on its own.
    """
    modes = [(module, module.training) for model in models for module in model.modules()]
    try:
        for model in models:
            model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


# Numbers in the inputs of a batch: 256 images of CIFAR-10, 5 of 224 pixels. What a net makes of
# them grows alike, and ResNet-50 would take ten gigabytes for 1,000 of the latter.
MOST = 256 * 3 * 32 * 32


def logits(model: nn.Module, x: Tensor) -> Tensor:
    """Logits [n, classes] in eval mode, without gradients; the model is left as found.

    x [n, ...] uint8 or float, on the model's device.
    """
    size = min(1000, max(1, MOST // x.shape[1:].numel()))
    with evaluating(model), torch.inference_mode():
        return torch.cat([model(as_float(xb)) for xb in x.split(size)])


def logit_margin(logits: Tensor, y: Tensor) -> Tensor:
    """Logit of y minus the log-sum-exp of the other logits, i.e. the log-odds of y, in float64.

    Not squashed at probability 1, where log-softmax rounds to 0. Shapes: logits [..., n, classes],
    y [n] -> [..., n].
    """
    z = logits.double()
    at_y = y.expand(z.shape[:-1])[..., None]
    others = z.scatter(-1, at_y, -torch.inf).logsumexp(-1)
    return z.gather(-1, at_y)[..., 0] - others
