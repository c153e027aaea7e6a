"""The page of a run: its models, its forgotten images and what its study found, in one file."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import special
from torch import Tensor, nn

from rurklib import checks, residual_knowledge
from rurklib.checks import InputError
from rurklib.data import ANY
from rurklib.models import Normalized
from rurklib.residual import statistics
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.statistics import MIN_REFERENCES
from rurklib.study.figures.style import style
from rurklib.study.inspector import seed_of
from rurklib.study.models import load_models
from rurklib.study.run import ModelId, Run
from rurklib.tensors import as_float
from rurklib.unlearn.contract import METHODS

HERE = Path(__file__).parent
REFERENCES = 4  # re-trained models on the page
HEADINGS = (  # of the three guided steps
    "Before forgetting, Original knows this {word}",
    "Models that never saw it know it less",
    "Push too hard, and it shows as well",
)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NOTES = {
    "Original": "learned from it",
    "Re-train": "never saw it",
    "GD": "only trained on, without it",
    "RURK": "as GD; also made to miss noisy copies",
    "SalUn": "was taught wrong answers for it",
}
CHOSEN = {"digits": "These nines were chosen from about twenty such requests because it shows."}


def page(
    run: Run,
    methods: Sequence[str] = ("GD", "RURK", "SalUn"),
    *,
    seed: int | None = None,
) -> str:
    """The page's HTML: Original and ``methods`` of one experiment seed (None: the run's first),
    beside the run's first four re-trained models (three if it has no more).

    A measurement says where it shows most, which is what the steps show (:func:`telling`). Raises
    InputError for data that aren't images in [0, 1], nets with layers that the page doesn't know,
    methods or a seed that the run has not, or fewer than three re-trained models.
    """
    methods = list(dict.fromkeys(methods))
    for method in methods:
        checks.one_of("method of this run", method, run.scenario.methods)
    there, seed = run.names("Re-train"), seed_of(run, seed)
    if len(there) < MIN_REFERENCES:
        raise InputError(
            f"{run.folder} has {len(there)} re-trained models: a band needs {MIN_REFERENCES}"
        )
    references = min(len(there), REFERENCES)
    label = run.split.forget_class
    if run.data.bounds != (0.0, 1.0) or run.data.train[0].ndim != 4 or label == ANY:
        raise InputError(
            f"{run.scenario.name}: the page is about images in [0, 1] of one class; expected a run "
            "that forgets such, e.g. runs/digits"
        )
    names = [ModelId(method, seed) for method in ("Original", *methods)]
    names[1:1] = there[:references]
    nets = load_models(run, names)
    net = [
        {**what, "sizes": {k: t.numel() for k, t in own.items()}}
        for what, own in layers(nets[names[0]])
    ]
    (x, y), tau = run.pair("forget"), max(run.scenario.taus)
    measured = residual_knowledge(
        {str(name): nets[name] for name in names if name.method != "Re-train"},
        {str(name): nets[name] for name in names if name.method == "Re-train"},
        x, y, taus=[0.0, *(round(tau * more, 2) for more in (1, 1.25, 1.5))],
    )  # fmt: skip
    order, steps = telling(measured)
    classes = [escape(name) for name in run.data.classes]  # they become parts of the page
    word = escape(in_words(run.data.classes[label]))
    few, more = (in_words(str(n)) for n in (references, references + 1))
    content = {
        "shape": list(x.shape[1:]),
        "images": _base64(as_float(x)[order]),
        "labels": y[order].tolist(),
        "classes": classes,
        "taus": [round(0.01 * i, 2) for i in range(round(200 * tau) + 1)],
        "layers": net,
        "models": [_model(name, nets[name], i) for i, name in enumerate(names)],
        "steps": steps,
        "quantile": float(special.stdtrit(references - 1, 0.975)),
        "study": _study(run, seed, methods),
        "headings": [heading.format(word=word) for heading in HEADINGS],
        **{"word": word, "few": few, "more": more},
    }
    marks = {"word": word, "many": str(len(x)), "few": few}
    marks["run"] = f"{escape(run.title)}; models of seed {seed}"
    marks["chosen"] = CHOSEN.get(run.scenario.name, "")
    marks["data"] = json.dumps(content, separators=(",", ":"))
    html = (HERE / "page.html").read_text(encoding="utf-8")
    for path in (*HERE.glob("*.css"), *HERE.glob("*.js")):
        html = html.replace(f"{{{{{path.name}}}}}", path.read_text(encoding="utf-8"))
    for name, text in marks.items():
        html = html.replace(f"{{{{{name}}}}}", text)
    return html


def in_words(number: str) -> str:
    """A digit as a word, "9" as "nine"; anything else as it is."""
    return NUMBERS[int(number)] if number.isdecimal() and int(number) < len(NUMBERS) else number


def telling(measured: ResidualKnowledge) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """What the page shows first, of a measurement at tau 0 and larger ones: the order of samples,
    and for two steps the model that each is about, the sample's place in that order, and tau.

    Step 1 takes the sample and the tau where Original is furthest above the re-trained models'
    band, of those samples that they all recognise without noise; by that distance samples are in
    order, the others last. Step 2 is about the method that recognises least: at the second tau, the
    sample where it is furthest below the band and Original isn't below it.
    """
    original, *unlearned = measured.models
    known = (measured.hits_of(original)[1][:, 0] > 0).all(0)
    everyone = (*measured.models, *measured.references)
    ratio = {n: statistics.per_sample(*measured.hits_of(n))[1:] for n in everyone}  # [tau, sample]
    band = np.stack([ratio[name] for name in measured.references])
    least = min(unlearned, key=lambda name: measured.hits_of(name)[0].sum())

    def best(distance: np.ndarray, allowed: Any) -> np.ndarray:
        return np.where(allowed & ~np.isnan(distance), distance, -np.inf)

    above = best(ratio[original] - band.max(0), known)
    below = best(band.min(0) - ratio[least], ratio[original] >= band.min(0))[0]
    at = int(above.max(1).argmax())
    order = np.argsort(-above[at], kind="stable")
    taus = measured.counts.options.taus[1:]
    return order, [
        {"model": "Original", "sample": 0, "tau": taus[at]},
        {
            "model": ModelId.parse(str(least)).method,
            "sample": int(below[order].argmax()),
            "tau": taus[0],
        },
    ]


def _model(name: ModelId, net: nn.Module, place: int) -> dict[str, Any]:
    look, retrained = style(name.method), name.method == "Re-train"
    if name.method in ("Original", "Re-train"):  # black and grey are the visitor's scheme's
        look["color"] = "var(--grey)" if retrained else "var(--ink)"
    note = NOTES.get(name.method) or escape((METHODS[name.method].__doc__ or "").splitlines()[0])
    weights = _base64(*(t for _, own in layers(net) for t in own.values()))
    shown = f"Re-trained {place}" if retrained else name.method
    return {"name": shown, "retrained": retrained, "note": note, **look, "weights": weights}


def _study(run: Run, seed: int, methods: Sequence[str]) -> Mapping[str, Any]:
    """What the run's own measurement found: all its references, its draws, at each of its taus."""
    frame = pd.read_csv(run.table("residual_knowledge.csv"))
    frame = frame[(frame.perturbation == "gaussian") & (frame.seed == seed)]
    frame = frame[frame.method.isin(["Original", *methods])]
    taus = {
        f"{tau:.2f}": {
            "band": [round(float(rows[c].iloc[0]), 3) for c in ("predict_low", "predict_high")],
            "ratios": dict(zip(rows.method, rows.ratio_of_means.round(3), strict=True)),
        }
        for tau, rows in frame.groupby("tau")
    }
    return {"references": run.scenario.references, "draws": run.scenario.draws, "taus": taus}


