"""Three things to find with the inspector. A check says whether what is set shows it, and what is
missing; an example is looked for by the same check, so a task without an answer can be told."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from rurklib.study.inspector.choices import AIMS, NORMS, STEPS, perturbation_named
from rurklib.study.inspector.running_ratio import ratio_so_far
from rurklib.study.inspector.steps import pushed, recognised, word_of
from rurklib.study.inspector.view import Inspector

State = Mapping[str, Any]  # the settings of the inspector's panel, by name
TRIED = 12  # samples among which an example is looked for


class Answer(NamedTuple):
    """Whether what is set is what was asked for, and why (not)."""

    right: bool
    said: str


class Task(NamedTuple):
    """What is to be found (:func:`question`), how it is checked and where an example is looked for
    (:func:`example`); the latter two are given an inspector."""

    name: str
    text: str
    check: Callable[[Inspector, State], Answer]
    tries: Callable[[Inspector], Iterator[State]]


def question(inspector: Inspector, task: Task) -> str:
    """What is to be found, in the words of a run."""
    words = {"word": word_of(inspector.run), "lead": inspector.lead, "tau": _far(inspector)}
    return task.text.format(**words)


def example(inspector: Inspector, task: Task) -> State | None:
    """Settings that the check calls right, from the first samples; None if none of them is."""
    tries = task.tries(inspector)
    return next((state for state in tries if task.check(inspector, state).right), None)


def only_original(inspector: Inspector, state: State) -> Answer:
    """Does Original, and no re-trained model, know the noisy copy?"""
    if said := _not_noise(inspector, state):
        return Answer(False, said)
    knows, of = _knows(inspector, state), len(inspector.references)
    many = sum(knows[name] for name in inspector.references)
    if not knows[inspector.lead]:
        return Answer(False, f"{inspector.lead} doesn't know this copy: try another draw.")
    if many:
        said = f"This copy is known to {many} of {of} re-trained models as well"
        return Answer(False, f"{said}: try another draw or sample.")
    said = f"{inspector.lead} knows this copy, and none of {of} re-trained models does. You looked"
    return Answer(True, f"{said} for it, so it proves nothing yet: the running ratio counts all.")


def too_hard(inspector: Inspector, state: State) -> Answer:
    """Is an unlearned model's running ratio below 1, its interval and all, as some of re-trained
    models are, and does it know fewer copies than each of these?"""
    if said := _not_noise(inspector, state):
        return Answer(False, said)
    model = state["model"]
    if model in (inspector.lead, *inspector.references):
        return Answer(False, f"{model} wasn't made to forget: choose a method as model.")
    own, others = recognised(inspector, state["sample"], model, state["tau"])
    ratio, low, high = (float(a[-1]) for a in ratio_so_far(own, others))
    told = f"{model}: ratio {ratio:.2f} ({low:.2f} to {high:.2f}) after {len(own)} copies"
    if not high < 1:
        return Answer(False, f"{told}, not wholly below 1: try another model or sample.")
    known = others.sum(1)
    told += f". It knows {own.sum()}, re-trained models {known.min()} to {known.max()}"
    if own.sum() >= known.min():
        return Answer(False, f"{told}, one of them as few: try another model or sample.")
    return Answer(True, f"{told}: it fails where models that never saw the sample don't.")


def not_fooled(inspector: Inspector, state: State) -> Answer:
    """Does a change that was found on a re-trained model change its answer, and not Original's?"""
    lead, model = inspector.lead, state["found_on"]
    if state["kind"] not in ("FGSM", "PGD") or state["aim"] != AIMS[1]:
        return Answer(False, "Choose FGSM or PGD as perturbation, and search away from y.")
    if model not in inspector.references:
        return Answer(False, f"Search on a re-trained model (found on), not on {model}.")
    before, after = (_knows(inspector, s) for s in ({**state, "tau": 0.0}, state))
    if not before[model]:
        return Answer(False, f"{model} doesn't know even the unchanged image: try another sample.")
    if after[model]:
        more = ", or more steps" if state["kind"] == "PGD" else ""
        return Answer(False, f"{model} still knows it: take a larger tau{more}.")
    if not after[lead]:
        return Answer(False, f"{lead} is fooled as well: take a smaller tau, or another sample.")
    said = f"{model} is fooled by a change made for it, {lead} isn't. Must one made for {lead} be"
    return Answer(True, f"{said} larger? Choose {lead} as found on; press radius of each model.")


def _noisy(inspector: Inspector) -> Iterator[State]:
    for sample in inspector.order[:TRIED].tolist():
        draws = range(inspector.run.scenario.draws)
        yield from (_set(inspector, sample=sample, draw=draw) for draw in draws)


def _pushed(inspector: Inspector) -> Iterator[State]:
    if not inspector.run.scenario.methods:
        return
    model, hard, _ = pushed(inspector)
    for sample in (*inspector.order[::-1][:TRIED].tolist(), hard):  # the third step's: last
        yield _set(inspector, sample=sample, model=model)


def _searched(inspector: Inspector) -> Iterator[State]:
    for sample in inspector.order[:: len(inspector.order) // TRIED + 1].tolist():  # of all kinds
        for share in (0.25, 0.1, 0.5, 0.025):
            for model in inspector.references:
                shared = {"kind": "PGD", "aim": AIMS[1], "tau": share * _far(inspector)}
                yield _set(inspector, sample=sample, found_on=model, **shared)


TASKS = (
    Task(
        "Only Original",
        "Find a noisy copy of a forgotten {word} (Gaussian, tau {tau:g} or more) that {lead} "
        "recognises and no re-trained model does.",
        only_original,
        _noisy,
    ),
    Task(
        "Overdone",
        "Find a forgotten {word} and a model that overdid it: the whole band of its ratio is below "
        "1, and it knows fewer copies than each re-trained model (Gaussian, tau {tau:g} or more).",
        too_hard,
        _pushed,
    ),
    Task(
        "Not fooled",
        "Find a change to a forgotten {word} that fools a re-trained model and not {lead}: by FGSM "
        "or PGD, away from y (the true class), found on this re-trained model.",
        not_fooled,
        _searched,
    ),
)


def _far(inspector: Inspector) -> float:
    return float(inspector.run.scenario.taus[-1])


def _set(inspector: Inspector, **values: Any) -> dict[str, Any]:
    lead = {"found_on": inspector.lead, "model": inspector.lead}
    noise = {"kind": "Gaussian", "norm": NORMS[0], "aim": AIMS[0], "tau": _far(inspector)}
    return {"sample": int(inspector.order[0]), "draw": 0, "steps": STEPS, **noise, **lead, **values}


def _not_noise(inspector: Inspector, state: State) -> str:
    """What has to be set first where the task is about noise; "" if nothing has."""
    if state["kind"] != "Gaussian":
        return f"This is about noise: choose Gaussian as perturbation, not {state['kind']}."
    far = _far(inspector)
    return "" if state["tau"] >= far else f"tau is {state['tau']:g}: move it to {far:g}."


def _law(state: State) -> str:
    return perturbation_named(state["kind"], state["norm"], state["aim"])


def _knows(inspector: Inspector, state: State) -> dict[str, bool]:
    """Whether each model recognises the copy that is set."""
    asked = {k: state[k] for k in ("sample", "tau", "draw", "found_on", "steps")}
    view = inspector.view(perturbation=_law(state), **asked)
    return dict(zip(view.models, view.recognised.tolist(), strict=True))
