"""The models of a run: trained and unlearned, each made once and kept as a checkpoint; or taken
from the package, which has those of the digits study."""

from collections.abc import Sequence

from torch import nn

from rurklib import checks
from rurklib.data.leak import trained_on
from rurklib.study import files, shipped
from rurklib.study.ids import SAME_PRIOR, SMOOTHED, ModelId
from rurklib.study.memo import WEIGHTS, fresh, here, taken
from rurklib.study.run import Run
from rurklib.study.stages.making import checkpoint_of, content_of, load_model, make
from rurklib.study.stages.parallel import on_terminal, parallel
from rurklib.unlearn.contract import METHODS


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
    for content, path in contents.items():
        if "taken" in files.weights_record(path) or not fresh(path, here(content), WEIGHTS):
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
        if all(run.checkpoint(start).exists() for start in starts):
            content = content_of(run, name)
            took += [name] * taken(run.checkpoint(name), content, WEIGHTS, shelf.get)
    if took:
        what = "1 model" if len(took) == 1 else f"{len(took)} models"
        print(f"{what} taken from the package, not trained here ({shelf.said})")
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
    made, what = len(names) - len(missing), "1 model" if len(names) == 1 else f"{len(names)} models"
    if made and on_terminal():
        print(f"{made} of {len(names)} models are there already")
    elif made and not missing:
        records = [files.weights_record(run.checkpoint(name)) for name in names]
        shared = any("taken" in record for record in records)
        whence, where = (", from the package", " where that was done") if shared else ("", "")
        seconds = sum(record["seconds"] for record in records)
        print(f"{what} there already{whence}; making them took {seconds:.1f} s{where}")
    stage = f"{what} made" if len(todo) == len(names) else f"{len(todo)} of {what} made"
    parallel(run, [(make, (run, name, keys[name])) for name in todo], stage)
    if todo:
        _note(run)
    return {name: load_model(run, name) for name in names}
