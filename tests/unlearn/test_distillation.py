"""SCRUB, BadTeacher and DELETE: their losses in closed form, and their steps by hand."""

from rurklib import unlearn
from rurklib.models import build
from rurklib.unlearn.distillation import scrub


def test_the_teacher_is_in_eval_mode(samples) -> None:
    """With nothing but KL, a frozen student agrees with its teacher and stays; in train mode the
    batch statistics set them apart and it moves. Catches a teacher left in the mode that Original
    came in (train)."""
    original = build("small-cnn", 1, 3, seed=0).train()
    retain, forget = samples(30, 1, 1, 8, 8), samples(10, 2, 1, 8, 8)
    bare = {"alpha": 1.0, "gamma": 0.0, "weight_decay": 0.0, "lr": 0.01}
    moved = []
    for mode in ("frozen", "train"):
        got = scrub(original, retain, forget, batchnorm=mode, **bare)
        pairs = zip(original.parameters(), got.parameters(), strict=True)
        moved.append(max(float((a - b).detach().abs().max()) for a, b in pairs))
    assert moved[0] < 1e-6 < 1e-4 < moved[1]


def test_the_retain_share_is_how_many_retained_samples_are_seen(task, same):
    """Half of ten: changing an unseen sample changes nothing, a seen one does."""
    model, (xr, yr), forget = task
    options = {"lr": 0.1, "retain_share": 0.5, "batchnorm": "train", "seed": 2}
    before = unlearn("BadTeacher", model, (xr, yr), forget, **options)
    seen = 0
    for i in range(10):
        other = xr.clone()
        other[i] = 1 - other[i]
        seen += not same(before, unlearn("BadTeacher", model, (other, yr), forget, **options))
    assert seen == 5
