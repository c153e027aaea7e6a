"""One inspector for the tests of this folder."""

import pytest

from rurklib.study.inspector.view import Inspector
from rurklib.study.run import open_existing


@pytest.fixture(scope="session")
def inspector(small_run) -> Inspector:
    return Inspector(open_existing(small_run))
