"""The models of a run: each trained or unlearned once and kept as a checkpoint, or taken from the
package; several tasks at a time."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rurklib import checks, tensors
from rurklib.data import Dataset, Split, rehearsed
from rurklib.models import transfer
from rurklib.perturb import gaussian
from rurklib.study import extend, store
from rurklib.study.parallel import parallel
from rurklib.study.run import PRETRAIN, SAME_PRIOR, SMOOTHED, ModelId, Run, surroundings
from rurklib.study.store import Checkpoint
from rurklib.tensors import finite, generator
from rurklib.train import fit
from rurklib.unlearn.contract import METHODS, defaults


def train(run: Run) -> dict[ModelId, nn.Module]:
    """Original for every seed (on retain + forget) and the re-trained references (on retain).

    Where the scenario pre-trains, one net is trained first and all of these start from it.
    """
    if leak := trained_on(run.data, run.split):
        print(f"warning: {leak}")
    return load_models(run, run.trained)


def unlearn(run: Run) -> dict[ModelId, nn.Module]:
    """Every method of the scenario for every seed, starting from that seed's Original."""
    return load_models(run, run.unlearned)


def smoothed(run: Run) -> dict[ModelId, nn.Module]:
    """A control, one for every seed: re-trained without the forget set, but on noisy copies too.

    It is merely more robust: what it recognises near a forget sample is no memory. Gaussian noise
    of the scenario's largest tau, as many noisy samples as clean ones.
    """
    return load_models(run, run.names(SMOOTHED))


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
    return load_models(run, run.names(SAME_PRIOR))


def halved(run: Run) -> bool:
    """Whether as much of the class is retained as forgotten, or one fewer of an odd number."""
    kept = int(run.split.of_class(run.pair("retain")[1]).sum())
    return 0 < kept >= len(run.split.forget) - 1


def load_models(run: Run, names: Sequence[ModelId] | None = None) -> dict[ModelId, nn.Module]:
    """These models (default: all of the run): from the run's folder, else from the package, else
    made here, ``run.jobs`` at a time, each after the one that it starts from."""
    names = run.trained + run.unlearned if names is None else [ModelId(*n) for n in names]
    _ensure(run, names)
    return {name: load_model(run, name) for name in names}


def _ensure(run: Run, names: Sequence[ModelId]) -> None:
    """Put the checkpoints of these models into the run's folder."""
    found = {name: _find(run, name) for name in dict.fromkeys(names)}
    missing = [name for name in found if found[name] is None]
    if missing:
        _ensure(run, [p for name in missing if (p := parent_of(run, name))])
        print(f"{len(found) - len(missing)} of {len(found)} models are there")
        parallel(run, [(make, (run, name)) for name in missing], f"{len(missing)} models made")


def _find(run: Run, name: ModelId) -> Checkpoint | None:
    """A model's checkpoint in the run's folder, or the package's, which is put there."""
    path = run.checkpoint(name)
    if (found := store.find(path, key_of(run, name))) is not None or run.trained_here:
        return found
    if (shipped := store.find_shipped(key_of(run, name, here=False))) is not None:
        store.save(path, shipped, key_of(run, name))
    return shipped


def load_model(run: Run, name: ModelId) -> nn.Module:
    """One model of a run, in eval mode; made if it isn't there."""
    if (found := _find(run, name)) is None:
        return load_models(run, [name])[name]
    model = run.blank(0)
    model.load_state_dict(dict(found.weights))
    return model.eval()


def checksums(run: Run, names: Sequence[ModelId]) -> dict[ModelId, str]:
    """What keys know models by: checksums of their weights."""
    nets = load_models(run, names)
    return {name: store.checksum(net.state_dict()) for name, net in nets.items()}


def record_of(run: Run, name: ModelId) -> Mapping[str, Any]:
    """Facts about a model that is there: seconds, and "made_on" if it came with the package."""
    load_models(run, [name])
    return store.read(run.checkpoint(name))[0].record


