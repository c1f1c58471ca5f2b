"""Databases of one's own, as one finds them in the world."""

import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest

from stack.embedded import Postgres
from tests.asking import Caller
from tests.running import RunningStack

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
OLDER_MAJOR = 16
TABLES, COLUMNS = 1_500, 12


@pytest.fixture
def caller(stack: RunningStack) -> Caller:
    return Caller(stack.demo)


@pytest.fixture
async def older() -> AsyncIterator[Postgres]:
    """The older major version that is at hand."""
    with tempfile.TemporaryDirectory(prefix="dbify-older-", ignore_cleanup_errors=True) as home:
        async with await Postgres.start(Path(home), major=OLDER_MAJOR, durable=False) as server:
            yield server


@pytest.fixture
async def debian() -> AsyncIterator[Postgres]:
    """The PostgreSQL of the distribution, with its contrib extensions."""
    if not DEBIAN:
        pytest.skip("no PostgreSQL of the distribution in /usr/lib/postgresql")
    with tempfile.TemporaryDirectory(prefix="dbify-debian-", ignore_cleanup_errors=True) as home:
        async with await Postgres.start(Path(home), install=DEBIAN[-1], durable=False) as server:
            yield server


async def test_an_older_major_version_is_served_at_once(caller: Caller, older: Postgres) -> None:
    await older.execute("CREATE TABLE note (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL)")
    notes = caller.register("An older one", older.url())
    assert notes.data("create", "note", {"data": {"text": "first"}}) == {"id": 1, "text": "first"}
    assert notes.data("read", "note", {"id": 1}) == [{"id": 1, "text": "first"}]


async def test_extensions_of_the_distribution_are_served_too(caller: Caller, debian: Postgres) -> None:
    await debian.execute(
        "CREATE EXTENSION citext", "CREATE EXTENSION pg_trgm", "CREATE EXTENSION hstore",
        "CREATE TABLE member (email citext PRIMARY KEY, name text, traits hstore)",
        "CREATE INDEX ON member USING gin (name gin_trgm_ops)",
        "INSERT INTO member VALUES ('Ada@Example.com', 'Ada', 'eyes=>grey'), ('bob@example.com', 'Bob', NULL)",
    )  # fmt: skip
    members = caller.register("Debian's", debian.url())
    assert [row["name"] for row in members.data("read", "member", {"email": "ADA@example.com"})] == ["Ada"]
    assert [row["name"] for row in members.data("read", "member", {"where": {"name": {"contains": "o"}}})] == ["Bob"]


async def test_1500_tables_of_12_columns_are_served_at_once(
    caller: Caller, database: str, record_property: Callable[[str, object], None]
) -> None:
    columns = ", ".join(f"column_{number} text" for number in range(COLUMNS - 1))
    connection = await asyncpg.connect(database)
    for start in range(0, TABLES, 100):
        await connection.execute(
            ";".join(f"CREATE TABLE t_{n} (id int PRIMARY KEY, {columns})" for n in range(start, start + 100))
        )
    await connection.close()
    started = time.monotonic()
    many = caller.register("Many tables", database)
    record_property("registered_after_s", time.monotonic() - started)
    assert many.data("read", "t_1499", {"limit": 1}) == []
