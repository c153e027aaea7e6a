"""Start the inspector's page as a reader would."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
WAIT = 90  # seconds for a server or a page: kernels start slowly on a busy machine


@contextmanager
def inspector_page(run: Path, home: Path) -> Iterator[str]:
    """``rurk inspect`` of a run, in a process group of its own until the block ends; gives its
    address, which Voila prints."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    log = home / "server.log"
    words = ["-m", "rurklib", "inspect", "--run", str(run), "--no-browser"]
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=out, stderr=subprocess.STDOUT, cwd=home,
            start_new_session=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + WAIT
        while not (found := re.search(r"http://\S+", log.read_text())):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"rurk inspect didn't start:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield found[0]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
