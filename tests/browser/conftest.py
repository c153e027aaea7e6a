"""A headless Chromium (Debian's), shared by the tests of this folder."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # servers.py stands beside the tests


@pytest.fixture(scope="module")  # it runs an event loop, which later tests can't have
def chromium() -> Iterator:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
    found = shutil.which("chromium")
    if not found:
        pytest.skip("no chromium here: on Debian, apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
