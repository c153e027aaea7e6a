"""``rurk audit``: models of one's own, from files, against re-trained ones."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rurklib.checks import InputError, number, one_of
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.residual.exchange import LESS_SURE, SURER
from rurklib.residual.verdict import NO_VERDICT, OVER, RESIDUAL
from rurklib.study import brought
from rurklib.study.cli.options import numbers
from rurklib.study.files import read_json


class Audit(click.Command):
    """Lets --references take several files: ``--references a b c``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread, several = [], False
        for word in args:
            if several and not word.startswith("-"):
                spread += ["--references", word]
                continue
            several = word == "--references"
            spread += [] if several else [word]
        return super().parse_args(ctx, spread)


FILE = click.Path(path_type=Path)
COPIES = f"how the copies are made: {', '.join(PERTURBATIONS)}"
TREATED = "treated-differently"
FAILURES = {  # what --fail-on takes, and the findings: who asks for one is not answered by none
    "residual": (RESIDUAL, NO_VERDICT), "over-forgotten": (OVER, NO_VERDICT),
    TREATED: (SURER, LESS_SURE), "no-verdict": (NO_VERDICT,), "flags": (),
}  # fmt: skip
ASKED = ("perturbation", "draws", "seed", "expect_chance")  # handed on as they are


@click.command(cls=Audit)
@click.option("--model", required=True, help="FILE.py:FUNCTION, run to build the net")
@click.option("--weights", type=FILE, required=True, help="the model's: safetensors or .pt")
@click.option(
    "--references",
    multiple=True,
    type=FILE,
    metavar="FILE ...",
    help="models re-trained without the forget samples: weights of the same net; none, if there "
    "are held-out samples",
)
@click.option("--data", type=FILE, required=True, help=".npz: x, y (or MedMNIST's train_images)")
@click.option("--forget", type=FILE, required=True, help=".npy: indices into it of what to forget")
@click.option("--held-out", type=FILE, help="samples nobody trained on: .npy indices, or .npz")
@click.option("--retain", type=FILE, help="samples all trained on: .npy indices, or .npz")
@click.option("--out", type=FILE, required=True, help="folder for the results, new or empty")
@click.option("--mean", help="taken off the pixels in the model: a number, or one per channel")
@click.option("--std", help="what they are then divided by; both in units of the data, [0, 1]")
@click.option("--label-order", metavar="LIST", help="the data's label for each of the outputs")
@click.option(
    "--expect-accuracy",
    type=float,
    metavar="SHARE",
    help="refuse (2) if a model or reference is right on less of --held-out (or of --retain): a "
    "little below the least accurate one's",
)
@click.option(
    "--expect-chance",
    is_flag=True,
    help="references may guess: a whole class was forgotten, or the samples are that hard",
)
@click.option("--taus", default="0,0.01,0.02,0.03,0.05,0.08", show_default=True, help="radii")
@click.option("--perturbation", default="gaussian", show_default=True, help=COPIES)
@click.option("--draws", default=100, show_default=True, help="copies per sample and tau")
@click.option("--seed", default=0, show_default=True, help="decides the copies")
@click.option("--bounds", default="0,1", show_default=True, help="range of the input, or none")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option(
    "--fail-on", metavar="LIST", default="", help=f"exit code 1 for {', '.join(FAILURES)}"
)
def audit(
    out: Path, taus: str, bounds: str, fail_on: str, expect_accuracy: float | None, **given: Any
) -> None:
    """Ask whether a model of your own still knows what it should have forgotten.

    Two questions, on noisy copies of the forget samples. Is it like models that were re-trained
    without them (three at least, better six)? And does it treat them unlike held-out samples of
    their classes (--held-out; no re-trained model is needed, but one or two sharpen it)?
    FILE.py:FUNCTION names a function without arguments that returns the net: floats in [0, 1] in,
    logits out, normalisation inside (or --mean and --std). It is imported and called, so the code
    in that file is run, as in those of --with; nothing else is: weights are safetensors or a
    state_dict in a .pt file, which PyTorch's restricted loader reads, and arrays
    are plain numbers.

    Prints how many samples each is right on, both answers, and accuracies by tau; writes
    audit.json, residual_knowledge.csv, samples.csv, controls.csv, curves.png and report.html. Exit
    code 0 whatever they are, but for --fail-on, where asking for a finding of which there is no
    verdict is 1 too; 2 for bad input.

    \b
    rurk audit --model m.py:build --weights m.safetensors
      --references a1.safetensors a2.safetensors a3.safetensors
      a4.safetensors a5.safetensors a6.safetensors
      --data data.npz --forget forget.npy --held-out test.npz --out audit/
    """
    from rurklib.study.audit.audit import audit as run
    from rurklib.study.audit.audit import free
    from rurklib.study.audit.files import read_audit
    from rurklib.study.audit.fitted import as_expected
    from rurklib.study.audit.plain import by_tau, rising, said

    named = [word for word in fail_on.split(",") if word]
    for word in named:
        one_of("--fail-on", word, FAILURES)
    if TREATED in named and given["held_out"] is None:
        raise InputError(f"--fail-on {TREATED} needs --held-out: there is nobody to compare with")
    beside = "held_out" if given["held_out"] else "retained" if given["retain"] else None
    if expect_accuracy is not None:
        number("--expect-accuracy", expect_accuracy, 0, 1)
        if beside is None:
            raise InputError(
                f"--expect-accuracy {expect_accuracy:g} needs --held-out or --retain: samples that "
                "every model is expected to know"
            )
    free(out)
    asked: dict[str, Any] = {name: given.pop(name) for name in ASKED}
    asked |= {"out": out, "taus": numbers("--taus", taus), "bounds": _bounds(bounds)}
    for name in ("mean", "std", "label_order"):
        if given[name] is not None:
            values = numbers(f"--{name.replace('_', '-')}", given[name])
            given[name] = [int(v) if v.is_integer() else v for v in values]
    title = f"Audit of {given['weights']}"
    read = read_audit(**given)
    if expect_accuracy is not None and beside:
        nets = {str(given["weights"]): read["model"], **read["references"]}
        as_expected(nets, read[beside], beside.replace("_", "-"), expect_accuracy)
    known = [given[k] for k in ("weights", "data", "forget", "held_out", "retain") if given[k]]
    known += [Path(given["model"].rpartition(":")[0]), *given["references"]]
    known += map(Path, brought.GIVEN)
    hashes = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in known}
    result = run(**read, **asked, title=title, hashes=hashes, progress=every_few_seconds())
    told = read_json(out / "audit.json")
    answers = [told["verdict"], *([told["exchange"]] if told["exchange"] else [])]
    lines = [said(result.right or {}), *(answer["sentence"] for answer in answers)]
    lines += [text for text in (told["together"], rising(result)) if text]
    lines += [f"flag: {flag}" for flag in result.flags]
    click.echo("\n".join([*lines, "", by_tau(result), "", f"report: {out / 'report.html'}"]))
    if failed := failures(named, answers, [flag.name for flag in result.flags]):
        click.echo("\n".join(failed), err=True)
        raise SystemExit(1)


