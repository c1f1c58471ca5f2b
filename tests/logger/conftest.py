"""Stores for the logger's tests: the embedded engine in this process, and a server."""

import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.logger.adapters.clickhouse import ClickHouse, open_store
from services.logger.adapters.clickhouse_tables import migration
from tests.clickhouse_server import ClickHouse as Server


@pytest.fixture(scope="session")
async def _clickhouse(server_home: Path) -> AsyncIterator[Server]:
    server = await Server.start(server_home / "clickhouse")
    yield server
    server.kill()


@pytest.fixture
async def clickhouse(_clickhouse: Server) -> Server:
    """The session's ClickHouse, running."""
    if not _clickhouse.running:
        await _clickhouse.restart()
    return _clickhouse


@pytest.fixture(scope="session")
def chdb_home(server_home: Path) -> Iterator[Path]:
    """The one folder that chdb may use in this process."""
    home = server_home / "chdb"
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=["embedded", "server"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database, once in the embedded engine and once on a server."""
    database = f"t_{secrets.token_hex(6)}"
    if request.param == "embedded":
        return f"chdb://{request.getfixturevalue('chdb_home')}?database={database}"
    server: Server = request.getfixturevalue("clickhouse")
    return server.url(database)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[ClickHouse]:
    """A fresh store with its tables."""
    async with open_store(store_url, migration(log_days=30, analytics_days=400)) as opened:
        yield opened
