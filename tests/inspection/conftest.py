"""One inspector for the tests of this folder."""

import pytest

from rurklib.inspection import Inspector
from rurklib.run import open_existing


@pytest.fixture(scope="session")
def inspector(small_run) -> Inspector:
    return Inspector(open_existing(small_run))
