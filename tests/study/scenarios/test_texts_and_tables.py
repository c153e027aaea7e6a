"""Texts and tables go through a study as images do."""

import random

import pytest
import torch

from rurklib import InputError, study
from rurklib.edits import check_texts
from rurklib.models import build
from rurklib.perturb import PERTURBATIONS
from rurklib.study.run import open_run
from rurklib.study.summary import summarise
from rurklib.unlearn.contract import METHODS

SMALL = {"epochs": 2, "references": 3, "draws": 3, "taus": [0.0, 0.5], "methods": ["GD", "RURK"],
         "GD.epochs": 1, "RURK.epochs": 1}  # fmt: skip


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A file of 90 texts of three classes, each with words of its own."""
    rng, path = random.Random(0), tmp_path_factory.mktemp("texts") / "mine.tsv"
    words = {c: [f"{c}{i}" for i in range(12)] for c in "abc"}
    lines = [f"{c}\t{' '.join(rng.choices(words[c], k=rng.randint(2, 9)))}" for c in "abc" * 30]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module", params=["trec", "breast-cancer", "iris"])
def run(request, texts, tmp_path_factory):
    path = {"path": str(texts)} if request.param == "trec" else {}
    out = tmp_path_factory.mktemp(request.param) / "r"
    made = open_run(request.param, out, seeds=[0], settings={**SMALL, **path})
    study.train(made)
    study.unlearn(made)
    return made


def test_every_stage_takes_them(run):
    """Fails if a stage takes channels, height and width for granted, or refuses inputs outside
    [0, 1] although the data say that they have no bounds."""
    assert set(summarise(run).method) == {"Original", "Re-train", "GD", "RURK"}
    frame = study.measure(run)
    assert frame.forget_accuracy.notna().all()
    controlled = study.residual(run, "gaussian", methods=["Original"], controls=True)
    assert set(controlled.control_results) == {"held out", "retained"}


def test_the_net_takes_inputs_as_its_data_state_them(run):
    """Fails if texts, centred already, are shifted by half, or tables are not."""
    net = study.load_models(run)["Original", 0]
    mean, std = (0.0, 1.0) if run.scenario.name == "trec" else (0.5, 0.25)
    assert (float(net.mean), float(net.std)) == (mean, std)


def test_methods_are_told_the_bounds_of_the_data(run, monkeypatch):
    """Fails if a method that clips to [0, 1] is left in the belief that texts lie there."""
    seen = []

    def gd(model, retain, forget, *, seed, bounds=(0.0, 1.0)):
        seen.append(bounds)
        return model

    monkeypatch.setitem(METHODS, "GD", gd)
    values = {k: v for k, v in run.scenario.hyperparameters("RURK").items() if k == "bounds"}
    study.unlearned(run, "GD", 0, values)
    assert seen == [run.data.bounds]


def test_texts_are_edited_and_images_are_not(run):
    edits = [n for n, law in PERTURBATIONS.items() if law.check is check_texts]
    for law in edits:
        if run.scenario.name == "trec":
            margins = study.residual(run, law, taus=[0.0, 0.3]).counts.margins["Original", 0]
            assert (margins[0] != margins[1]).mean() > 0.1
        else:
            with pytest.raises(InputError, match="edits are for embedded texts"):
                study.residual(run, law, taus=[0.0, 0.3])


def test_the_net_of_texts_reads_words_at_any_place():
    """The strongest place counts: where in its window a text stands changes nothing, but the order
    of its words does. Fails if the head sees places, or every word is read alone."""
    net, signs = build("text-cnn", 8, 3, seed=0, bounds=None), torch.Generator().manual_seed(0)
    x = torch.zeros(2, 8, 12)
    x[:, :, :4] = torch.randint(0, 2, (2, 8, 4), generator=signs) * 2.0 - 1
    assert net(x).shape == (2, 3)
    assert torch.allclose(net(x), net(x.roll(5, 2)), atol=1e-6)
    assert not torch.allclose(net(x), net(x[:, :, [1, 0, *range(2, 12)]]), atol=1e-4)
    assert not torch.allclose(net(x), net(x[:, :, [0, 2, 1, *range(3, 12)]]), atol=1e-4)
