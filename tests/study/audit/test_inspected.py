"""An audited model in the inspector: the audit's own copies, order and models, read again."""

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.text import Text

import rurklib
from rurklib import InputError
from rurklib.study.cli.main import main
from rurklib.study.panels.audited import AuditInspector
from rurklib.study.panels.inspector import InspectorPanel
from rurklib.study.panels.page import inspector_page


@pytest.fixture
def audited(folder, tmp_path, audit):
    """An audit's folder; one of its references has a copy under another name."""
    shutil.copy(folder / "a5.safetensors", folder / "twin.safetensors")
    references = [f"a{i}.safetensors" for i in range(6)] + ["twin.safetensors"]
    done = audit(out=tmp_path / "audit", references=references, seed=4)
    assert done.exit_code == 0, done.output
    return tmp_path / "audit"


def test_it_shows_the_copies_that_the_audit_counted(planted, audited, monkeypatch, tmp_path):
    """From any folder. Fails if another seed draws them, a copy of a reference counts twice, or
    samples are in the order of the table."""
    monkeypatch.chdir(tmp_path)
    inspector = AuditInspector(audited)
    assert list(inspector.models) == ["Audited", *(f"Re-train {k}" for k in range(6))]
    x, y = planted.pair("forget")
    asked = {"taus": [0, 0.1, 0.2], "draws": 10, "seed": 4}
    result = rurklib.residual_knowledge(planted.original, planted.references, x, y, **asked)
    counts = result.counts["model"]
    for sample in (0, 30):
        views = [inspector.view(sample, "gaussian", 0.2, draw) for draw in range(10)]
        hits = sum(view.recognised.astype(int) for view in views)
        assert hits.tolist() == counts.hits[:, 2, sample].tolist()
    own = counts.hits[0].sum(0) / counts.hits[1:].sum((0, 1)) * 6
    np.testing.assert_allclose(inspector.ratios, own)
    assert inspector.ratios[inspector.order[0]] == inspector.ratios.max()


def test_every_part_of_the_panel_speaks_of_the_audited_model(audited):
    """Fails if a picture still says Original, or counts unlearned models that there aren't."""
    panel = InspectorPanel(AuditInspector(audited))
    assert panel.widget
    for job in panel.jobs.values():
        job.button.click()
        assert job.said == "done"
    assert set(panel.said) == {"samples", "copy", "probabilities", "ratio", "radius", "map"}
    assert re.search(r"Audited('s answer, but that of| and) \d of 6 re-trained models\.$",
                     panel.said["probabilities"])  # fmt: skip
    drawn = [picture.figure for picture in panel.pictures.values()]
    drawn += [slow.picture.figure for slow in panel.slow.values()]
    shown = [text.get_text() for figure in drawn for text in figure.findobj(Text)]
    words = " ".join([*panel.said.values(), *shown])
    assert "Audited" in words
    assert "Original" not in words
    assert "unlearned" not in words
    picture, _ = panel.export()
    assert picture.parent == audited / "inspect"
    head = inspector_page(audited).children[0].value
    assert "audit of original.safetensors; 45 forget samples; 6 models re-trained" in head


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda at: (at / "samples.csv").unlink(), "is no audit: expected audit.json and"),
        (lambda at: edit(at, given={}), "can't be inspected: expected an audit by the command"),
        (lambda at: edit(at, sha256={}), "m.py isn't what was audited any more: run rurk audit"),
        (lambda at: edit(at, given=moved(at)), "gone.npz is gone, which the audit in"),
    ],
)
def test_what_is_no_audit_or_of_other_files_is_refused(audited, monkeypatch, harm, says):
    """In one line, before anything is served or the model's code is run."""
    from voila.app import Voila

    served = []
    monkeypatch.setattr(Voila, "launch_instance", lambda argv, config: served.append(argv))
    words = ["inspect", "--audit", str(audited), "--no-browser"]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert len(served) == 1
    harm(audited)
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert says in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert len(served) == 1
    with pytest.raises(InputError):
        AuditInspector(audited)


def edit(audit, **changes) -> None:
    record = json.loads((audit / "audit.json").read_text())
    record["measurement"] |= changes
    (audit / "audit.json").write_text(json.dumps(record))


def moved(audit) -> dict:
    given = json.loads((audit / "audit.json").read_text())["measurement"]["given"]
    return given | {"data": "gone.npz"}
