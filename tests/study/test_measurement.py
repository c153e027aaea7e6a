"""What a run measures: other parts, radii and models, each kept in files of its own."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from rurklib import InputError, perturb, residual_knowledge, study
from rurklib.data import rehearsed
from rurklib.study import measurement, store
from rurklib.study.run import open_run
from rurklib.tensors import as_float, generator, logit_margin
from rurklib.train import fit


def stamps(run):
    return {p: p.stat().st_mtime_ns for p in (run.folder / "counts").rglob("*.npz")}


def by_hand(run, law, part, taus, draws):
    """The same by the public function, from the models themselves."""
    named = study.load_models(run)
    references = {n: net for n, net in named.items() if n.method == "Re-train"}
    rest = {n: net for n, net in named.items() if n not in references}
    x, y = study.samples(run, part)
    return residual_knowledge(
        rest, references, x, y, taus=taus, perturbation=law, draws=draws, bounds=run.data.bounds
    )


@pytest.mark.parametrize("law", ["gaussian", "fgsm-untargeted"])
@pytest.mark.parametrize("part", ["forget", "held_out", "retain"])
def test_it_is_the_measurement_of_that_part(run, law, part):
    """Fails if a control is asked of the forget samples, or counts of one question are taken for
    another's."""
    ours = study.residual(run, law, part=part, taus=[0.0, 0.15], draws=3)
    other = by_hand(run, law, part, [0.0, 0.15], 3)
    for name in other.models:
        assert np.array_equal(ours.counts.hits[name], other.counts.hits[name])
        assert ours.rows(name).equals(other.rows(name))


def test_controls_are_samples_of_the_class_that_are_not_forgotten(run):
    x, _ = study.samples(run, "forget")
    forgotten = {image.numpy().tobytes() for image in x}
    for part in ("held_out", "retain"):
        cx, cy = study.samples(run, part)
        assert (cy == run.split.forget_class).all()
        assert not forgotten & {image.numpy().tobytes() for image in cx}
    result = study.residual(run, "gaussian", controls=True)
    assert list(result.control_results) == ["held out", "retained"]
    held_out = study.residual(run, "gaussian", part="held_out")
    assert result.control_results["held out"].frame.equals(held_out.frame)


def test_other_questions_leave_the_usual_counts_alone(run):
    study.measure(run)
    usual = {p for p in stamps(run) if p.parent.name == "gaussian"}
    before = stamps(run)
    study.residual(run, "gaussian", taus=[0.0, 0.1], draws=2)
    study.residual(run, "gaussian", part="held_out")
    study.measure(run)
    assert {p: t for p, t in stamps(run).items() if p in usual} == {p: before[p] for p in usual}
    kept = stamps(run)
    study.residual(run, "gaussian", taus=[0.0, 0.1], draws=2)
    assert stamps(run) == kept, "an answered question was asked again"


def test_what_takes_long_is_kept_a_few_models_at_a_time(run, monkeypatch):
    """Killed after the first share, its counts are there, and they are the same. Fails if hours of
    counting are kept at the end alone."""
    asked = {"taus": [0.0, 0.12], "draws": 2}
    with monkeypatch.context() as patch:
        patch.setattr(measurement, "LARGE", 0)
        patch.setattr(measurement, "SHARE", 2)
        patch.setattr(measurement, "parallel", lambda run, tasks, _: tasks[0][0](*tasks[0][1]))
        before = stamps(run)
        with pytest.raises(FileNotFoundError):
            study.residual(run, "gaussian", **asked)
    assert len(stamps(run)) == len(before) + 2  # six models are three shares
    ours = study.residual(run, "gaussian", **asked)
    other = by_hand(run, "gaussian", "forget", *asked.values())
    assert all(np.array_equal(ours.counts.hits[n], other.counts.hits[n]) for n in other.models)


