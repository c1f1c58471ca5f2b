"""Transactions on users' databases, as saved queries and limits use them."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from libs.common.errors import Code, DbifyError
from services.gateway.adapters.databases import Databases, databases
from services.gateway.adapters.redis import shared
from services.gateway.core.plan import Plan
from stack import embedded
from tests.common.waiting import until
from tests.gateway.asking import PROJECT, OneTarget


def plan(sql: str, *, write: bool = False) -> Plan:
    return Plan(sql, (), write, "", ())


INSERT = plan("WITH r AS (INSERT INTO book VALUES (9, 'x') RETURNING 1) SELECT '', 1::int8, 1::int8, 0", write=True)
COUNT = plan("SELECT count(*)::text, NULL::int8, 1::int8, 1 FROM book")
SLEEP = plan("SELECT pg_sleep(5)::text, NULL::int8, 1::int8, 1")


@pytest.fixture
async def held(bookshop: str, valkey: embedded.Valkey) -> AsyncIterator[Databases]:
    async with shared(valkey.url()) as redis, databases(OneTarget(bookshop, 1_000), redis) as adapter:
        yield adapter


async def test_it_is_committed_at_the_end_and_rolled_back_by_an_exception(held: Databases) -> None:
    async with held.transaction(PROJECT) as session:
        await session.run(INSERT)
        assert (await session.run(COUNT)).data == b"3"
        assert (await held.run(PROJECT, COUNT)).data == b"2"
    assert (await held.run(PROJECT, COUNT)).data == b"3"
    with pytest.raises(ZeroDivisionError):
        await _deletes_and_fails(held)
    assert (await held.run(PROJECT, COUNT)).data == b"3"


async def _deletes_and_fails(held: Databases) -> None:
    async with held.transaction(PROJECT) as session:
        await session.run(plan("DELETE FROM book RETURNING '', 1::int8, 1::int8, 0", write=True))
        raise ZeroDivisionError


async def _inserts_and_sleeps(held: Databases) -> None:
    async with held.transaction(PROJECT) as session:
        await session.run(INSERT)
        await session.run(SLEEP)


async def test_one_that_only_reads_writes_nothing_and_leaves_no_setting(held: Databases) -> None:
    with pytest.raises(DbifyError) as caught:
        async with held.transaction(PROJECT, read_only=True) as session:
            await session.run(INSERT)
    assert caught.value.details["sqlstate"] == "25006"
    change = plan("SELECT set_config('application_name', 'changed', false), NULL::int8, 1::int8, 1")
    async with held.transaction(PROJECT, read_only=True) as session:
        await session.run(change)
    name = plan("SELECT current_setting('application_name'), NULL::int8, 1::int8, 1")
    assert (await held.run(PROJECT, name)).data == b"dbify"


async def test_all_of_it_has_the_time_of_one_statement(held: Databases) -> None:
    for _ in range(2):
        with pytest.raises(DbifyError) as caught:
            await _inserts_and_sleeps(held)
        assert caught.value.code is Code.QUERY_TIMEOUT
    assert (await held.run(PROJECT, COUNT)).data == b"2"


async def test_who_leaves_in_the_middle_leaves_nothing_open(held: Databases, bookshop: str) -> None:
    watch = await asyncpg.connect(bookshop)
    task = asyncio.create_task(_inserts_and_sleeps(held))

    async def sleeping() -> bool:
        return bool(await watch.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"))

    await until(sleeping)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def quiet() -> bool:
        return not await watch.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
            " AND pid <> pg_backend_pid()"
        )

    await until(quiet)
    assert await watch.fetchval("SELECT count(*) FROM book") == 2
    await watch.close()


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(held: Databases, bookshop: str) -> None:
    assert (await held.run(PROJECT, COUNT)).data == b"2"
    watch = await asyncpg.connect(bookshop)
    await watch.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dbify'")
    async with held.transaction(PROJECT) as session:
        await session.run(INSERT)
    assert await watch.fetchval("SELECT count(*) FROM book") == 3
    await watch.close()


async def test_it_can_be_found_again(held: Databases, bookshop: str) -> None:
    async with held.transaction(PROJECT) as session:
        mark = await session.identity()
        assert mark == await session.identity()
    watch = await asyncpg.connect(bookshop)
    assert await watch.fetchval("SELECT txid_status($1)", mark.xid) == "committed"
    assert mark.database.endswith(
        str(await watch.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()"))
    )
    await watch.close()


async def test_a_statement_is_described_without_being_run(held: Databases) -> None:
    described = await held.describe(PROJECT, "INSERT INTO book VALUES ($1, $2) RETURNING id, title AS t")
    assert [each.sql for each in described.parameters] == ["integer", "text"]
    assert [(each.name, each.type.sql) for each in described.fields] == [("id", "integer"), ("t", "text")]
    with pytest.raises(DbifyError) as caught:
        await held.describe(PROJECT, "SELECT nothing FROM book")
    assert (caught.value.code, caught.value.details["position"]) == (Code.INVALID_QUERY, 8)
    assert (await held.run(PROJECT, COUNT)).data == b"2"


async def test_through_a_pooler_it_has_its_settings(bookshop: str, valkey: embedded.Valkey) -> None:
    async with shared(valkey.url()) as redis, databases(OneTarget(bookshop, 1_000), redis) as adapter:
        assert (await adapter.run(PROJECT, COUNT)).data == b"2"
        adapter._projects[PROJECT].pooled = True
        setting = plan("SELECT current_setting('statement_timeout'), NULL::int8, 1::int8, 1")
        async with adapter.transaction(PROJECT, read_only=True) as session:
            assert (await session.run(setting)).data == b"1s"
            assert [each.sql for each in (await session.describe("SELECT $1::date")).parameters] == ["date"]