def shipped_models(run: Run) -> str:
    """How many of the models in a run's folder came with the package, and where those were trained,
    in a sentence; "" if none did."""
    paths = (run.folder / "models").glob("[!.]*.safetensors")
    made_on = [store.read(path)[0].record.get("made_on") for path in paths]
    where = [text for text in made_on if text]
    if not where:
        return ""
    return f"{len(where)} of {len(made_on)} models came with the package, trained on {where[0]}"


def ship(run: Run) -> list[ModelId]:
    """Write all models of a run that were trained here into the package; returns which.

    Raises InputError if one came from the package, or if the run has plugins.
    """
    if run.plugins or shipped_models(run):
        raise checks.InputError(f"{run.folder}: expected a run without plugins, begun by --fresh")
    names = [ModelId.parse(path.stem) for path in (run.folder / "models").glob("[!.]*")]
    shutil.rmtree(store.TRAINED, ignore_errors=True)
    facts = surroundings(run.device)
    made_on = f"{facts['processor']}, torch {facts['torch']}, commit {facts['git']}"
    for name in names:
        model, _ = store.read(run.checkpoint(name))
        model = Checkpoint(model.weights, {**model.record, "made_on": made_on})
        key = key_of(run, name, here=False)
        store.save(store.TRAINED / f"{key}.safetensors", model, "")
    return names


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


def parent_of(run: Run, name: ModelId) -> ModelId | None:
    """The model that a model starts from, or None."""
    if name.method in METHODS:
        return ModelId("Original", name.seed)
    return run.pretrained[0] if run.pretrained and name.method != PRETRAIN else None


def key_of(run: Run, name: ModelId, *, here: bool = True) -> str:
    """The key of a model's weights; ``here``: in this run, else wherever they are made."""
    s, (method, seed) = run.scenario, name
    inputs = {"method": method, "seed": seed, "split": run.split.digest, "net": s.model}
    inputs |= extend.code(s.model, method)
    if parent := parent_of(run, name):
        inputs["parent"] = key_of(run, parent, here=False)
    if method in METHODS:
        inputs["settings"] = {**s.hyperparameters(method), **_context(run, method)}
    else:
        inputs["training"] = s.training(method)
    if method == PRETRAIN:
        inputs["split"] = run.pretraining_digest  # it isn't this split's
    if method == SMOOTHED:
        inputs["tau"] = max(s.taus)
    return store.key("model", inputs, here=here)


def ended(device: torch.device) -> float:
    """The time at which all that was asked of the device is done: a GPU works on behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def make(run: Run, name: ModelId) -> None:
    """Train or unlearn one model and write its checkpoint."""
    began, before = time.perf_counter(), 0.0
    if name.method in METHODS:
        model = unlearned(run, name.method, name.seed, run.scenario.hyperparameters(name.method))
    else:
        model, before = _trained(run, name)
    seconds = before + ended(run.device) - began
    if not finite(model):
        raise checks.InputError(
            f"{name.method} seed {name.seed} diverged: its weights aren't finite; try a smaller "
            "lr, as in --set training.lr=0.01"
        )
    record = {"scenario": run.scenario.name, "split": run.split.digest, **name._asdict()}
    record["seconds"] = round(seconds, 3)
    checkpoint = Checkpoint(model.state_dict(), record)
    store.save(run.checkpoint(name), checkpoint, key_of(run, name))
    _unfinished(run, name).unlink(missing_ok=True)


def _trained(run: Run, name: ModelId) -> tuple[nn.Module, float]:
    """Train a net with the scenario's recipe; it may go on from what a killed run kept, which took
    so many seconds."""
    s, (method, seed) = run.scenario, name
    if method == PRETRAIN:
        data = run.pretraining_data
        model, (x, y) = run.blank(seed, classes=len(data.classes)), data.train
    else:
        model = run.blank(seed)
        for start in run.pretrained:
            transfer(model, store.read(run.checkpoint(start))[0].weights)
        x, y = run.pair("original" if method == "Original" else "retain")
    if method == SAME_PRIOR:
        x, y = rehearsed(run.split, run.data).pair(run.data, "retain")
    if method == SMOOTHED:
        x, noise = tensors.as_float(x), generator(seed, 0, 0, 0, device=x.device)
        copies = gaussian(x, max(s.taus), generator=noise, bounds=run.data.bounds)
        x, y = torch.cat([x, copies]), y.repeat(2)
    if not s.keep_every:
        return fit(model, x, y, s.training(method), seed=seed), 0.0
    kept = Kept(_unfinished(run, name), key_of(run, name), every=s.keep_every)
    return fit(model, x, y, s.training(method), seed=seed, each_pass=kept), kept.before


def _unfinished(run: Run, name: ModelId) -> Path:
    """The state of an unfinished training."""
    return run.folder / "models" / f".{name}.kept.safetensors"


def unlearned(
    run: Run, method: str, seed: int, values: Mapping[str, Any], unlearning_seed: int | None = None
) -> nn.Module:
    """The Original of ``seed`` unlearned with some values of a method's hyper-parameters; nothing
    is kept. ``unlearning_seed`` is the method's, where it isn't Original's."""
    original, pairs = (
        load_model(run, ModelId("Original", seed)),
        map(run.pair, ("retain", "forget")),
    )
    seed = seed if unlearning_seed is None else unlearning_seed
    try:
        return METHODS[method](original, *pairs, seed=seed, **{**values, **_context(run, method)})
    except SystemExit as error:  # a plugin's method must not end a study as if all was well
        raise checks.InputError(f"{method} raised {error!r}, and returned no model") from error


