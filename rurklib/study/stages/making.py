"""How one model of a run is made and read: what its weights depend on, its training or unlearning,
its checkpoint."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rurklib import checks
from rurklib.data.dataset import Dataset
from rurklib.data.requests import rehearsed
from rurklib.models import build, transfer
from rurklib.residual.smoother import noisy_copies
from rurklib.study import brought, files
from rurklib.study.ids import PRETRAIN, SAME_PRIOR, SMOOTHED, ModelId
from rurklib.study.memo import WEIGHTS, Checkpoint, content
from rurklib.study.resume import Kept
from rurklib.study.run import Run
from rurklib.tensors import finite
from rurklib.train.fit import fit
from rurklib.unlearn.contract import METHODS, defaults


def load_model(run: Run, name: ModelId) -> nn.Module:
    """One model from its checkpoint, if it is there and that model of this run's split."""
    path = checkpoint_of(run, name)
    weights, _, record = files.load_weights(path)
    known = {"split": run.split.digest, **name._asdict()}
    for what, expected in known.items():
        if record.get(what) != expected:
            raise checks.InputError(
                f"{path} holds a model of {what} {record.get(what)}, expected {expected}: was it "
                "copied here? delete it to make it again"
            )
    model = run.blank(0)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise checks.InputError(f"{path} doesn't fit the model {run.scenario.model}") from error
    return model.eval()


def checkpoint_of(run: Run, name: ModelId) -> Path:
    """The checkpoint of a model that an earlier stage made."""
    path = run.checkpoint(name)
    if not path.exists():
        stage = "01_train" if name.method in ("Original", "Re-train") else "02_unlearn"
        stage = "04_what_can_fool_it" if name.method in (SMOOTHED, SAME_PRIOR) else stage
        raise run.missing(path, stage)
    return path


def content_of(run: Run, name: ModelId) -> str:
    """What the weights of a model depend on, wherever it is made: who makes them, and of what. The
    model that they start from must be there."""
    s, (method, seed) = run.scenario, name
    inputs = {"kind": method, "seed": seed, "split": run.split.digest, "net": s.model}
    inputs |= brought.code(s.model)
    if method in METHODS:
        inputs["hyperparameters"] = {**s.hyperparameters(method), **_told(run, method)}
        inputs["parent"] = files.digest(run.checkpoint(ModelId("Original", seed)))
        return content([build, METHODS[method]], inputs)
    more: Any = {SMOOTHED: noisy_copies, SAME_PRIOR: rehearsed}
    makers: list[Callable[..., Any]] = [build, fit, *([more[method]] if method in more else [])]
    inputs["training"] = s.training(method)
    if method == PRETRAIN:
        inputs["split"] = _pretraining_data(run).digest  # it isn't this split's
    elif run.pretrained:
        inputs["start"] = files.digest(run.checkpoint(*run.pretrained))
    if method == SMOOTHED:
        inputs["tau"] = max(s.taus)
    return content(makers, inputs)


def ended(device: torch.device) -> float:
    """The time at which all that was asked of the device is done: a GPU works on behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def make(run: Run, name: ModelId, wanted: str) -> str:
    """Train or unlearn one model and write its checkpoint; returns who was made, for the log."""
    began, before = time.perf_counter(), 0.0
    if name.method in METHODS:
        model = unlearned(run, name.method, name.seed, run.scenario.hyperparameters(name.method))
    else:
        model, before = _trained(run, name, wanted)
    seconds = before + ended(run.device) - began
    if not finite(model):
        raise checks.InputError(
            f"{name.method} seed {name.seed} diverged: its weights aren't finite; try a smaller "
            "lr, as in --set lr=0.01"
        )
    record = {"scenario": run.scenario.name, "split": run.split.digest, **name._asdict()}
    record["seconds"] = round(seconds, 3)
    WEIGHTS.save(run.checkpoint(name), Checkpoint(model.state_dict(), record), wanted)
    _unfinished(run, name).unlink(missing_ok=True)
    return f"{name.method} seed {name.seed}"


def _trained(run: Run, name: ModelId, wanted: str) -> tuple[nn.Module, float]:
    """Train a net with the scenario's recipe; it may go on from what a killed run kept, which took
    so many seconds."""
    s, (method, seed) = run.scenario, name
    if method == PRETRAIN:
        data = _pretraining_data(run)
        model, (x, y) = run.blank(seed, classes=len(data.classes)), data.train
    else:
        model = run.blank(seed)
        for start in run.pretrained:
            transfer(model, files.load_weights(run.checkpoint(start))[0])
        x, y = run.pair("original" if method == "Original" else "retain")
    if method == SAME_PRIOR:
        x, y = rehearsed(run.split, run.data).pair(run.data, "retain")
    if method == SMOOTHED:
        x, y = noisy_copies(x, y, max(s.taus), copies=1, seed=seed, bounds=run.data.bounds)
    if not s.keep_every:
        return fit(model, x, y, s.training(method), seed=seed), 0.0
    kept = Kept(_unfinished(run, name), wanted, every=s.keep_every)
    return fit(model, x, y, s.training(method), seed=seed, each_pass=kept), kept.before


def _unfinished(run: Run, name: ModelId) -> Path:
    """The state of an unfinished training: no checkpoint, nor a partial, which opening a run
    sweeps away."""
    return run.folder / "models" / f".{name}.kept"


def unlearned(
    run: Run, method: str, seed: int, values: Mapping[str, Any], unlearning_seed: int | None = None
) -> nn.Module:
    """The Original of ``seed`` unlearned with some values of a method's hyper-parameters; nothing
    is kept. ``unlearning_seed`` is the method's, where it isn't Original's."""
    return METHODS[method](
        load_model(run, ModelId("Original", seed)),
        run.pair("retain"),
        run.pair("forget"),
        seed=seed if unlearning_seed is None else unlearning_seed,
        **{**values, **_told(run, method)},
    )


def _told(run: Run, method: str) -> dict[str, Any]:
    """What a method doesn't take for granted: inputs that are no images in [0, 1], numbers that are
    not float32; to one that asks, how re-trained models are trained."""
    told: dict[str, Any] = {} if run.data.bounds == (0.0, 1.0) else {"bounds": run.data.bounds}
    if run.scenario.recipe.precision != "float32":
        told["precision"] = run.scenario.recipe.precision
    if "recipe" in defaults(method):
        told["recipe"] = run.scenario.training("Re-train")
    return told


def _pretraining_data(run: Run) -> Dataset:
    """Read when it is needed: a run that holds on to it would carry it into every process."""
    assert run.scenario.pretrain is not None
    return run.scenario.pretrain.data(run.scenario.path).to(run.device)