def failures(named: list[str], answers: list[dict[str, Any]], flags: list[str]) -> list[str]:
    """What of ``named`` (--fail-on) is so, a line for each, with the reason."""
    found, said = [answer["finding"] for answer in answers], []
    for word in named:
        why = [finding for finding in found if finding in FAILURES[word]]
        if word == "flags":
            why = flags
        elif word == TREATED and len(answers) < 2:
            why = ["it could not be asked, see the flags"]
        none = ", which acquits nobody; it says why above" * (why == [NO_VERDICT])
        said += [f"--fail-on {word}: {', '.join(why)}{none}"] * bool(why)
    return said


def every_few_seconds(seconds: float = 5.0) -> Callable[[float], None]:
    """A function that is told which part is done, and says so now and then, with the time left."""
    began = said = time.monotonic()

    def tell(part: float) -> None:
        nonlocal said
        now = time.monotonic()
        if part and (now - said >= seconds or (part >= 1 and said > began)):
            said, left = now, (now - began) * (1 - part) / part
            more = f", about {left:.0f} s left" * (part < 1)
            click.echo(f"{part:.0%} of the copies counted{more}", err=True)

    return tell


def _bounds(text: str) -> tuple[float, float] | None:
    if text == "none":
        return None
    values = numbers("--bounds", text)
    if len(values) != 2 or not values[0] < values[1]:
        raise InputError(f"--bounds {text}: expected the lowest and the highest value, or none")
    return values[0], values[1]
