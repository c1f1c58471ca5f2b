"""Databases of users: PostgreSQL in three majors, and one that holds something of everything."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from libs.common.addresses import Guard
from libs.common.ids import ProjectId
from libs.common.rpc import SealedDatabase
from libs.common.schema import Schema, Table
from libs.common.sealing import Keyring
from services.introspector.adapters.catalog import Catalogs
from services.introspector.core.assemble import Reading, assemble
from stack import embedded

MASTER_KEY: Final = "test:" + "A" * 43 + "="
PROJECT: Final = ProjectId(7)
LOOPBACK: Final = "127.0.0.0/8"

Seal = Callable[..., SealedDatabase]
Read = Callable[[str], Awaitable[Schema]]

_DEBIAN_15: Final = Path("/usr/lib/postgresql/15/bin")
_ODD: Final = Path(__file__).with_name("odd.sql")


def seal_url(url: str, project: ProjectId = PROJECT, version: int = 1) -> SealedDatabase:
    """As the gateway seals it."""
    sealed = Keyring.parse(MASTER_KEY).seal(url.encode(), str(project), "database", str(version))
    return SealedDatabase(project, sealed, version, ["127.0.0.1"])


@pytest.fixture(scope="session")
def seal() -> Seal:
    return seal_url


@pytest.fixture(scope="session")
def catalogs() -> Catalogs:
    return Catalogs(Keyring.parse(MASTER_KEY), Guard.parse(LOOPBACK))


async def read_url(catalogs: Catalogs, url: str, known: str = "") -> Reading | None:
    async with catalogs.open(PROJECT, seal_url(url)) as catalog:
        return await catalog.read(known)


@pytest.fixture(scope="session")
def read(catalogs: Catalogs) -> Read:
    """A schema by its URL."""

    async def reading(url: str) -> Schema:
        found = await read_url(catalogs, url)
        assert found is not None
        return assemble(found, 1)

    return reading


@pytest.fixture(scope="session", params=[18, 16, 15])
async def server(
    request: pytest.FixtureRequest, server_home: Path, _cluster: embedded.Postgres
) -> AsyncIterator[embedded.Postgres]:
    """The majors at hand; Debian's 15 brings the extensions that the wheels lack."""
    major: int = request.param
    if major == 18:
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
    connection = await asyncpg.connect(server.url("odd"))
    await connection.execute(_ODD.read_text())
    await connection.close()
    return server.url("odd")


@pytest.fixture(scope="session")
async def odd_schema(odd: str, read: Read) -> Schema:
    return await read(odd)


def table(schema: Schema, name: str) -> Table:
    """A table by `schema.table`, each of them whatever is in it."""
    return next(found for found in schema.tables if f"{found.schema}.{found.name}" == name)


def without_role(url: str, role: str, password: str) -> str:
    """The same database as another role."""
    return re.sub(r"//[^@]+@", f"//{role}:{password}@", url)