def _context(run: Run, method: str) -> dict[str, Any]:
    """What a method doesn't take for granted: inputs that are no images in [0, 1], numbers that are
    not float32; to one that asks, how re-trained models are trained."""
    context: dict[str, Any] = {} if run.data.bounds == (0.0, 1.0) else {"bounds": run.data.bounds}
    if run.scenario.recipe.precision != "float32":
        context["precision"] = run.scenario.recipe.precision
    if "recipe" in defaults(method):
        context["recipe"] = run.scenario.training("Re-train")
    return context


class Kept:
    """Goes on with a killed training from its last kept pass, to the same bits: a hook of ``fit``.

    The order of batches and the augmentation follow from the seed, and ``fit`` draws those of the
    passes done again. All else is kept every ``every`` passes: weights, buffers, momentum, the
    global random state (dropout), and the seconds that the killed processes took (``before``).
    """

    def __init__(self, path: Path, key: str, *, every: int) -> None:
        self.path, self.key, self.every = path, key, every
        self.before, self.began = 0.0, time.perf_counter()

    def __call__(self, model: nn.Module, optimizer: torch.optim.SGD, done: int) -> int:
        """Called with ``done = 0`` before the first pass and after each; returns the passes done,
        more than 0 at first if a killed training kept some."""
        if done == 0:
            return self._read(model, optimizer)
        if done % self.every == 0:
            self._write(model, optimizer, done)
        return done

    def _write(self, model: nn.Module, optimizer: torch.optim.SGD, passes: int) -> None:
        kept = {f"state.{name}": tensor for name, tensor in model.state_dict().items()}
        for name, parameter in model.named_parameters():
            momentum = optimizer.state.get(parameter, {}).get("momentum_buffer")
            if momentum is not None:
                kept[f"momentum.{name}"] = momentum
        kept["random.cpu"] = torch.get_rng_state()
        if (device := next(model.parameters()).device).type == "cuda":
            kept["random.cuda"] = torch.cuda.get_rng_state(device)
        spent = self.before + time.perf_counter() - self.began
        store.save(self.path, Checkpoint(kept, {"passes": passes, "seconds": spent}), self.key)

    def _read(self, model: nn.Module, optimizer: torch.optim.SGD) -> int:
        if (found := store.find(self.path, self.key)) is None:
            return 0
        kept = found.weights
        model.load_state_dict({name: kept[f"state.{name}"] for name in model.state_dict()})
        for name, parameter in model.named_parameters():
            if (momentum := kept.get(f"momentum.{name}")) is not None:
                buffer = torch.empty_like(parameter).copy_(momentum)
                optimizer.state[parameter]["momentum_buffer"] = buffer
        torch.set_rng_state(kept["random.cpu"])
        if "random.cuda" in kept:
            torch.cuda.set_rng_state(kept["random.cuda"], next(model.parameters()).device)
        self.before = found.record["seconds"]
        return int(found.record["passes"])
