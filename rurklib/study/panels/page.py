"""The inspector as a page of its own: Voila on this machine alone, for people without Jupyter.

Voila runs a notebook and shows what it displays; here one of a single line, in a temporary folder.
Each visitor gets a process of their own, which ends half a minute after its tab, and there are a
few at most. The page listens on 127.0.0.1, where whoever has an account on the machine can open it,
under that name or localhost and not from another site; it shows one run, and writes into that run's
``inspect/`` only.
"""

import contextlib
import html
import io
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets

from rurklib.checks import InputError
from rurklib.study import files
from rurklib.study.inspector.view import Inspector, seed_of
from rurklib.study.panels.audited import RECORD, AuditInspector
from rurklib.study.panels.guide import guided
from rurklib.study.panels.inspector import InspectorPanel
from rurklib.study.run import open_existing

HOST, PORT, TRIES = "127.0.0.1", 8866, 20
NAME, TITLE = "inspector", "Perturbation inspector"
OPTIONS = (  # listen here alone, show no code, stop processes that nobody looks at
    f"--Voila.ip={HOST}",
    "--Voila.port_retries=0",
    "--Voila.log_level=ERROR",
    "--VoilaConfiguration.strip_sources=True",
    "--VoilaConfiguration.show_tracebacks=False",
    "--MappingKernelManager.cull_interval=10",
    "--MappingKernelManager.cull_idle_timeout=30",  # one with a tab isn't idle
)
OWN = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws:; "
    "frame-ancestors 'self'"
)
MOST = 6  # visitors at once: each takes some 450 MB
BEGUN: list[float] = []  # when processes of visitors were started


def inspector_of(folder: Path, seed: int | None = None) -> Inspector:
    """The inspector of an audit's folder, or of a finished run's."""
    if (folder / RECORD).exists():
        return AuditInspector(folder)
    return Inspector(open_existing(folder), seed)


def inspector_page(folder: str | Path, seed: int | None = None) -> ipywidgets.Widget:
    """The panel of the finished run or audit in ``folder``, under a heading; a message if it can't
    be."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # a log line is no part of a page
            panel = InspectorPanel(inspector_of(Path(folder), seed))
            audited = isinstance(panel.inspector, AuditInspector)
            body = panel.widget if audited else guided(panel)  # whose steps are a study's story
    except (InputError, OSError) as error:
        return ipywidgets.HTML(
            '<div role="alert" style="line-height: 1.5"><h1>No run to inspect</h1>'
            f"<p>{html.escape(str(error))}</p>"
            "<p>Mend the folder, then load this page again.</p></div>"
        )
    inspector = panel.inspector
    first = "" if audited else f"models of seed {inspector.seed} and "
    head = ipywidgets.HTML(
        '<div style="line-height: 1.4"><h1 style="font-size: 1.5em; margin: 0.3em 0">'
        f"{TITLE}</h1><p style='margin: 0 0 0.6em'>{html.escape(inspector.run.title)}; "
        f"{first}{len(inspector.references)} models re-trained without them. "
        "Choose a sample and a small change to it, and see which models still know its class.</p>"
        "</div>"
    )
    return ipywidgets.VBox([head, body], layout={"overflow": "visible"})


def serve(
    folder: Path,
    *,
    seed: int | None = None,
    port: int | None = None,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the inspector of a finished run or an audit until it is interrupted; ``say`` is told
    the address.

    ``port`` None: 8866, or the next that is free. Raises InputError before anything is served for a
    folder that is neither, a seed that it hasn't, a port in use, or if Voila is missing.
    """
    if (folder / RECORD).exists():
        threads = AuditInspector(folder).run.scenario.threads  # whatever is wrong is told now
    else:
        run = open_existing(folder)
        threads = run.scenario.threads
        seed_of(run, seed)
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
    code = "from rurklib.study.panels import inspector_page\n\n"
    code += f"inspector_page({str(folder.resolve())!r}, seed={seed!r})"
    nbformat = files.nbformat()
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
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
