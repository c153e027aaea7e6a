"""Forgetting requests: whose samples are to be forgotten, and which are set aside to judge it.

The paper forgets a random half of one class. Others are asked for here by the same function: the
samples of any class, and those that are hardest or easiest to tell from other classes.
"""

import numpy as np
import torch
from torch import Tensor

from rurklib import checks, tensors
from rurklib.data.dataset import ANY, Dataset, Split

ORDERS = ("random", "hard", "easy")
NEIGHBOURS = 3  # of each kind, that say how hard a sample is


def forget_part_of_a_class(
    dataset: Dataset,
    *,
    forget_class: int,
    forget_share: float = 0.5,
    forget_order: str = "random",
    validation_share: float = 1 / 3,
    seed: int = 0,
) -> Split:
    """Forget a share of one class's training samples: at random, as in the paper.

    ``forget_class`` -1 (``ANY``) takes the share from all training samples, of whatever class.
    ``forget_order`` "hard" or "easy" takes the samples of highest or lowest :func:`difficulty`.

    A forgotten sample takes its identical copies in the training set with it, if it has any: what
    is kept once more can't be forgotten.
    ``validation_share`` of the test side is set aside for choosing hyper-parameters, drawn from
    every class alike, so that nothing is ever tuned on the samples that are reported. Where the
    data set holds samples out for it, these are the validation part, and all others to test on.
    Raises InputError for an unknown class or a share outside (0, 1].
    """
    checks.count("forget_class", forget_class, ANY)
    if forget_class >= len(dataset.classes):
        raise checks.InputError(
            f"forget_class = {forget_class}: {dataset.name} has classes 0 ... "
            f"{len(dataset.classes) - 1} ({', '.join(dataset.classes)}); -1 takes samples of any"
        )
    checks.one_of("forget_order", forget_order, ORDERS)
    checks.count("seed", seed, 0)
    checks.number("forget_share", forget_share, 0.0, 1.0)
    checks.number("validation_share", validation_share, 0.0, 0.9)
    rng = np.random.default_rng([seed, 1])
    y_train, y_test = dataset.train[1].cpu().numpy(), dataset.test[1].cpu().numpy()
    members = rng.permutation(np.flatnonzero((y_train == forget_class) | (forget_class == ANY)))
    if forget_order != "random":
        hardness = difficulty(*dataset.train, members)
        members = members[np.argsort(-hardness if forget_order == "hard" else hardness)]
    drawn = members[: round(forget_share * len(members))]
    tests = [rng.permutation(np.flatnonzero(y_test == c)) for c in range(len(dataset.classes))]
    validation = np.sort(np.concatenate([c[: round(validation_share * len(c))] for c in tests]))
    if dataset.validation_size:
        validation = np.arange(len(y_test) - dataset.validation_size, len(y_test))
    test = np.setdiff1d(np.arange(len(y_test)), validation)
    split = _split(dataset, seed, forget_class, drawn, validation, test)
    if not split.held_out:
        raise checks.InputError(
            f"{dataset.name} has no test sample of class {forget_class} "
            f"({dataset.classes[forget_class]}) to spare: held-out samples are the control"
        )
    return split


def difficulty(x: Tensor, y: Tensor, of: np.ndarray) -> np.ndarray:
    """How hard samples are to tell from other classes, without training anything: [len(of)], > 0.

    Mean L2 distance to the nearest three samples of the same class over that to the nearest three
    of others: above 1 where strangers are nearer. A sample that its neighbours contradict has to be
    learnt by heart (Feldman 2020 calls that memorisation, and measures it by re-training without
    the sample; this is a stand-in by neighbours, crude where pixels say little). Shapes: x
    [n, ...], y int64 [n], ``of`` indices into them.
    """
    flat, labels = tensors.as_float(x).flatten(1).double(), y
    scores = []
    for index in torch.from_numpy(of).to(x.device).split(256):
        apart = torch.cdist(flat[index], flat)
        apart[torch.arange(len(index)), index] = torch.inf  # not a neighbour of itself
        same = labels[index][:, None] == labels[None]
        near, far = (
            torch.where(kind, apart, torch.inf).topk(NEIGHBOURS, largest=False).values
            for kind in (same, ~same)
        )
        scores.append(near.mean(1) / far.mean(1))
    return torch.cat(scores).cpu().numpy()


def rehearsed(split: Split, dataset: Dataset) -> Split:
    """A request like ``split`` that concerns other people, for choosing hyper-parameters.

    As many samples of the same class as ``split`` forgets, of those that it *retains*, are
    forgotten (with their identical copies); if it retains none, all of the next class. The test
    part is the validation part of ``split``, whose own forget and test samples judge nothing here.
    """
    forget_class, retain = split.forget_class, np.array(split.retain)
    y = dataset.train[1].cpu().numpy()[retain]
    if forget_class != ANY and not (y == forget_class).any():
        forget_class = (forget_class + 1) % len(dataset.classes)
    rng = np.random.default_rng([split.seed, 2])
    members = rng.permutation(retain[(y == forget_class) | (forget_class == ANY)])
    whole = forget_class != split.forget_class
    drawn = members if whole else members[: len(split.forget)]
    nothing, test = np.array([], dtype=np.int64), np.array(split.validation, dtype=np.int64)
    return _split(dataset, split.seed, forget_class, drawn, nothing, test)


def _split(
    dataset: Dataset,
    seed: int,
    forget_class: int,
    drawn: np.ndarray,
    validation: np.ndarray,
    test: np.ndarray,
) -> Split:
    """The split that forgets the samples drawn, and what equals one of them byte by byte."""
    x, y_test = dataset.train[0], dataset.test[1].cpu().numpy()
    wanted = x[torch.from_numpy(drawn).to(x.device)]
    copied = tensors.copies(x, wanted).numpy()
    held_out = test[(y_test[test] == forget_class) | (forget_class == ANY)]
    parts = np.flatnonzero(~copied), np.flatnonzero(copied), validation, test, held_out
    return Split(dataset.digest, seed, forget_class, *(tuple(part.tolist()) for part in parts))
