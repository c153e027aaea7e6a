"""Start the page and JupyterLab as a reader would: for the tests and for pictures."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

from rurklib.study.run import Run
from rurklib.study.run_record import flat

ROOT = Path(__file__).parents[2]
WAIT = 90  # seconds for a server or a page: kernels start slowly on a busy machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command: list[str], port: int, home: Path, **environment: str) -> Iterator[str]:
    """A server in a process group of its own until the block ends; gives its address."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    log = home / f"server-{port}.log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, cwd=home,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + WAIT
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[:4]} didn't start:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def inspector_page(run: Path, home: Path) -> Iterator[str]:
    """``rurk inspect`` of a run."""
    port = free_port()
    words = ["inspect", "--run", str(run), "--port", str(port), "--no-browser"]
    with running([sys.executable, "-m", "rurklib", *words], port, home) as address:
        yield f"{address}/"


@contextmanager
def lab(
    notebook: str, home: Path, *, dark: bool = False, until: str = "", **parameters: object
) -> Iterator[str]:
    """JupyterLab with a copy of a notebook whose parameters are set; gives the notebook's address.
    ``until``: only up to the cell that has these words, for what comes after isn't looked at.

    Settings, workspaces and runtime files are kept in ``home``, away from the user's own.
    """
    book = nbformat.read(ROOT / "notebooks" / notebook, as_version=4)
    (cell,) = [c for c in book.cells if "parameters" in c.metadata.get("tags", [])]
    cell.source += "\n" + "\n".join(f"{k} = {v!r}" for k, v in parameters.items())
    if until:
        last = max(i for i, c in enumerate(book.cells) if until in c.source)
        book.cells = book.cells[: last + 1]
    for each in book.cells:
        if each.cell_type == "code":
            each.outputs, each.execution_count = [], None
    work = home / ("dark" if dark else "light")
    shutil.rmtree(work, ignore_errors=True)
    settings = work / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    theme = {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"}
    (settings / "themes.jupyterlab-settings").write_text(json.dumps(theme))
    news = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(news))
    (work / "books").mkdir()
    name = Path(notebook).name
    nbformat.write(book, work / "books" / name)
    port = free_port()
    command = [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={work / 'books'}",
        "--IdentityProvider.token=", "--ServerApp.password=",
    ]  # fmt: skip
    folders = {
        "JUPYTERLAB_SETTINGS_DIR": str(work / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(work / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(work / "config"),
        "JUPYTER_RUNTIME_DIR": str(work / "runtime"),
    }
    with running(command, port, work, **folders) as address:
        urllib.request.urlopen(f"{address}/api", timeout=WAIT).close()
        yield f"{address}/lab/tree/{name}?reset"


def parameters(run: Run) -> dict[str, object]:
    """What a notebook is told to open this very run: its scenario, folder, seeds and settings."""
    settings = dict(run.scenario.settings())
    methods = settings.pop("methods")
    settings |= {"methods": list(methods), **flat({"methods": methods})}
    found = {"scenario": run.scenario.name, "out": str(run.folder), "seeds": list(run.seeds)}
    return found | {"settings": settings}


def run_all(tab) -> None:
    """Run > Run All Cells, when the kernel is there."""
    tab.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=WAIT * 1000)
    tab.get_by_text("Python 3 (ipykernel) | Idle").or_(
        tab.get_by_title("Kernel status: Idle")
    ).first.wait_for(timeout=WAIT * 1000)
    tab.get_by_role("menuitem", name="Run", exact=True).click()
    tab.get_by_text("Run All Cells", exact=True).click()


def to_panel(tab) -> None:
    """Back to the panel of notebook 5, when its last cell is done: that pulls the view down, and
    cells out of view are taken from the page."""
    ended = tab.get_by_text("so_far returns nothing yet").last
    ended.wait_for(timeout=WAIT * 1000)
    for _ in range(4):  # cells above are laid out as they come into view, and move it
        tab.get_by_label("perturbation", exact=True).scroll_into_view_if_needed()
        tab.wait_for_timeout(800)
