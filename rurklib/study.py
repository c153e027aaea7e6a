"""The stages of a study: train -> unlearn -> measure, each resumed where it stopped.

Each stage makes what is missing, skips what is there with the right fingerprint, and hands plain
objects to the next:

    run = open_run("digits", "runs/digits", seeds=[0, 1, 2])
    models = train(run) | unlearn(run)
    frame = measure(run)

A model's fingerprint holds its parents' *content*, so making a deleted file again gives the same
content and nothing behind it is redone.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from rurklib import check, models, store
from rurklib import train as training
from rurklib.data import Dataset
from rurklib.methods import METHODS
from rurklib.perturb import LAWS
from rurklib.residual import Counts, ResidualKnowledge, count_hits
from rurklib.run import Name, Run


def train(run: Run) -> dict[Name, nn.Module]:
    """Original for every seed (on retain + forget) and the re-trained references (on retain).

    Where the scenario pre-trains, one net is trained first and all of these start from it.
    """
    parallel(run, [(_make, (run, n)) for n in run.pretrained if not _done(run, n)])
    return _ensure(run, run.trained)


def unlearn(run: Run) -> dict[Name, nn.Module]:
    """Every method of the scenario for every seed, starting from that seed's Original."""
    load_models(run, run.names("Original"))
    return _ensure(run, run.unlearned)


def load_models(run: Run, names: Sequence[Name] | None = None) -> dict[Name, nn.Module]:
    """Models that an earlier stage made (default: all of the run); a missing one is an error."""
    names = run.trained + run.unlearned if names is None else list(names)
    for name in names:
        if not run.checkpoint(name).exists():
            stage = "01_train" if name in run.trained else "02_unlearn"
            raise check.InputError(
                f"{run.checkpoint(name)} is missing: run notebook {stage} first, or all of them "
                f"with: rurk study --scenario {run.scenario.name} --out {run.folder}"
            )
    return {name: _load(run, name) for name in names}


def _ensure(run: Run, names: Sequence[Name]) -> dict[Name, nn.Module]:
    """Make the models that are missing or out of date, several at a time; return all."""
    todo = [n for n in names if not _done(run, n)]
    if len(todo) < len(names):
        print(f"{len(names) - len(todo)} of {len(names)} models are there already")
    parallel(run, [(_make, (run, name)) for name in todo])
    return {name: _load(run, name) for name in names}


def _done(run: Run, name: Name) -> bool:
    path = run.checkpoint(name)
    return path.exists() and store.load_weights(path)[1] == _fingerprint(run, name)


