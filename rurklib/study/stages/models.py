"""The models of a run: trained and unlearned, each made once and kept as a checkpoint.

A model's fingerprint holds its parents' *content*, so making a deleted file again gives the same
content and nothing behind it is redone.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rurklib import checks, models
from rurklib import train as training
from rurklib.data.dataset import Dataset
from rurklib.data.requests import rehearsed
from rurklib.residual.controls import noisy_copies
from rurklib.study import files, memo
from rurklib.study.run import Name, Run
from rurklib.study.scale import processes
from rurklib.study.scale.engine import AtScale
from rurklib.study.sources import rows
from rurklib.study.stages.parallel import on_terminal, parallel
from rurklib.unlearn.contract import METHODS

SMOOTHED = "Smoothed"  # the control that is trained with noise


SAME_PRIOR = "Same-prior"  # the control that saw the forget set and fewer others of the class


CONTROLS = (SMOOTHED, SAME_PRIOR)


def train(run: Run) -> dict[Name, nn.Module]:
    """Original for every seed (on retain + forget) and the re-trained references (on retain).

    Where the scenario pre-trains, one net is trained first and all of these start from it.
    """
    todo = [n for n in run.pretrained if _record(run, n) is None]
    parallel(run, [(_make, (run, n)) for n in todo], "the model to start from made")
    return _ensure(run, run.trained)


def unlearn(run: Run) -> dict[Name, nn.Module]:
    """Every method of the scenario for every seed, starting from that seed's Original."""
    load_models(run, run.names("Original"))
    return _ensure(run, run.unlearned)


def smoothed(run: Run) -> dict[Name, nn.Module]:
    """A control, one for every seed: re-trained without the forget set, but on noisy copies too.

    It is merely more robust: what it recognises near a forget sample is no memory. Gaussian noise
    of the scenario's largest tau, as many noisy samples as clean ones.
    """
    return _ensure(run, run.names(SMOOTHED))


def same_prior(run: Run) -> dict[Name, nn.Module]:
    """A control, one for every seed: trained on the forget set, but without as many other samples
    of its class as are forgotten.

    Forgetting half of a small class makes the class rarer, and a re-trained model says it less
    often of *every* sample: a part of Original's lead is that and no memory. This model has the
    references' numbers of samples, in all and of each class, and has seen the forget set: what it
    shows there is memory alone, and what Original shows beyond it is the class's share.

    Raises InputError where nothing of the class is retained that could be left out instead.
    """
    if run.whole_class or len(run.split.forget) > int(
        run.split.of_class(run.pair("retain")[1]).sum()
    ):
        raise checks.InputError(
            f"less of {run.forgotten} is retained than forgotten: no others can be left out in its "
            "place; choose a forget_share of at most 0.5"
        )
    return _ensure(run, run.names(SAME_PRIOR))


def load_models(run: Run, names: Sequence[Name] | None = None) -> dict[Name, nn.Module]:
    """Models that an earlier stage made (default: all of the run); a missing one is an error."""
    names = run.trained + run.unlearned if names is None else list(names)
    for name in names:
        if not run.checkpoint(name).exists():
            stage = "01_train" if name in run.trained else "02_unlearn"
            stage = "03_residual_knowledge" if name[0] in CONTROLS else stage
            raise checks.InputError(
                f"{run.checkpoint(name)} is missing: run notebook {stage} first, or all of them "
                f"with: rurk study --scenario {run.scenario.name} --out {run.folder}"
            )
    return {name: _load(run, name) for name in names}


def _ensure(run: Run, names: Sequence[Name]) -> dict[Name, nn.Module]:
    """Make the models that are missing or out of date, several at a time; return all."""
    made = {n: record for n in names if (record := _record(run, n)) is not None}
    todo, what = [n for n in names if n not in made], _models(len(names))
    if made and on_terminal():
        print(f"{len(made)} of {len(names)} models are there already")
    elif made and not todo:
        took = sum(record["seconds"] for record in made.values())
        print(f"{what} there already; making them took {took:.1f} s")
    stage = f"{len(todo)} of {what} made" if made else f"{what} made"
    parallel(run, [(_make, (run, name)) for name in todo], stage)
    return {name: _load(run, name) for name in names}


def _models(count: int) -> str:
    return "1 model" if count == 1 else f"{count} models"


def _record(run: Run, name: Name) -> dict[str, Any] | None:
    """What a model's checkpoint says of it; None if it is missing or out of date."""
    path = run.checkpoint(name)
    if not path.exists():
        return None
    _, fingerprint, record = files.load_weights(path)
    return record if fingerprint == _fingerprint(run, name) else None


def _fingerprint(run: Run, name: Name) -> str:
    """Everything that the weights of a model depend on."""
    s, (method, seed) = run.scenario, name
    common = {"split": run.split.digest, "model": s.model, "seed": seed, "torch": torch.__version__}
    common["device"] = run.device.type
    if method in ("Pre-train", "Original", "Re-train", *CONTROLS):
        if method == "Pre-train":
            common["split"] = _pretraining_data(run).digest  # it isn't this split's
        elif run.pretrained:
            common["start"] = files.digest(run.checkpoint(*run.pretrained))
        code = memo.code("train", "models", "rng", "model_state")
        if method == SMOOTHED:
            common["noise"] = [max(s.taus), memo.code("residual/controls", "perturb")]
        if method == SAME_PRIOR:
            common["others"] = memo.code("data/requests")
        recipe = asdict(s.training(method))
        return memo.fingerprint(**common, kind=method, training=recipe, code=code)
    parent = files.weights_digest(_load(run, ("Original", seed)).state_dict())
    return memo.fingerprint(
        **common,
        kind=method,
        hyperparameters=s.hyperparameters(method),
        parent=parent,
        code=method_code(method),
    )


