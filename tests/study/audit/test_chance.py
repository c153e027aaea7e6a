"""Models that guess acquit, and so does what an audit leans on by mistake: told, each of them."""

import copy
import json
import math

import pytest
import torch
from torch import nn

import rurklib
from rurklib.checks import InputError
from rurklib.residual.verdict import NO_VERDICT, RESIDUAL
from rurklib.study.audit.chance import ALONE, CHANCE, of_all_classes
from rurklib.study.audit.files import built
from rurklib.study.audit.samples import rests_on

ASKED = {"taus": [0, 0.1], "draws": 4}


@pytest.mark.parametrize("expect_chance", [False, True])
def test_nets_that_give_one_answer_acquit_nobody(planted, always, expect_chance):
    """As without the normalisation: right on the share of one class, which is more than 1/3 of
    unequal classes. Fails if that isn't seen where forget samples are of every class; or if one of
    such nets is called one that saw them."""
    x, y = planted.pair("forget")
    some = torch.nonzero((y == 0) | (torch.arange(45) < 12)).flatten()
    model, *nets = (always(0, seed) for seed in range(6))
    given = {"held_out": planted.pair("held_out"), "expect_chance": expect_chance, **ASKED}
    result = rurklib.audit(model, nets, x[some], y[some], **given)
    assert (y[some] == 0).double().mean() > 0.5
    assert CHANCE in result.flagged
    assert "reference unlike the others" not in result.flagged
    told = "no better than guessing: mend the set-up" in str(result.verdict)
    assert told == (result.verdict.finding == NO_VERDICT) == (not expect_chance)


def test_one_that_guesses_among_good_references_acquits_nobody(planted, always):
    """An untrained one of six. Fails if its spread lets the model pass in silence, or if a good
    reference is called such."""
    x, y = planted.pair("forget")
    given = {"held_out": planted.pair("held_out"), **ASKED}
    good = rurklib.audit(planted.original, planted.references, x, y, **given)
    assert ALONE not in good.flagged
    assert good.verdict.finding == RESIDUAL
    mixed = {f"a{i}": net for i, net in enumerate(planted.references)} | {"raw": always(0, 0)}
    result = rurklib.audit(planted.original, mixed, x, y, **given)
    assert ALONE in result.flagged
    assert result.verdict.finding == NO_VERDICT
    assert "raw guesses where other references don't: re-train it or leave it out" in str(
        result.verdict
    )
    meant = rurklib.audit(planted.original, mixed, x, y, **given, expect_chance=True)
    assert meant.verdict.finding != NO_VERDICT


def test_few_samples_make_nobody_guess_alone(planted, always):
    """Of twelve samples one reference is right on eight, which a guess may be, and the others on
    ten: fails if it is called one that guesses where the others don't."""
    y = torch.arange(12) % 2
    nets = {k: nn.Linear(12, 2) for k in range(4)}
    for k, net in nets.items():
        wrong = torch.arange(12) < (4 if k == 1 else 2)
        net.weight.data = nn.functional.one_hot(y ^ wrong, 2).T.float()
        net.bias.data.zero_()
    assert of_all_classes(nets | {9: nets[2]}, [(torch.eye(12), y)], own=9)[1] == []
    x, y = planted.pair("held_out")
    nets = dict(enumerate(planted.references))
    row, flags = of_all_classes(nets | {9: always(0, 0)}, [(x, y)], own=0)
    assert [f.name for f in flags] == [ALONE]
    assert row["of"] == 200
    assert row["9"] == int((y == 0).sum())


def test_a_finding_that_rests_on_one_sample_says_so(planted, tmp_path):
    """Re-trained models, and one that knows a single sample very well. Fails if that is told as if
    it were of all; or if anything is said of Original, which knows most of them."""
    x, y = planted.pair("forget")

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = copy.deepcopy(planted.retrained)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            near = ((z - x[7]).norm(dim=1) < 0.8)[:, None]
            return self.net(z) + near * 1e3 * nn.functional.one_hot(y[7:8], 3)

    others = planted.references
    asked = {"held_out": planted.pair("held_out"), "indices": [*range(100, 145)], **ASKED}
    for name, model in (("one", One()), ("all", planted.original)):
        result = rurklib.audit(model, others, x, y, out=tmp_path / name, **asked)
        if name == "one":
            told = rests_on(result, result.verdict)
    told, of_all = (
        json.loads((tmp_path / n / "audit.json").read_text())["together"] for n in ("one", "all")
    )
    assert told.startswith("The finding rests on one sample, index 107: without it the answer is")
    assert "rests on one sample" not in of_all
    assert told[:40] in (tmp_path / "one" / "report.html").read_text()


def test_what_spoils_an_audit_is_refused_before_it(planted):
    """Held-out samples that are retained ones; radii in grey levels; weights that aren't finite."""
    x, y = planted.pair("forget")
    kept, held_out = planted.pair("kept"), planted.pair("held_out")
    mixed = torch.cat([held_out[0], kept[0][:5]]), torch.cat([held_out[1], kept[1][:5]])
    nets = planted.original, planted.references, x, y
    with pytest.raises(InputError, match="5 of 205 held-out samples are in the retained set too"):
        rurklib.audit(*nets, held_out=mixed, retained=kept, **ASKED)
    with pytest.raises(InputError, match=r"taus reach 16, inputs span 0 \.\.\. 1"):
        rurklib.audit(*nets, taus=[0, 8, 16], draws=2)
    rurklib.audit(*nets, taus=[0, 2.0], draws=2, perturbation="uniform-l2")  # that is a norm
    net = nn.BatchNorm1d(3)
    net.running_var[1] = math.inf
    with pytest.raises(InputError, match=r"w\.pt: running_var holds NaN or infinity"):
        built(lambda: nn.BatchNorm1d(3), "w.pt", net.state_dict(), "m.py:build")
