"""The inspector's page served: Voila on this machine alone, for people without Jupyter.

Voila runs a notebook and shows what it displays; here one of two cells, in a temporary folder. The
first shows the picture that notebook 5 drew of what the panel begins with, for a process needs
seconds before it has a panel; the second takes it away. Each visitor gets a process of their own,
which ends half a minute after its tab, and there are a few at most. The page listens on 127.0.0.1,
where whoever has an account on the machine can open it, under that name or localhost and not from
another site; it shows one run, and writes into that run's ``inspect/`` only.

Neither panels nor figures are imported here: the visitor's process does.
"""

import base64
import contextlib
import html
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rurklib.checks import InputError
from rurklib.study import files
from rurklib.study.inspector.choices import TITLE
from rurklib.study.inspector.view import seed_of
from rurklib.study.run import Run, open_existing

HOST, PORT, TRIES = "127.0.0.1", 8866, 20
NAME, FIRST = "inspector", "figures/05_copy.png"
OPTIONS = (  # listen here alone, show no code, stop processes that nobody looks at
    f"--Voila.ip={HOST}",
    "--Voila.port_retries=0",
    "--Voila.log_level=ERROR",
    "--VoilaConfiguration.strip_sources=True",
    "--VoilaConfiguration.show_tracebacks=False",
    "--VoilaConfiguration.progressive_rendering=True",  # the first picture before the panel
    "--MappingKernelManager.cull_interval=10",
    "--MappingKernelManager.cull_idle_timeout=30",  # one with a tab isn't idle
)
OWN = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws:; "
    "frame-ancestors 'self'"
)
CELLS = (  # what was shown first goes when the panel comes
    "from IPython.display import HTML\n\nHTML({0!r})",
    "from IPython.display import HTML, display\n\n"
    "from rurklib.study.panels import inspector_page\n\n"
    "page = inspector_page({1!r}, seed={2!r})\n"
    "display(HTML('<style>#first {{ display: none }}</style>'), page)",
)
MOST = 6  # visitors at once: each takes some 600 MB
BEGUN: list[float] = []  # when processes of visitors were started


def serve(
    folder: Path,
    *,
    seed: int | None = None,
    port: int | None = None,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the inspector of a finished run until it is interrupted; ``say`` is told the address.

    ``port`` None: 8866, or the next that is free. Raises InputError before anything is served for a
    folder that is no run, a seed that it hasn't, a port in use, or if Voila is missing.
    """
    run = open_existing(folder)
    threads, picture = run.scenario.threads, poster(run, seed)
    nbformat = files.nbformat()  # before Voila, which imports it
    try:
        from traitlets.config import Config
        from voila.app import Voila
    except ModuleNotFoundError as error:
        raise InputError(
            f'{error.name} is needed to serve the page: pip install -e ".[study]" in the clone of '
            "rurklib"
        ) from None
    free = free_port(port)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # kernels inherit it
    cells = [code.format(picture, str(folder.resolve()), seed) for code in CELLS]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    book.metadata |= {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "title": TITLE}
    with tempfile.TemporaryDirectory() as home:
        nbformat.write(book, Path(home) / f"{NAME}.ipynb")
        say(f"inspector of {folder}: http://{HOST}:{free}/  (Ctrl-C to stop)")
        told = [str(Path(home) / f"{NAME}.ipynb"), f"--port={free}", *OPTIONS]
        # Of other names: refused. From other sites, as Voila's template would: nothing is loaded.
        settings = {"allow_remote_access": False, "headers": {"Content-Security-Policy": OWN}}
        hook = {"prelaunch_hook": admit}
        guarded = Config(Voila={"tornado_settings": settings}, VoilaConfiguration=hook)
        Voila.launch_instance(argv=told if browser else [*told, "--no-browser"], config=guarded)


def poster(run: Run, seed: int | None) -> str:
    """What notebook 5 drew of the copy that the panel begins with, as HTML; "" if it drew none, or
    of another seed's models. InputError for a seed that the run hasn't."""
    picture = run.folder / FIRST
    if seed_of(run, seed) != run.seeds[0] or not picture.exists():
        return ""
    alt = files.read_json(picture.with_suffix(".json")).get("alt", "")
    source = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    return (
        '<div id="first" role="status"><p>The panel opens in some seconds. It begins with this '
        f'copy:</p><img alt="{html.escape(alt)}" style="max-width: 100%" src="{source}"></div>'
    )


def admit(handler: Any, notebook: Any = None, cwd: str = "") -> None:
    """Voila's hook before it starts a visitor's process; raises tornado's HTTPError for one that
    another site sends, whose pictures could start any number, and for one too many."""
    from tornado.web import HTTPError

    if handler.request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise HTTPError(403, reason="Another site asks: type the address of this page yourself")
    BEGUN[:] = [t for t in BEGUN if time.monotonic() - t < 10]  # not in the manager's list yet
    if max(len(handler.kernel_manager.list_kernel_ids()), len(BEGUN)) >= MOST:
        raise HTTPError(503, reason=f"{MOST} tabs are open already: close one and wait a minute")
    BEGUN.append(time.monotonic())


def free_port(port: int | None = None) -> int:
    """``port`` if nothing listens there; without one, the first free from 8866 on."""
    for candidate in range(PORT, PORT + TRIES) if port is None else [port]:
        with socket.socket() as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError, OverflowError):
                probe.bind((HOST, candidate))
                return candidate
    taken = f"port {port} is" if port is not None else f"ports {PORT} ... {PORT + TRIES - 1} are"
    raise InputError(f"{taken} in use or not allowed: choose another with --port, e.g. 9000")
