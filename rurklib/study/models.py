"""The models of a run: each trained or unlearned once and kept as a checkpoint, or taken from the
package; several tasks at a time."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rurklib import checks, tensors
from rurklib.data import Dataset, Split, rehearsed
from rurklib.models import build, transfer
from rurklib.perturb import gaussian
from rurklib.study import brought, files, shipped
from rurklib.study.brought import Carried
from rurklib.study.ids import PRETRAIN, SAME_PRIOR, SMOOTHED, ModelId
from rurklib.study.memo import WEIGHTS, Checkpoint, content, fresh, here, taken
from rurklib.study.resume import Kept
from rurklib.study.run import Run
from rurklib.tensors import finite, generator
from rurklib.train import fit
from rurklib.unlearn.contract import METHODS, defaults

SPARSE = 30.0  # seconds between two lines on how far a stage is


def train(run: Run) -> dict[ModelId, nn.Module]:
    """Original for every seed (on retain + forget) and the re-trained references (on retain).

    Where the scenario pre-trains, one net is trained first and all of these start from it.
    """
    if leak := trained_on(run.data, run.split):
        print(f"warning: {leak}")
    for name in run.pretrained:
        if not fresh(run.checkpoint(name), wanted := here(content_of(run, name)), WEIGHTS):
            parallel(run, [(make, (run, name, wanted))], "the model to start from made")
    return _ensure(run, run.trained)


def unlearn(run: Run) -> dict[ModelId, nn.Module]:
    """Every method of the scenario for every seed, starting from that seed's Original."""
    load_models(run, run.names("Original"))
    return _ensure(run, run.unlearned)


def smoothed(run: Run) -> dict[ModelId, nn.Module]:
    """A control, one for every seed: re-trained without the forget set, but on noisy copies too.

    It is merely more robust: what it recognises near a forget sample is no memory. Gaussian noise
    of the scenario's largest tau, as many noisy samples as clean ones.
    """
    return _ensure(run, run.names(SMOOTHED))


def same_prior(run: Run) -> dict[ModelId, nn.Module]:
    """A control, one for every seed: trained on the forget set, but without as many other samples
    of its class as are forgotten.

    Forgetting half of a small class makes the class rarer, and a re-trained model says it less
    often of *every* sample: a part of Original's lead is that and no memory. This model has the
    references' numbers of samples, in all and of each class (one more where half of an odd number
    is forgotten), and has seen the forget set: what it shows there is memory alone, and what
    Original shows beyond it is the class's share.

    Raises InputError where nothing of the class is retained that could be left out instead.
    """
    if not halved(run):
        raise checks.InputError(
            f"less of {run.forgotten} is retained than forgotten: no others can be left out in its "
            "place; choose a forget_share of at most 0.5"
        )
    return _ensure(run, run.names(SAME_PRIOR))


def halved(run: Run) -> bool:
    """Whether as much of the class is retained as forgotten, or one fewer of an odd number."""
    kept = int(run.split.of_class(run.pair("retain")[1]).sum())
    return 0 < kept >= len(run.split.forget) - 1


def load_models(run: Run, names: Sequence[ModelId] | None = None) -> dict[ModelId, nn.Module]:
    """Models that an earlier stage made, or that come with the package (default: all of the run); a
    missing one is an error."""
    names = run.trained + run.unlearned if names is None else [ModelId(*n) for n in names]
    look(run, names)
    return {name: load_model(run, name) for name in names}


def digests(run: Run, names: Sequence[ModelId]) -> dict[ModelId, str]:
    """What keys know models by: the digests of their weights; a missing model is an error."""
    look(run, names)
    return {name: files.digest(checkpoint_of(run, name)) for name in names}


def ship(run: Run) -> list[ModelId]:
    """Write all models of a run that were trained here into the package; returns which.

    Raises InputError, and writes nothing, if one was taken from there or made by other code, or if
    the run has methods of somebody's own.
    """
    if run.brought:
        raise checks.InputError(f"{run.folder} has methods of your own: expected a run without")
    names = [ModelId.parse(path.stem) for path in sorted((run.folder / "models").glob("[!.]*"))]
    contents = {content_of(run, name): run.checkpoint(name) for name in names}
    for made_from, path in contents.items():
        if "taken" in files.weights_record(path) or not fresh(path, here(made_from), WEIGHTS):
            raise checks.InputError(
                f"{path} wasn't trained here by today's code: make all anew with: {shipped.COMMAND}"
            )
    shipped.write(shipped.FILE, contents, files.read_json(run.folder / "env.json"))
    return names


def look(run: Run, names: Sequence[ModelId] | None = None) -> None:
    """Take what of these models (default: all of the run) is missing, and what they start from, if
    it comes with the package."""
    names = run.trained + run.unlearned if names is None else names
    first = (ModelId("Original", name.seed) for name in names if name.method in METHODS)
    missing = [n for n in dict.fromkeys([*first, *names]) if not run.checkpoint(n).exists()]
    if missing and run.split.digest in shipped.Shelf().splits:
        _take(run, missing)


