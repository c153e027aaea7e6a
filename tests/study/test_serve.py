"""The inspector's page: what it shows, and what is refused before anything is served."""

from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from tornado.web import HTTPError

from rurklib import study
from rurklib.study import serve
from rurklib.study.panels import inspector_page
from rurklib.study.run import open_existing


@pytest.fixture
def served(monkeypatch):
    """What Voila would have been started with, instead of starting it."""
    from voila.app import Voila

    calls = []

    def launch(argv, config):
        calls.append((argv, config, nbformat.read(argv[0], as_version=4)))

    monkeypatch.setattr(Voila, "launch_instance", launch)
    return calls


def test_a_page_shows_the_run_and_one_of_no_run_is_a_message(tmp_path, small_run, capsys):
    shown = inspector_page(tmp_path / "<b>none")
    assert 'role="alert"' in shown.value
    assert "&lt;b&gt;none is not a run" in shown.value
    assert "this run has 0" in inspector_page(small_run, seed=5).value
    capsys.readouterr()
    head = inspector_page(small_run).children[0].value
    assert "45 of class 9 forgotten" in head
    assert "half" not in head
    assert not capsys.readouterr().out  # lines of a log would stand above it


INSPECT = ("inspect", "--no-browser")


def test_it_listens_here_alone(small_run, served, rurk):
    done = rurk(*INSPECT, "--run", small_run)
    assert done.exit_code == 0, done.output
    ((argv, config, book),) = served
    assert "--Voila.ip=127.0.0.1" in argv
    assert "--no-browser" in argv
    assert config.Voila.tornado_settings["allow_remote_access"] is False
    assert config.VoilaConfiguration.prelaunch_hook is serve.admit
    assert f"inspector_page({str(small_run)!r}, seed=None)" in book.cells[0].source
    assert not Path(argv[0]).exists()  # gone with its folder


def test_no_other_site_starts_processes():
    """Fails if pictures of a web page can."""

    def visit(site):
        request = SimpleNamespace(headers={"Sec-Fetch-Site": site})
        serve.admit(SimpleNamespace(request=request))

    for site in ("none", "same-origin", "same-site"):
        visit(site)
    with pytest.raises(HTTPError) as error:
        visit("cross-site")
    assert error.value.status_code == 403


def test_without_runs_digits_its_models_come_first_and_only_for_the_default(
    small_run, tmp_path, monkeypatch, served, rurk
):
    """Fails if a newcomer waits for a whole study, is told to run one, or gets one unasked."""
    monkeypatch.chdir(tmp_path)
    stages = []

    def begin(scenario, folder):
        folder.symlink_to(small_run)
        stages.append((scenario, folder))
        return open_existing(folder)

    monkeypatch.setattr(study, "open_run", begin)
    for stage in ("train", "unlearn", "residual"):
        monkeypatch.setattr(study, stage, lambda *_, stage=stage: stages.append(stage))
    assert rurk(*INSPECT, "--run", "runs/other").exit_code == 2
    assert not stages
    done = rurk(*INSPECT)
    assert done.exit_code == 0, done.output
    # It counts before it serves the page, which would wait.
    assert stages == [("digits", Path("runs/digits")), "train", "unlearn", "residual"]
    assert "runs/digits is not there yet: its models come first" in done.output
    rurk(*INSPECT)
    assert len(stages) == 4
    assert len(served) == 2
