"""A gateway with all that it needs, and a database of a user's."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from stack import embedded
from tests.gateway import scene
from tests.gateway.shop import SHOP, Shop


@pytest.fixture
async def bookshop(database: str) -> str:
    """A user's database with a small table."""
    connection = await asyncpg.connect(database)
    await connection.execute("create table book (id int primary key, title text not null)")
    await connection.execute("insert into book values (1, 'Emma'), (2, 'Ulysses')")
    await connection.close()
    return database


@pytest.fixture
async def introspector(platform_database: str, nats_server: embedded.Nats) -> AsyncIterator[None]:
    async with scene.introspector(platform_database, nats_server.url("introspector")):
        yield


@pytest.fixture
async def gateway(
    platform_database: str,
    nats_server: embedded.Nats,
    valkey: embedded.Valkey,
    tmp_path: Path,
    introspector: None,  # noqa: ARG001 - it only has to run
) -> AsyncIterator[scene.Gateway]:
    url = nats_server.url("gateway")
    async with scene.gateway(platform_database, url, valkey.url(), tmp_path / "spool") as running:
        yield await running.sign_up()


@pytest.fixture
async def shop(gateway: scene.Gateway, database: str) -> Shop:
    """A project with tables, types and functions."""
    connection = await asyncpg.connect(database)
    await connection.execute(SHOP)
    await connection.close()
    return Shop(gateway, await gateway.register(database), database)