def _take(run: Run, names: Sequence[ModelId]) -> list[ModelId]:
    """Those of these models that the package has, put into the run's folder, and said; each after
    the one that it starts from."""
    shelf, took = shipped.Shelf(), []
    for name in () if run.trained_here else names:
        starts = [ModelId("Original", name.seed)] if name.method in METHODS else run.pretrained
        there = all(run.checkpoint(start).exists() for start in starts)
        if there and taken(run.checkpoint(name), content_of(run, name), WEIGHTS, shelf.get):
            took.append(name)
    if took:
        print(f"{len(took)} models taken from the package, not trained here ({shelf.said})")
        _note(run)
    return took


def _note(run: Run) -> None:
    """Keep env.json right about how many models were taken."""
    environment = run.folder / "env.json"
    if environment.exists() and (said := shipped.noted(run.folder)):
        files.write_json(environment, {**files.read_json(environment), **said})


def _ensure(run: Run, names: Sequence[ModelId]) -> dict[ModelId, nn.Module]:
    """Take or make the models that are missing or out of date, several at a time; return all."""
    keys = {name: here(content_of(run, name)) for name in names}
    missing = [n for n in names if not fresh(run.checkpoint(n), keys[n], WEIGHTS)]
    took = _take(run, missing)
    todo = [name for name in missing if name not in took]
    print(f"{len(names) - len(todo)} of {len(names)} models are there, {len(todo)} to make")
    parallel(run, [(make, (run, name, keys[name])) for name in todo], f"{len(todo)} models made")
    if todo:
        _note(run)
    return {name: load_model(run, name) for name in names}


def trained_on(dataset: Dataset, split: Split) -> str:
    """A sentence on the test samples that stand among the training samples too, byte for byte;
    "" if none do.

    A study says so and goes on, for a few copies among many images change little; an audit refuses
    forget samples that are among its held-out ones.
    """
    x, y = dataset.test
    again = tensors.copies(x, dataset.train[0])
    if not bool(again.any()):
        return ""
    own = int((again & split.of_class(y).cpu()).sum())
    return (
        f"{int(again.sum())} of {len(y)} test samples ({own} of what is forgotten) are among the "
        "training samples too: accuracy on them isn't that on unseen ones, and as held-out samples "
        "they are no control; remove them from one side"
    )


# --- one model ------------------------------------------------------------------------------------


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
    more: Any = {SMOOTHED: gaussian, SAME_PRIOR: rehearsed}
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


def make(run: Run, name: ModelId, wanted: str) -> None:
    """Train or unlearn one model and write its checkpoint."""
    began, before = time.perf_counter(), 0.0
    if name.method in METHODS:
        model = unlearned(run, name.method, name.seed, run.scenario.hyperparameters(name.method))
    else:
        model, before = _trained(run, name, wanted)
    seconds = before + ended(run.device) - began
    if not finite(model):
        raise checks.InputError(
            f"{name.method} seed {name.seed} diverged: its weights aren't finite; try a smaller "
            "lr, as in --set training.lr=0.01"
        )
    record = {"scenario": run.scenario.name, "split": run.split.digest, **name._asdict()}
    record["seconds"] = round(seconds, 3)
    WEIGHTS.save(run.checkpoint(name), Checkpoint(model.state_dict(), record), wanted)
    _unfinished(run, name).unlink(missing_ok=True)


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
        x, noise = tensors.as_float(x), generator(seed, 0, 0, 0, device=x.device)
        copies = gaussian(x, max(s.taus), generator=noise, bounds=run.data.bounds)
        x, y = torch.cat([x, copies]), y.repeat(2)
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


# --- several tasks at a time ----------------------------------------------------------------------


def parallel(
    run: Run, tasks: Sequence[tuple[Callable[..., Any], tuple]], stage: str = ""
) -> list[Any]:
    """Results of the tasks in order, ``run.jobs`` at a time, each on ``scenario.threads`` threads.

    The number of threads is fixed by the scenario, not by the machine, so that sums are taken in
    the same order wherever and however parallel a study runs. If ``stage`` says what is done, a
    line is printed at the end, and now and then before, with how many tasks are done.
    """
    began = said = time.perf_counter()
    jobs = min(run.jobs, len(tasks))
    work = ((Carried(), run.scenario.threads, *task) for task in tasks)
    if jobs <= 1:
        stream = (_task(*item) for item in work)
    else:
        from joblib import Parallel, delayed

        stream = Parallel(n_jobs=jobs, return_as="generator")(delayed(_task)(*w) for w in work)
    results = []
    for result in stream:
        results.append(result)
        now = time.perf_counter()
        if stage and len(results) < len(tasks) and now - said >= SPARSE:
            print(f"{stage} ({len(results)} of {len(tasks)}) in {now - began:.0f} s", flush=True)
            said = now
    if stage and results:
        print(f"{stage} in {time.perf_counter() - began:.1f} s", flush=True)
    return results


def _task(_: Carried, threads: int, function: Callable[..., Any], arguments: tuple) -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return function(*arguments)
    finally:
        torch.set_num_threads(before)
