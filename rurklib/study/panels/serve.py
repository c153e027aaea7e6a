"""The inspector as a page of its own: Voila on this machine alone, for people without Jupyter.

Voila runs a notebook and shows what it displays; here one of a single line, in a temporary folder.
Each visitor gets a process of their own. The page listens on 127.0.0.1, where whoever has an
account on the machine can open it; it shows one run, and writes into that run's ``inspect/`` only.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from rurklib.checks import InputError

HOST, PORT, TRIES = "127.0.0.1", 8866, 20


TITLE = "inspector"


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
    folder that is no finished run, a seed that it hasn't, a port in use, or if Voila is missing.
    """
    from rurklib.study.run import open_existing

    run = open_existing(folder)
    if seed is not None and seed not in run.seeds:
        raise InputError(f"seed = {seed}: this run has {', '.join(map(str, run.seeds))}")
    try:
        from voila.app import Voila
    except ModuleNotFoundError as error:
        raise InputError(
            f'{error.name} is needed to serve the page: pip install -e ".[study]" in the clone of '
            "rurklib"
        ) from None
    free = free_port(port)
    os.environ["OMP_NUM_THREADS"] = str(run.scenario.threads)  # kernels inherit it
    with tempfile.TemporaryDirectory() as home:
        book = Path(home) / f"{TITLE}.ipynb"
        write_notebook(book, folder, seed)
        say(f"inspector of {folder}: http://{HOST}:{free}/  (Ctrl-C to stop)")
        Voila.launch_instance(argv=[str(book), *options(free, browser)])


def options(port: int, browser: bool) -> list[str]:
    """What Voila is told: listen here alone, show no code, stop processes that nobody looks at."""
    chosen = [
        f"--port={port}",
        f"--Voila.ip={HOST}",
        "--Voila.port_retries=0",
        "--Voila.log_level=ERROR",
        "--VoilaConfiguration.strip_sources=True",
        "--VoilaConfiguration.show_tracebacks=False",
        "--MappingKernelManager.cull_interval=60",
        "--MappingKernelManager.cull_idle_timeout=600",
    ]
    return chosen if browser else [*chosen, "--no-browser"]


def write_notebook(path: Path, folder: Path, seed: int | None) -> None:
    """A notebook whose one cell shows the page of the run in ``folder``."""
    import nbformat

    v4 = nbformat.v4
    code = (
        f"from rurklib.study.panels import page\n\npage({str(folder.resolve())!r}, seed={seed!r})"
    )
    book = v4.new_notebook(cells=[v4.new_code_cell(code)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    book.metadata["title"] = "Perturbation inspector"
    nbformat.write(book, path)


def free_port(port: int | None = None) -> int:
    """``port`` if nothing listens there; without one, the first free from 8866 on."""
    candidates = range(PORT, PORT + TRIES) if port is None else [port]
    for candidate in candidates:
        with socket.socket() as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, candidate))
            except (OSError, OverflowError):
                continue
        return candidate
    taken = f"port {port} is" if port is not None else f"ports {PORT} ... {PORT + TRIES - 1} are"
    raise InputError(f"{taken} in use or not allowed: choose another with --port, e.g. 9000")