def _base64(*tensors: Tensor) -> str:
    """Float32, little-endian, one after the other."""
    numbers = np.concatenate([t.cpu().numpy().ravel() for t in tensors]).astype("<f4")
    return base64.b64encode(numbers.tobytes()).decode()


# --- nets as lists of layers, for a reader that has no PyTorch ----------------------------------

Layer = tuple[dict[str, Any], dict[str, Tensor]]  # what it is, and its weights by name


def layers(net: nn.Module) -> list[Layer]:
    """The layers of a net in eval mode, in the order in which they are applied.

    Of each its ``kind``, its settings, and its weights in float64, on the CPU. BatchNorm is folded
    into the layer before it where that is linear, and else a ``scale``, ``x * weight + bias`` for
    each channel, as ``Normalized`` is. Raises InputError for a net that isn't one layer after the
    other, or for a layer that isn't in ``KNOWN``.
    """
    if isinstance(net, Normalized):
        mean, std = net.mean.double().cpu(), net.std.double().cpu()
        scale = {"weight": 1 / std, "bias": -mean / std}
        return [({"kind": "scale"}, scale), *layers(net.net)]
    if type(net) is nn.Sequential:
        return _folded([layer for part in net for layer in layers(part)])
    known = KNOWN[type(net)](net) if type(net) in KNOWN else None
    if known is None:
        names = ", ".join(kind.__name__ for kind in KNOWN)
        raise InputError(
            f"{net}: the page's nets are {names} (square, ungrouped, without dilation), one after "
            "the other; expected a run of such a net, as --set model=small-cnn makes"
        )
    what, weights = known
    return [(what, {name: t.detach().double().cpu() for name, t in weights.items()})]


