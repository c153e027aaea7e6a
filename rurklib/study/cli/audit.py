"""``rurk audit``: models of one's own, from files, against re-trained ones."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rurklib.checks import InputError, number, one_of
from rurklib.perturb import PERTURBATIONS
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
FAILURES = {  # conditions of --fail-on, and their findings: no verdict is no answer to any
    "residual": (RESIDUAL, NO_VERDICT), "over-forgotten": (OVER, NO_VERDICT),
    TREATED: (SURER, LESS_SURE), "no-verdict": (NO_VERDICT,), "flags": (),
}  # fmt: skip
SETTINGS = ("perturbation", "draws", "seed", "expect_chance")  # of the measurement


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
    out: Path, taus: str, bounds: str, fail_on: str, expect_accuracy: float | None, **files: Any
) -> None:
    """Ask whether a model of your own still knows what it should have forgotten.

    Two questions, on noisy copies of the forget samples. Is it like models that were re-trained
    without them (three at least, better six)? And does it treat them unlike held-out samples of
    their classes (--held-out; no re-trained model is needed, but one or two sharpen it)?
    FILE.py:FUNCTION names a function without arguments that returns the net: floats in [0, 1] in,
    logits out, normalisation inside (or --mean and --std). It is imported and called, so the code
    in that file is run, as in those of --with; nothing else is: weights are safetensors or a
    state_dict in a .pt file, which PyTorch's restricted loader reads, and arrays are plain numbers.

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
    from rurklib.study.audit.audit import check_free
    from rurklib.study.audit.files import check_accuracy, read_audit
    from rurklib.study.audit.plain import accuracy_by_tau, right_in_words

    conditions = [word for word in fail_on.split(",") if word]
    for word in conditions:
        one_of("--fail-on", word, FAILURES)
    if TREATED in conditions and files["held_out"] is None:
        raise InputError(f"--fail-on {TREATED} needs --held-out: there is nobody to compare with")
    check_free(out)
    settings: dict[str, Any] = {name: files.pop(name) for name in SETTINGS}
    settings |= {"taus": numbers("--taus", taus), "bounds": _bounds(bounds)}
    for name in ("mean", "std", "label_order"):
        if files[name] is not None:
            files[name] = numbers(f"--{name.replace('_', '-')}", files[name])
    read = read_audit(**files)
    if expect_accuracy is not None:
        number("--expect-accuracy", expect_accuracy, 0, 1)
        control = next((name for name in ("held_out", "retained") if name in read), None)
        if control is None:
            raise InputError("--expect-accuracy needs --held-out or --retain: samples to try it on")
        nets = {str(files["weights"]): read["model"], **read["references"]}
        check_accuracy(nets, read[control], control.replace("_", "-"), expect_accuracy)
    paths = [files[k] for k in ("weights", "data", "forget", "held_out", "retain") if files[k]]
    paths += [Path(files["model"].rpartition(":")[0]), *files["references"]]
    paths += map(Path, brought.GIVEN)
    hashes = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    title = f"Audit of {files['weights']}"
    progress = show_progress()
    put_in = {name: files[name] for name in ("mean", "std", "label_order") if files[name]}
    settings |= {"hashes": hashes, "preprocessing": put_in, "progress": progress}
    result = run(**read, **settings, out=out, title=title)
    written = read_json(out / "audit.json")
    answers = [answer for answer in (written["verdict"], written["exchange"]) if answer]
    lines = [right_in_words(result.right or {}), *(answer["sentence"] for answer in answers)]
    lines += [written["rests_on"]] if written["rests_on"] else []
    lines += [f"flag: {flag}" for flag in result.flags]
    report = f"report: {out / 'report.html'}"
    click.echo("\n".join([*lines, "", accuracy_by_tau(result), "", report]))
    if failed := _failures(conditions, answers, [flag.name for flag in result.flags]):
        click.echo("\n".join(failed), err=True)
        raise SystemExit(1)


def _failures(conditions: list[str], answers: list[dict[str, Any]], flags: list[str]) -> list[str]:
    """Which of ``conditions`` (--fail-on) hold, a line for each, with the reason."""
    lines = []
    for word in conditions:
        reasons = [a["finding"] for a in answers if a["finding"] in FAILURES[word]]
        if word == "flags":
            reasons = flags
        elif word == TREATED and len(answers) < 2:
            reasons = ["not tested, see the flags"]
        lines += [f"--fail-on {word}: {', '.join(reasons)}"] if reasons else []
    return lines


def show_progress(seconds: float = 5.0) -> Callable[[float], None]:
    """A function that is told which part is done, and says so now and then, with the time left."""
    began = last = time.monotonic()

    def show(part: float) -> None:
        nonlocal last
        now = time.monotonic()
        if part and now - last >= seconds:
            last, left = now, (now - began) * (1 - part) / part
            click.echo(f"{part:.0%} of the copies counted, about {left:.0f} s left", err=True)

    return show


def _bounds(text: str) -> tuple[float, float] | None:
    if text == "none":
        return None
    values = numbers("--bounds", text)
    if len(values) != 2 or not values[0] < values[1]:
        raise InputError(f"--bounds {text}: expected the lowest and the highest value, or none")
    return values[0], values[1]
