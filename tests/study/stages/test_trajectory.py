"""The verdict after every epoch: on the run's own copies and references, and said in words."""

from dataclasses import replace

import pandas as pd
import pytest
from click.testing import CliRunner

from rurklib import InputError, study
from rurklib.study.cli.main import main
from rurklib.study.report.saved import saved_figures
from rurklib.study.stages import trajectory
from rurklib.study.stages.trajectory import described, every_epoch, has_epochs


def test_it_begins_with_original_and_ends_with_the_methods_verdict(run):
    """The numbers of verdicts.csv, to the last digit. Fails if copies, references or seeds are
    others than the study's, or epochs are out of order."""
    every_epoch(run, "RURK")
    frame = pd.read_csv(run.folder / "figures" / "03_every_epoch_RURK.csv")
    assert frame.epoch.tolist() == [0, 1, 2]
    assert set(frame.method) == {"RURK"}
    known = study.verdicts(study.residual(run, "gaussian")).set_index("method")
    columns = [*known.columns]
    for epoch, method in ((0, "Original"), (2, "RURK")):
        own = frame[frame.epoch == epoch][columns].iloc[0]
        pd.testing.assert_series_equal(own, known.loc[method], check_names=False, rtol=1e-6)
    assert frame.ratio_of_means.nunique() == 3
    ((path, alt),) = (f for f in saved_figures(run) if "every_epoch" in f[0].name)
    assert path.name == "03_every_epoch_RURK.png"
    assert alt.endswith(described(frame, "RURK"))


def test_what_was_counted_is_not_unlearned_again(run, monkeypatch):
    """Fails if a long run that died loses the seeds that it had finished."""
    every_epoch(run, "GD")
    first = run.folder / "figures" / "03_every_epoch_GD.csv"
    before = first.read_bytes()
    first.unlink()
    monkeypatch.setattr(trajectory, "unlearned", None)
    every_epoch(run, "GD")
    assert first.read_bytes() == before


def frame(*seeds: str) -> pd.DataFrame:
    """Verdicts epoch by epoch, from Original on, a word for each seed."""
    full = {"r": "residual knowledge", "n": "none detected", "o": "over-forgotten"}
    rows = [(s, e, full[f]) for s, word in enumerate(seeds) for e, f in enumerate(word)]
    return pd.DataFrame(rows, columns=["seed", "epoch", "finding"])


def test_the_title_tells_when_the_verdict_changes():
    """Fails if Original is counted as an epoch, or one seed's verdict as that of most."""
    assert described(frame("rrrno", "rrrnn", "rnrno"), "M") == (
        "M, in most seeds: residual knowledge after epochs 1 to 2, none detected after epoch 3, "
        "over-forgotten after epoch 4"
    )
    assert described(frame("rrr"), "M") == "M: residual knowledge after epochs 1 to 2"
    assert described(frame("rrnrn"), "M") == (
        "M: the verdict changes 3 times in 4 epochs, none detected after epoch 4"
    )
    assert described(frame("rn", "ro"), "M") == "M, in most seeds: differs by seed after epoch 1"


def test_a_method_without_epochs_is_refused_before_any_work(run, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="every epoch of NTK: it has none; expected a method that"):
        has_epochs("NTK")
    with pytest.raises(InputError, match="unknown method 'RUKR': did you mean 'RURK'"):
        every_epoch(run, "RUKR")
    other = replace(run, scenario=replace(run.scenario, methods={"SSD": {}}))
    with pytest.raises(InputError, match="every epoch of SSD: it has none"):
        every_epoch(other, "SSD")
    told = CliRunner().invoke(main, ["study", "--every-epoch", "SSD", "--out", f"{tmp_path}/run"])
    assert told.exit_code == 2
    assert told.output.startswith("rurk: every epoch of SSD: it has none;")
    assert len(told.output.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
    # One that says it has epochs and doesn't go through the loop that there is.
    monkeypatch.setattr(trajectory, "unlearned", lambda *_: None)
    (run.folder / "counts" / "every-epoch" / "RURK-seed0.npz").unlink()
    with pytest.raises(InputError, match="by a loop of its own; expected SGD"):
        every_epoch(run, "RURK")