def _folded(found: list[Layer]) -> list[Layer]:
    """A scale after a linear layer becomes part of its weights."""
    kept: list[Layer] = []
    for what, own in found:
        if what["kind"] == "scale" and kept and kept[-1][0]["kind"] in ("conv2d", "linear"):
            before = kept[-1][1]
            before["weight"] = before["weight"].flatten(1) * own["weight"].reshape(-1, 1)
            before["bias"] = before["bias"] * own["weight"] + own["bias"]
        else:
            kept.append((what, own))
    return kept


def _linear(m: Any, out: int, **settings: Any) -> Any:
    bias = torch.zeros(out) if m.bias is None else m.bias
    kind = "conv2d" if settings else "linear"
    return {"kind": kind, "out": out, **settings}, {"weight": m.weight, "bias": bias}


def _conv(m: Any) -> Any:
    square = all(pair[0] == pair[-1] for pair in (m.kernel_size, m.stride, m.padding))
    plain = m.groups == 1 and m.dilation == (1, 1) and m.padding_mode == "zeros"
    if not (square and plain) or isinstance(m.padding, str):
        return None
    settings = {"size": m.kernel_size[0], "stride": m.stride[0], "padding": m.padding[0]}
    return _linear(m, m.out_channels, **settings)


def _norm(m: Any) -> Any:
    if not (m.affine and m.track_running_stats):
        return None
    scale = m.weight.double() / torch.sqrt(m.running_var.double() + m.eps)
    shift = m.bias.double() - m.running_mean.double() * scale
    return {"kind": "scale"}, {"weight": scale, "bias": shift}


def _pool(m: Any) -> Any:
    plain = m.padding == 0 and m.dilation == 1 and not m.ceil_mode and m.stride == m.kernel_size
    whole = plain and isinstance(m.kernel_size, int)
    return ({"kind": "maxpool2d", "size": m.kernel_size}, {}) if whole else None


def _mean(m: Any) -> Any:
    whole = isinstance(m.output_size, int)
    return ({"kind": "avgpool2d", "out": m.output_size}, {}) if whole else None


KNOWN: dict[type[nn.Module], Callable[[Any], Any]] = {
    nn.Conv2d: _conv,
    nn.BatchNorm2d: _norm,
    nn.ReLU: lambda m: ({"kind": "relu"}, {}),
    nn.MaxPool2d: _pool,
    nn.AdaptiveAvgPool2d: _mean,
    nn.Flatten: lambda m: (
        ({"kind": "flatten"}, {}) if (m.start_dim, m.end_dim) == (1, -1) else None
    ),
    nn.Linear: lambda m: _linear(m, m.out_features),
}