def test_another_reference_makes_the_counts_found_on_a_model_again(run, tmp_path):
    """Under a law that searches, Original's file holds what the references say of its copies.
    Fails if it is taken for good when a reference is another one."""
    folder = shutil.copytree(run.folder, tmp_path / "r")
    own = replace(run, folder=folder)
    asked = {"taus": [0.0, 0.1], "draws": 2}
    before = study.residual(own, "fgsm-untargeted", **asked)
    name, stranger = ("Re-train", 1002), own.checkpoint(("GD", 0))
    key = store.read(own.checkpoint(name))[1]
    store.save(own.checkpoint(name), store.read(stranger)[0], key)
    after = study.residual(own, "fgsm-untargeted", **asked)
    hits = [r.counts.on["Original", 0]["Re-train", 1002] for r in (before, after)]
    assert not np.array_equal(*hits)
    there = by_hand(own, "fgsm-untargeted", "forget", **asked)
    assert np.array_equal(hits[1], there.counts.on["Original", 0]["Re-train", 1002])


def is_trained_on(run, model, x, y) -> bool:
    """Whether a model of seed 0 is what training as of a reference makes of these samples."""
    again = fit(run.blank(0), x, y, run.scenario.training("Re-train"), seed=0).state_dict()
    return all(torch.equal(weights, again[name]) for name, weights in model.state_dict().items())


def test_the_smoothed_control_never_saw_a_forget_sample(run):
    """It is the re-trained model of its seed on retained samples and noisy copies of them."""
    (smooth,) = study.smoothed(run).values()
    x, y = run.pair("retain")
    x = as_float(x)
    noise = perturb.gaussian(x, 0.2, generator=generator(0, 0, 0, 0), bounds=run.data.bounds)
    assert is_trained_on(run, smooth, torch.cat([x, noise]), y.repeat(2))
    result = study.residual(run, "gaussian", methods=["Smoothed"])
    assert result.models == (("Smoothed", 0),)
    assert list(study.by_method(result).method.unique()) == ["Re-train", "Smoothed"]


def test_the_control_of_the_same_prior_saw_the_forget_set_and_fewer_others(run, tmp_path):
    """Trained on as many samples of each class as a reference, the forget set among them. Fails if
    it is trained on all, or without the forget set, or if half of 15 samples is too much."""
    split = rehearsed(run.split, run.data)
    assert set(run.split.forget) <= set(split.retain)
    counts = [s.pair(run.data, "retain")[1].bincount() for s in (split, run.split)]
    assert torch.equal(*counts)
    (control,) = study.same_prior(run).values()
    assert is_trained_on(run, control, *split.pair(run.data, "retain"))
    few = {"training.epochs": 1, "train_images": 150}
    odd = open_run("digits", tmp_path / "odd", seeds=[0], settings=few)
    splits = odd.split, rehearsed(odd.split, odd.data)
    classes = [s.pair(odd.data, "retain")[1].bincount()[odd.split.forget_class] for s in splits]
    assert len(odd.split.forget) == 8
    assert classes == [7, 8]
    assert list(study.same_prior(odd)) == [("Same-prior", 0)]
    most = open_run("digits", tmp_path / "r", seeds=[0], settings={"forget_share": 0.6})
    with pytest.raises(InputError, match=r"forget_share of at most 0\.5"):
        study.same_prior(most)


def test_telling_samples_are_those_that_original_leads_by_most(run):
    """Fails if the samples are others, or a copy is not the first that the measurement made."""
    shown = study.telling_copies(run, 3)
    own, others = study.residual(run, "gaussian", methods=["Original"]).hits_of(("Original", 0))
    lead = (own - others.mean(0))[-1]
    assert sorted(lead[shown.places]) == sorted(lead)[-3:]
    assert np.array_equal(shown.original, own[-1][shown.places])
    assert torch.equal(shown.images, as_float(run.pair("forget")[0])[shown.places])
    once = study.residual(run, "gaussian", methods=["Original"], taus=[0.2], draws=1)
    margins = once.counts.margins["Original", 0][0][shown.places]
    with torch.inference_mode():
        logits = study.load_models(run)["Original", 0](shown.copies)
    assert logit_margin(logits, shown.labels).numpy() == pytest.approx(margins, rel=1e-4)
