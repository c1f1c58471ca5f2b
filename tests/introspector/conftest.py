"""Databases of users: PostgreSQL in three majors, and in each one that holds something of everything."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from libs.common.addresses import Guard
from libs.common.schema import Schema
from libs.common.sealing import Keyring
from services.introspector.adapters.catalog import Catalogs
from services.introspector.core.assemble import assemble
from stack import embedded
from tests.introspector.scene import LOOPBACK, MASTER_KEY, Scene, execute, look_at

Read = Callable[[str], Awaitable[Schema]]

_DEBIAN_15: Final = Path("/usr/lib/postgresql/15/bin")
_ODD: Final = Path(__file__).with_name("odd.sql")


@pytest.fixture(scope="session")
def catalogs() -> Catalogs:
    return Catalogs(Keyring.parse(MASTER_KEY), Guard.parse(LOOPBACK))


@pytest.fixture(scope="session")
def read(catalogs: Catalogs) -> Read:
    """A schema by its database's URL."""

    async def reading(url: str) -> Schema:
        found = await look_at(catalogs, url)
        assert found is not None
        return assemble(found, 1)

    return reading


@pytest.fixture(scope="session", params=[18, 16, 15])
async def server(
    request: pytest.FixtureRequest, server_home: Path, _cluster: embedded.Postgres
) -> AsyncIterator[embedded.Postgres]:
    """The majors at hand; Debian's 15 brings the extensions that the wheels lack."""
    major: int = request.param
    if major == 18:  # the session's own
        if not _cluster.running:
            await _cluster.restart()
        yield _cluster
        return
    if major == 15 and not _DEBIAN_15.is_dir():
        pytest.skip(f"no PostgreSQL 15 in {_DEBIAN_15}")
    install = _DEBIAN_15 if major == 15 else None
    async with await embedded.Postgres.start(
        server_home, name=f"postgres-{major}", major=major, install=install, durable=False
    ) as older:
        yield older


@pytest.fixture(scope="session")
async def odd(server: embedded.Postgres) -> str:
    """The URL of the database with everything."""
    await server.execute("CREATE DATABASE odd TEMPLATE template0")
    await execute(server.url("odd"), _ODD.read_text())
    return server.url("odd")


@pytest.fixture(scope="session")
async def odd_schema(odd: str, read: Read) -> Schema:
    return await read(odd)


@pytest.fixture
def scene(nats_server: embedded.Nats, platform_database: str) -> Scene:
    return Scene(nats_server, platform_database)