def method_code(method: str) -> str:
    """Hash of the code that a method's result depends on: its own file and what all share, so that
    an edit of one method doesn't make the others again."""
    home = (METHODS[method].__module__ or "").removeprefix("rurklib.")
    helpers = (
        "contract",
        "fisher_information",
        "last_layers",
        "soft_and_wrong_labels",
    )
    shared = tuple(f"unlearn/{name}" for name in helpers)
    rest = (*shared, "train", "models", "perturb", "rng", "model_state")
    if home.startswith("unlearn."):
        return memo.code(home.replace(".", "/"), *rest)
    body = inspect.unwrap(METHODS[method]).__code__  # a method of the user's own
    return memo.fingerprint(rest=memo.code(*rest), own=[body.co_code.hex(), *body.co_names])


def _make(run: Run, name: Name) -> str:
    """Train or unlearn one model and write its checkpoint; returns a line for the log.

    Where several processes train it together, the first one writes and the others wait.
    """
    s, (method, seed) = run.scenario, name
    began = time.perf_counter()
    if method == "Pre-train":
        data = _pretraining_data(run)
        model = _blank(run, seed, classes=len(data.classes))
        _fit(run, name, model, *data.train)
    elif method in ("Original", "Re-train", *CONTROLS):
        model = _blank(run, seed)
        for start in run.pretrained:
            models.transfer(model, files.load_weights(run.checkpoint(start))[0])
        x, y = run.pair("original" if method == "Original" else "retain")
        if method == SAME_PRIOR:
            x, y = rehearsed(run.split, run.data).pair(run.data, "retain")
        if method == SMOOTHED:
            noisy = noisy_copies if x.shape.numel() <= rows.IN_MEMORY else rows.noisy_rows
            x, y = noisy(x, y, max(s.taus), copies=1, seed=seed, bounds=run.data.bounds)
        _fit(run, name, model, x, y)
    else:
        model = unlearned(run, method, seed, s.hyperparameters(method))
    seconds = time.perf_counter() - began
    if not finite(model):
        raise checks.InputError(
            f"{method} seed {seed} diverged: its weights aren't finite; try a smaller lr, as in "
            f"--set {method}.lr=0.01"
        )
    if processes.rank() == 0:
        files.save_weights(
            run.checkpoint(name),
            model.state_dict(),
            _fingerprint(run, name),
            method=method,
            seed=seed,
            scenario=s.name,
            split=run.split.digest,
            seconds=round(seconds, 3),
        )
        _kept(run, name).unlink(missing_ok=True)  # one of a run that kept more often
    processes.wait()
    return f"{method} seed {seed}: {seconds:.1f} s"


def _fit(run: Run, name: Name, model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Train a net with the scenario's settings; it may go on from what a killed run kept."""
    s, (method, seed) = run.scenario, name
    kept = _kept(run, name) if s.keep_every else None
    engine = AtScale(kept, _fingerprint(run, name), every=s.keep_every or 1)
    training.fit(model, x, y, s.training(method), seed=seed, engine=engine)


def _kept(run: Run, name: Name) -> Path:
    """The state of an unfinished training: no checkpoint, nor a partial, which opening a run
    sweeps away."""
    return run.folder / "models" / f".{name[0]}-seed{name[1]}.kept"


def unlearned(run: Run, method: str, seed: int, values: Mapping[str, Any]) -> nn.Module:
    """One Original unlearned with some values of a method's hyper-parameters; nothing is kept."""
    # Every method takes images in [0, 1] for granted; what else the inputs are, it is told.
    bounds = {} if run.data.bounds == (0.0, 1.0) else {"bounds": run.data.bounds}
    return METHODS[method](
        _load(run, ("Original", seed)),
        run.pair("retain"),
        run.pair("forget"),
        seed=seed,
        **{**values, **bounds},
    )


def finite(model: nn.Module) -> bool:
    """Whether every weight is a number: the argmax of NaNs is class 0, which may even be right."""
    return all(bool(p.isfinite().all()) for p in model.state_dict().values())


def _blank(run: Run, seed: int, classes: int | None = None) -> nn.Module:
    channels = run.data.train[0].shape[1]
    model = models.build(
        run.scenario.model,
        channels,
        classes or len(run.data.classes),
        seed=seed,
        bounds=run.data.bounds,
    )
    return model.to(run.device)


def _pretraining_data(run: Run) -> Dataset:
    """Read when it is needed: a run that holds on to it would carry it into every process."""
    assert run.scenario.pretrain is not None
    return run.scenario.pretrain.data(run.scenario.path).to(run.device)


def _load(run: Run, name: Name) -> nn.Module:
    """One model from its checkpoint, if it is of this run's split."""
    path = run.checkpoint(name)
    weights, _, record = files.load_weights(path)
    if record.get("split") != run.split.digest:
        raise checks.InputError(
            f"{path} was trained on another split ({record.get('split')}) than this run's "
            f"({run.split.digest}); delete it to make it again, or use --fresh"
        )
    model = _blank(run, 0)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise checks.InputError(f"{path} doesn't fit the model {run.scenario.model}") from error
    return model.eval()
