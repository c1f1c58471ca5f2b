"""Stacks that may be broken: each of these tests has one of its own."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.clickhouse_server import ClickHouse
from tests.running import RunningStack


@pytest.fixture
def own_stack() -> Iterator[RunningStack]:
    """A stack with everything embedded."""
    home = Path(tempfile.mkdtemp(prefix="dbify-faults-"))
    running = RunningStack(home / ".dbify")
    try:
        yield running.up()
    finally:
        running.down()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
async def clickhouse() -> AsyncIterator[ClickHouse]:
    """A ClickHouse apart from the logger's process, so that one can stop without the other."""
    home = Path(tempfile.mkdtemp(prefix="dbify-clickhouse-"))
    server = await ClickHouse.start(home)
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def stack_with_clickhouse(clickhouse: ClickHouse) -> Iterator[RunningStack]:
    """A stack whose logger reaches that ClickHouse over HTTP."""
    home = Path(tempfile.mkdtemp(prefix="dbify-faults-"))
    running = RunningStack(home / ".dbify", environ={"DBIFY_CLICKHOUSE_URL": clickhouse.url("dbify")})
    try:
        yield running.up()
    finally:
        running.down()
        shutil.rmtree(home, ignore_errors=True)
