"""The inspector's page: what it shows, and what is refused before anything is served."""

import base64
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from tornado.web import HTTPError

from rurklib import study
from rurklib.checks import InputError
from rurklib.study.cli import serve
from rurklib.study.notebooks import study_order
from rurklib.study.panels import page
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
    shown = page.inspector_page(tmp_path / "<b>none")
    assert 'role="alert"' in shown.value
    assert "&lt;b&gt;none is not a run" in shown.value
    assert "this run has 0" in page.inspector_page(small_run, seed=5).value
    capsys.readouterr()
    head = page.inspector_page(small_run).children[0].value
    assert "45 of class 9 forgotten" in head
    assert "half" not in head
    assert not capsys.readouterr().out  # lines of a log would stand above it


INSPECT = ("inspect", "--no-browser")


@pytest.fixture
def taken():
    """A port that somebody listens at."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


def test_the_address_is_printed_and_it_listens_here_alone(small_run, served, rurk):
    done = rurk(*INSPECT, "--run", small_run, "--port", serve.free_port())
    assert done.exit_code == 0, done.output
    ((argv, config, book),) = served
    port = next(a for a in argv if a.startswith("--port=")).removeprefix("--port=")
    assert f"http://127.0.0.1:{port}/" in done.output
    assert "--Voila.ip=127.0.0.1" in argv
    assert "--no-browser" in argv
    assert config.Voila.tornado_settings["allow_remote_access"] is False
    assert config.VoilaConfiguration.prelaunch_hook is serve.admit
    assert f"inspector_page({str(small_run)!r}, seed=None)" in book.cells[1].source
    assert not Path(argv[0]).exists()  # gone with its folder


def test_what_notebook_5_drew_first_is_shown_until_the_panel_is_there(
    small_run, tmp_path, served, rurk
):
    """Fails if a run without it can't be served, or a picture of other models than those served."""
    drawn = tmp_path / "run"
    shutil.copytree(small_run, drawn)
    (drawn / "figures").mkdir(exist_ok=True)
    (drawn / serve.FIRST).write_bytes(b"picture")
    (drawn / serve.FIRST).with_suffix(".json").write_text('{"alt": "a <nine>"}')
    for run in (small_run, drawn):
        assert rurk(*INSPECT, "--run", run).exit_code == 0
    first, second = (book.cells for _, _, book in served)
    assert "img" not in first[0].source
    assert "a &lt;nine&gt;" in second[0].source
    assert base64.b64encode(b"picture").decode() in second[0].source
    for cells in (first, second):
        for cell in cells:
            compile(cell.source, "cell", "exec")
    run = replace(open_existing(drawn), seeds=(1, 0))
    assert serve.poster(run, None) == serve.poster(run, 1) != ""
    assert serve.poster(run, 0) == ""


def test_no_other_site_and_no_crowd_starts_processes(monkeypatch):
    """Fails if pictures of a web page can, or many visitors at the same moment, who aren't in the
    manager's list yet, or if an earlier crowd keeps everybody out."""
    monkeypatch.setattr(serve, "BEGUN", [])
    clock, there = [0.0], []
    monkeypatch.setattr(serve, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    manager = SimpleNamespace(list_kernel_ids=lambda: there)

    def visit(**headers):
        request = SimpleNamespace(headers=headers)
        serve.admit(SimpleNamespace(request=request, kernel_manager=manager))

    def refused(code, **headers):
        with pytest.raises(HTTPError) as error:
            visit(**headers)
        return error.value.status_code == code

    assert refused(403, **{"Sec-Fetch-Site": "cross-site"})
    for site in ("none", "same-origin", "same-site"):
        visit(**{"Sec-Fetch-Site": site})
    for _ in range(serve.MOST - 3):
        visit()
    assert refused(503)
    clock[0] = 60.0
    visit()
    there[:] = range(serve.MOST)
    clock[0] = 120.0
    assert refused(503)


@pytest.mark.parametrize(
    ("folder", "says"), [("nowhere", "nowhere is not a run"), (".", "is not a run")]
)
def test_a_folder_that_is_no_run_is_refused_before_serving(
    tmp_path, monkeypatch, served, refused, folder, says
):
    monkeypatch.chdir(tmp_path)
    refused(says, *INSPECT, "--run", folder)
    assert not served


def test_a_seed_or_a_port_that_is_not_to_be_had_is_refused(small_run, served, taken, refused):
    for words, says in (
        (("--seed", 7), "this run has 0"),
        (("--port", taken), f"port {taken} is in use"),
        (("--port", 99999), "port 99999 is in use or not allowed"),
    ):
        refused(says, *INSPECT, "--run", small_run, *words)
    assert not served


def test_the_next_free_port_is_taken(monkeypatch, taken):
    monkeypatch.setattr(serve, "PORT", taken)
    assert serve.free_port() > taken
    monkeypatch.setattr(serve, "TRIES", 1)
    with pytest.raises(InputError, match="choose another with --port"):
        serve.free_port()


@pytest.mark.parametrize("command", ["inspect", "attack"])
def test_without_runs_digits_its_models_come_first_and_only_for_the_default(
    small_run, tmp_path, monkeypatch, served, rurk, command
):
    """Fails if a newcomer waits for a whole study, is told to run one, or gets one unasked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study_order, "run_attacks", lambda *_, **__: served.append("attacked"))
    stages = []

    def begin(scenario, folder, jobs):
        folder.symlink_to(small_run)
        stages.append((scenario, folder, jobs))
        return open_existing(folder)

    monkeypatch.setattr(study, "open_run", begin)
    for stage in ("train", "unlearn", "residual"):
        monkeypatch.setattr(study, stage, lambda *_, stage=stage: stages.append(stage))
    words = INSPECT if command == "inspect" else (command,)
    assert rurk(*words, "--run", "runs/other").exit_code == 2
    assert not stages
    done = rurk(*words)
    assert done.exit_code == 0, done.output
    counted = ["residual"] if command == "inspect" else []  # before the page, which would wait
    assert stages == [("digits", Path("runs/digits"), 1), "train", "unlearn", *counted]
    assert "runs/digits isn't there yet: its models first" in done.output
    rurk(*words)
    assert len(stages) == 3 + len(counted)
    assert len(served) == 2
