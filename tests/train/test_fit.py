"""Fit: what its arguments mean, and that without them nothing is as much as a bit different."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rurklib import train
from rurklib.tensors import generator, seeded
from rurklib.train import fit


def net(seed: int = 0, dropout: float = 0.3) -> nn.Module:
    """BatchNorm and dropout: everything that has a state of its own."""
    with seeded(seed):
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Dropout(dropout), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3),
        )  # fmt: skip


def data(n: int = 37) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randint(0, 256, (n, 1, 8, 8), generator=torch.Generator().manual_seed(3))
    return x.to(torch.uint8), torch.arange(n) % 3


def plain(model, x, y, *, seed, epochs, batch_size, label_smoothing=0.0, **sgd):
    """The loop as it was, in full."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), **sgd)
    steps = epochs * math.ceil(len(x) / batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = generator(seed, 10)
    with seeded(seed):
        for _ in range(epochs):
            for index in torch.randperm(len(x), generator=order).tensor_split(
                math.ceil(len(x) / batch_size)
            ):
                xb = x[index].float().div_(255) if x.dtype == torch.uint8 else x[index]
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(model(xb), y[index], label_smoothing=label_smoothing).backward()
                optimizer.step()
                schedule.step()
    return model.eval()


OPTIONS = {
    "seed": 4, "epochs": 5, "lr": 0.1, "batch_size": 8, "momentum": 0.9, "weight_decay": 5e-4,
}  # fmt: skip


def same(a: nn.Module, b: nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize("more", [{}, {"nesterov": True}, {"label_smoothing": 0.2}])
def test_every_bit_is_that_of_the_plain_loop(more, floats, same_random_state):
    """The published results were made by ``plain``. Fails if anything that came later - precision,
    augmentation - changes a rounding or a random number by default."""
    x, y = data()
    x, options = x.float() / 255 if floats else x, {**OPTIONS, **more}
    with same_random_state():
        assert same(fit(net(), x, y, **options), plain(net(), x, y, **options))


def steps_taken(monkeypatch, **options) -> list[float]:
    """The learning rate of each step."""
    rates: list[float] = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(
        torch.optim.SGD, "step", lambda o: (rates.append(o.param_groups[0]["lr"]), step(o))[1]
    )
    x, y = data(24)
    fit(net(), x, y, seed=0, epochs=4, lr=0.8, batch_size=8, **options)
    return rates


def test_warmup_is_in_passes_and_parts_of_them(monkeypatch):
    """12 steps, 3 a pass: 2/3 of a pass are two steps up, then half a cosine of ten."""
    rise = [0.8 * k / 3 for k in (1, 2)]
    fall = [0.8 * (1 + math.cos(math.pi * t / 10)) / 2 for t in range(10)]
    assert steps_taken(monkeypatch, warmup=2 / 3) == pytest.approx(rise + fall)


def test_bfloat16_casts_the_forward_pass_and_nothing_that_is_kept(device):
    """Fails if the net itself becomes bfloat16, if nothing is cast, or if the loss is computed
    from rounded probabilities: it must be that of the logits as floats."""
    seen = {}

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net(dropout=0.0)  # masks depend on the layout

        def forward(self, x):
            out = self.net(x)
            seen["logits"] = out
            out.register_hook(lambda g: seen.setdefault("gradient", g))
            return out

    x, y = data(12)
    watched = Watched().to(device)
    made = fit(watched, x, y, seed=0, epochs=1, lr=0.1, precision="bfloat16", batch_size=12)
    assert seen["logits"].dtype == torch.bfloat16
    index = torch.randperm(12, generator=generator(0, 10))
    logits = seen["logits"].detach().requires_grad_()
    F.cross_entropy(logits.float(), y[index].to(device)).backward()
    assert torch.equal(seen["gradient"], logits.grad)
    assert {p.dtype for p in made.parameters()} == {torch.float32}
    full = fit(net(dropout=0.0).to(device), x, y, seed=0, epochs=1, lr=0.1, batch_size=12)
    ours = made.net[6].weight
    assert not torch.equal(ours, full[6].weight)
    torch.testing.assert_close(ours, full[6].weight, atol=5e-3, rtol=0)


def test_what_precision_means_where(monkeypatch):
    """ "auto" asks PyTorch, and does without where PyTorch has no such question."""
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    for able, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda able=able: able)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able: able)
        assert train.resolved("auto", cpu) == train.resolved("auto", gpu) == expected
    assert train.resolved("bfloat16", cpu) == "bfloat16"
