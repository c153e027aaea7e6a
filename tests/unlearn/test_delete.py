"""DELETE: what is taught, by the closed form; the loss taken apart; where it ends."""

import torch

from rurklib import unlearn
from rurklib.unlearn.delete import masked
from rurklib.unlearn.soft_and_wrong_labels import distillation_kl

BARE = {"momentum": 0.0, "weight_decay": 0.0, "schedule": "constant"}


def without(p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Probabilities [n, classes] given that the class isn't y."""
    p = p.scatter(1, y[:, None], 0.0)
    return p / p.sum(1, keepdim=True)


def test_two_steps_by_hand(four_classes):
    """w - lr * (softmax - T)^T x / n, with T Original's. Fails if T is the changing student's, if a
    class of the batch is masked in place of each sample's own, or the retain set takes part."""
    net, retain, forget = four_classes
    out = unlearn("DELETE", net, retain, forget, lr=0.3, epochs=2, **BARE)
    with torch.no_grad():
        x, y = forget
        w, b, target = net.weight.clone(), net.bias.clone(), without(net(x).softmax(1), y)
        for _ in range(2):
            dz = ((x @ w.T + b).softmax(1) - target) / 4
            w, b = w - 0.3 * dz.T @ x, b - 0.3 * dz.sum(0)
    assert torch.allclose(out.weight, w, atol=1e-12)
    assert torch.allclose(out.bias, b, atol=1e-12)


def test_the_loss_is_a_forgetting_and_a_retaining_term(cnn, images):
    """KL(T || p) = -log(1 - p_y) + KL(T || q). Fails if a masked logit gives NaN, the divergence is
    the other way round, or the teacher is in train mode."""
    original, student, (x, y) = cnn(0).double(), cnn(1).double(), images(8)
    x = x.double()
    p, target = student(x).softmax(1), without(original(x).softmax(1), y)
    q, others = without(p, y), torch.ones_like(p).scatter(1, y[:, None], 0.0).bool()
    apart = (target[others] * (target[others] / q[others]).log()).sum() / 8
    forgetting = -(1 - p.gather(1, y[:, None])).log().mean()
    whole = distillation_kl(student(x), masked(original.train(), x, y), 1.0)
    torch.testing.assert_close(whole, forgetting + apart)


def test_it_ends_where_original_would_be_without_the_class(four_classes):
    """One sample a linear model can teach itself anything about. Fails without the mask (Original
    stays), with ascent or a wrong label drawn at random (the others' ranks are lost)."""
    net, retain, (x, y) = four_classes
    options = {**BARE, "lr": 2.0, "epochs": 2000}
    out = unlearn("DELETE", net, retain, (x[:1], y[:1]), **options)
    with torch.no_grad():
        target = without(net(x[:1]).softmax(1), y[:1])
        torch.testing.assert_close(out(x[:1]).softmax(1), target, atol=2e-3, rtol=0.0)
    assert float(target.max()) < 0.8
