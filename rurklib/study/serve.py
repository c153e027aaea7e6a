"""The inspector's page served: Voila on this machine alone, for people without Jupyter.

Voila runs a notebook of one cell, in a temporary folder, and shows what it displays. Each visitor
gets a process of their own, which ends half a minute after its tab. The page listens on 127.0.0.1,
where whoever has an account on the machine can open it, under that name or localhost and not from
another site; it shows one run, and writes into that run's ``inspect/`` only.

Neither panels nor figures are imported here: the visitor's process does.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from rurklib.study.inspector import TITLE, seed_of
from rurklib.study.run import needs, open_existing

OPTIONS = (  # listen here alone, show no code, stop processes that nobody looks at
    "--Voila.ip=127.0.0.1",
    "--VoilaConfiguration.strip_sources=True",
    "--VoilaConfiguration.show_tracebacks=False",
    "--MappingKernelManager.cull_interval=10",
    "--MappingKernelManager.cull_idle_timeout=30",  # one with a tab isn't idle
)
CELL = "from rurklib.study.panel import inspector_page\n\ninspector_page({!r}, seed={!r})"


def serve(folder: Path, *, seed: int | None = None, browser: bool = True) -> None:
    """Serve the inspector of a finished run until it is interrupted; Voila prints the address.

    Raises InputError before anything is served for a folder that is no run, a seed that it hasn't,
    or if Voila is missing.
    """
    run = open_existing(folder)
    seed_of(run, seed)
    needs("voila", extra="study")
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook
    from traitlets.config import Config
    from voila.app import Voila

    os.environ["OMP_NUM_THREADS"] = str(run.scenario.threads)  # kernels inherit it
    source = CELL.format(str(folder.resolve()), seed)
    kernel = {"name": "python3", "display_name": "Python 3"}
    metadata = {"kernelspec": kernel, "title": TITLE}
    book = new_notebook(cells=[new_code_cell(source)], metadata=metadata)
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "inspector.ipynb"
        nbformat.write(book, path)
        guarded = Config(
            Voila={"tornado_settings": {"allow_remote_access": False}},  # under other names
            VoilaConfiguration={"prelaunch_hook": admit},
        )
        words = [str(path), *OPTIONS, *([] if browser else ["--no-browser"])]
        Voila.launch_instance(argv=words, config=guarded)


def admit(handler: Any, notebook: Any = None, cwd: str = "") -> None:
    """Voila's hook before it starts a visitor's process; raises tornado's HTTPError for one that
    another site sends, whose pictures could start any number."""
    from tornado.web import HTTPError

    if handler.request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise HTTPError(403, reason="Another site asks: type the address of this page yourself")
