"""The whole stack as real processes, once for all end-to-end tests of a run."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import RunningStack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests in one worker, so that one stack serves them all."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("stack"))


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """A running stack; `stack.demo` has the URL, the project, the key and the tokens."""
    home = Path(tempfile.mkdtemp(prefix="dbify-e2e-"))
    running = RunningStack(home / ".dbify")
    try:
        yield running.up()
    finally:
        running.down()
        shutil.rmtree(home, ignore_errors=True)