def _fingerprint(run: Run, name: Name) -> str:
    """Everything that the weights of a model depend on."""
    s, (method, seed) = run.scenario, name
    common = {"split": run.split.digest, "model": s.model, "seed": seed, "torch": torch.__version__}
    common["device"] = run.device.type
    if method in ("Pre-train", "Original", "Re-train"):
        if method == "Pre-train":
            common["split"] = _pretraining_data(run).digest  # it isn't this split's
        elif run.pretrained:
            common["start"] = store.digest(run.checkpoint(*run.pretrained))
        code = store.code("train", "models", "guard")
        return store.fingerprint(**common, kind=method, training=s.training(method), code=code)
    parent = store.weights_digest(_load(run, ("Original", seed)).state_dict())
    return store.fingerprint(
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
    shared = ("methods/contract", "methods/last_layers", "methods/fisher_information")
    rest = (*shared, "train", "models", "perturb", "guard")
    if home.startswith("methods."):
        return store.code(home.replace(".", "/"), *rest)
    body = inspect.unwrap(METHODS[method]).__code__  # a method of the user's own
    return store.fingerprint(rest=store.code(*rest), own=[body.co_code.hex(), *body.co_names])


def _make(run: Run, name: Name) -> str:
    """Train or unlearn one model and write its checkpoint; returns a line for the log."""
    s, (method, seed) = run.scenario, name
    began = time.perf_counter()
    if method == "Pre-train":
        data = _pretraining_data(run)
        model = _blank(run, seed, classes=len(data.classes))
        training.fit(model, *data.train, seed=seed, **s.training(method))
    elif method in ("Original", "Re-train"):
        model = _blank(run, seed)
        for start in run.pretrained:
            models.transfer(model, store.load_weights(run.checkpoint(start))[0])
        part = "original" if method == "Original" else "retain"
        training.fit(model, *run.pair(part), seed=seed, **s.training(method))
    else:
        model = METHODS[method](
            _load(run, ("Original", seed)),
            run.pair("retain"),
            run.pair("forget"),
            seed=seed,
            **s.hyperparameters(method),
        )
    seconds = time.perf_counter() - began
    if not finite(model):
        raise check.InputError(
            f"{method} seed {seed} diverged: its weights aren't finite; try a smaller lr, as in "
            f"--set {method}.lr=0.01"
        )
    store.save_weights(
        run.checkpoint(name),
        model.state_dict(),
        _fingerprint(run, name),
        method=method,
        seed=seed,
        scenario=s.name,
        split=run.split.digest,
        seconds=round(seconds, 3),
    )
    return f"{method} seed {seed}: {seconds:.1f} s"


def finite(model: nn.Module) -> bool:
    """Whether every weight is a number: the argmax of NaNs is class 0, which may even be right."""
    return all(bool(p.isfinite().all()) for p in model.state_dict().values())


def _blank(run: Run, seed: int, classes: int | None = None) -> nn.Module:
    channels = run.data.train[0].shape[1]
    model = models.build(run.scenario.model, channels, classes or len(run.data.classes), seed=seed)
    return model.to(run.device)


def _pretraining_data(run: Run) -> Dataset:
    """Read when it is needed: a run that holds on to it would carry it into every process."""
    assert run.scenario.pretrain is not None
    return run.scenario.pretrain.data(run.scenario.path).to(run.device)


def _load(run: Run, name: Name) -> nn.Module:
    """One model from its checkpoint, if it is of this run's split."""
    path = run.checkpoint(name)
    weights, _, record = store.load_weights(path)
    if record.get("split") != run.split.digest:
        raise check.InputError(
            f"{path} was trained on another split ({record.get('split')}) than this run's "
            f"({run.split.digest}); delete it to make it again, or use --fresh"
        )
    model = _blank(run, 0)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise check.InputError(f"{path} doesn't fit the model {run.scenario.model}") from error
    return model.eval()


def measure(run: Run) -> pd.DataFrame:
    """Residual knowledge of every model; written to residual_knowledge.csv.

    One row per perturbation, method, seed and tau. Rows of Re-train are each reference held out
    against the others: the null band is their range.
    """
    frames = []
    for law in run.scenario.perturbations:
        result = residual(run, law)
        for method, seed in run.trained + run.unlearned:
            rows = result.rows(_label((method, seed)))
            rows.insert(0, "method", method)
            rows.insert(1, "seed", seed)
            rows.insert(2, "perturbation", law)
            frames.append(rows)
    frame = pd.concat(frames, ignore_index=True)
    store.write_frame(run.folder / "residual_knowledge.csv", frame)
    return frame


def residual(run: Run, law: str) -> ResidualKnowledge:
    """The measurement under one law, from counts that are kept in ``counts/``."""
    check.one_of("perturbation", law, LAWS)
    load_models(run)
    names = run.trained + run.unlearned
    todo = [n for n in names if not _counted(run, law, n)]
    if len(todo) < len(names):
        print(f"{law}: {len(names) - len(todo)} of {len(names)} models are counted already")
    shares = [todo[i :: run.jobs] for i in range(run.jobs)]
    parallel(run, [(_count, (run, law, share)) for share in shares if share])
    references = tuple(_label(n) for n in run.names("Re-train"))
    counts = {_label(n): _read_counts(run, law, n) for n in names}
    if not LAWS[law].uses_model:  # the same copies for all: put the models side by side
        first = next(iter(counts.values()))
        hits, margins = (
            np.concatenate([getattr(c, what) for c in counts.values()])
            for what in ("hits", "margins")
        )
        shared = replace(first, hits=hits, margins=margins, models=tuple(counts))
        counts = dict.fromkeys(counts, shared)
    others = tuple(_label(n) for n in names if _label(n) not in references)
    return ResidualKnowledge(counts, others, references)


COUNTING = ("residual/counts", "residual/inference", "residual/adaptive", "models/margin")


def _label(name: Name) -> str:
    return f"{name[0]}-seed{name[1]}"


def _counts_file(run: Run, law: str, name: Name) -> Path:
    return run.folder / "counts" / law / f"{_label(name)}.npz"


def _counts_fingerprint(run: Run, law: str, name: Name) -> str:
    shown = [name, *run.names("Re-train")] if LAWS[law].uses_model else [name]
    weights = {_label(n): store.weights_digest(_load(run, n).state_dict()) for n in shown}
    return store.fingerprint(
        weights=weights,
        split=run.split.digest,
        law=law,
        taus=run.scenario.taus,
        draws=run.scenario.draws,
        code=store.code("perturb", "guard", *COUNTING),
        torch=torch.__version__,
        device=run.device.type,
    )


def _counted(run: Run, law: str, name: Name) -> bool:
    path = _counts_file(run, law, name)
    return path.exists() and store.load_arrays(path)[1] == _counts_fingerprint(run, law, name)


def _count(run: Run, law: str, names: Sequence[Name]) -> str:
    """Count the hits of some models under one law and keep each model's in a file."""
    began = time.perf_counter()
    s, (x, y) = run.scenario, run.pair("forget")
    options: dict[str, Any] = {
        "taus": s.taus,
        "perturbation": law,
        "draws": s.draws,
        "bounds": run.data.bounds,
    }
    if LAWS[law].uses_model:
        for name in names:
            shown = list(dict.fromkeys([name, *run.names("Re-train")]))
            nets = {_label(n): _load(run, n) for n in shown}
            counts = count_hits(nets, x, y, found_on=_label(name), **options)
            _write_counts(run, law, name, counts)
    else:
        counts = count_hits({_label(n): _load(run, n) for n in names}, x, y, **options)
        for name in names:
            _write_counts(run, law, name, counts)
    seconds = time.perf_counter() - began
    return f"{law}: {len(names)} models counted, {seconds:.1f} s"


def _write_counts(run: Run, law: str, name: Name, counts: Counts) -> None:
    """Keep what was counted on the copies made for ``name``: its own hits and margins, and for a
    gradient law those of the references too."""
    kept = counts.models if counts.found_on else (_label(name),)
    assert counts.margins is not None
    assert counts.moved is not None
    at = [counts.models.index(m) for m in kept]
    arrays = {"hits": counts.hits[at], "margins": counts.margins[at], "models": np.array(kept)}
    arrays["moved"] = counts.moved
    store.save_arrays(_counts_file(run, law, name), arrays, _counts_fingerprint(run, law, name))


def _read_counts(run: Run, law: str, name: Name) -> Counts:
    arrays, _ = store.load_arrays(_counts_file(run, law, name))
    s = run.scenario
    found_on = _label(name) if LAWS[law].uses_model else None
    names = tuple(str(m) for m in arrays["models"])
    return Counts(
        arrays["hits"],
        names,
        s.taus,
        s.draws,
        law,
        seed=0,
        found_on=found_on,
        margins=arrays["margins"],
        moved=arrays["moved"],
    )


def parallel(run: Run, tasks: Sequence[tuple[Callable[..., Any], tuple]]) -> list[Any]:
    """Results of the tasks in order, ``run.jobs`` at a time, each on ``scenario.threads`` threads.

    The number of threads is fixed by the scenario, not by the machine, so that sums are taken in
    the same order wherever and however parallel a study runs. A result that is text is a line for
    the log and printed as soon as it is there.
    """
    jobs = min(run.jobs, len(tasks))
    work = ((run.scenario.threads, function, arguments) for function, arguments in tasks)
    if jobs <= 1:
        stream = (_task(*item) for item in work)
    else:
        from joblib import Parallel, delayed

        stream = Parallel(n_jobs=jobs, return_as="generator")(delayed(_task)(*w) for w in work)
    results = []
    for result in stream:
        if isinstance(result, str):
            print(result, flush=True)
        results.append(result)
    return results


def _task(threads: int, function: Callable[..., Any], arguments: tuple) -> Any:
    with _threads(threads):
        return function(*arguments)


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
