"""Reads by key that are asked at the same time: together where that changes nothing, apart everywhere else.

A table that is locked holds the first reads in the database, so that the others gather; nothing depends on chance.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.gateway.adapters.databases import databases
from services.gateway.adapters.lanes import MAX_IN_FLIGHT
from services.gateway.adapters.redis import shared
from services.gateway.core.plan import plan
from services.gateway.core.request import Request
from stack import embedded
from tests.common.waiting import until
from tests.gateway.asking import PROJECT, Asking, Looks, OneTarget, asking

SCHEMA = """
CREATE TABLE book (id integer PRIMARY KEY, title text NOT NULL, stock integer NOT NULL DEFAULT 0, body text);
INSERT INTO book SELECT n, 'Book ' || n FROM generate_series(1, 100) n;
CREATE TABLE price (amount numeric PRIMARY KEY, code char(4) UNIQUE NOT NULL);
INSERT INTO price VALUES (1, 'ab'), (2.50, 'cd');
CREATE TABLE place (id integer PRIMARY KEY, name text);
CREATE TABLE town () INHERITS (place);
INSERT INTO place VALUES (1, 'place'), (2, 'second');
INSERT INTO town VALUES (1, 'town');
"""
# What `OneTarget` allows.
CONNECTIONS = 5
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture
async def shop(database: str, valkey: embedded.Valkey) -> AsyncIterator[Asking]:
    async with asking(database, valkey.url()) as it:
        await it.execute(SCHEMA)
        await it.looks.current(PROJECT)
        yield it


@asynccontextmanager
async def locked(url: str, table: str) -> AsyncIterator[None]:
    """Nobody reads the table until this is left."""
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
    await connection.close()


async def held(it: Asking) -> int:
    """How many of our statements wait for the lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dbify' AND wait_event_type = 'Lock'"
    return int(await it.value(waiting))


async def gathered(it: Asking, table: str, *requests: Awaitable[Any], statements: int = MAX_IN_FLIGHT) -> list[Any]:
    """The answers of requests that are all under way before the database answers any."""
    async with locked(it.url, table):
        tasks = [asyncio.ensure_future(request) for request in requests]
        await until(lambda: _equals(held(it), statements))
    return await asyncio.gather(*tasks)


async def _equals(count: Awaitable[int], expected: int) -> bool:
    return await count == expected


def book(it: Asking, key: Any, **more: Any) -> Awaitable[Any]:
    return it.data("read", "book", {"where": {"id": key, **more}, "select": ["id", "title"]})


def shared_reads(it: Asking) -> int:
    return sum(record.coalesced for record in it.records.all)


async def test_reads_by_key_travel_together_and_each_gets_its_own_row(shop: Asking) -> None:
    keys = [1 + number % 60 for number in range(120)]
    answers = await gathered(shop, "book", *(book(shop, key) for key in keys))
    assert answers == [[{"id": key, "title": f"Book {key}"}] for key in keys]
    assert shared_reads(shop) == len(keys) - MAX_IN_FLIGHT


async def test_a_key_without_a_row_gets_none_in_company_too(shop: Asking) -> None:
    answers = await gathered(shop, "book", *(book(shop, key) for key in (1, 2, 1000, 3, 2000)))
    assert [len(answer) for answer in answers] == [1, 1, 0, 1, 0]


async def test_keys_that_are_equal_though_written_otherwise_find_the_same_row(shop: Asking) -> None:
    amounts = ("1", "1", "1.0", "1.00", "2.5", "2.500")
    asked = (shop.raw("read", "price", f'{{"amount": {amount}}}') for amount in amounts)
    answers = await gathered(shop, "price", *asked)
    assert ['"code":"ab' in answer for _, answer in answers] == [True, True, True, True, False, False]
    assert all(status == 200 for status, _ in answers)
    codes = [shop.data("read", "price", {"code": code}) for code in ("ab", "ab", "ab  ", "cd", "cd ", "xy")]
    assert [len(answer) for answer in await gathered(shop, "price", *codes)] == [1, 1, 1, 1, 1, 0]


async def test_citext_keys_find_their_rows_whatever_their_case(valkey: embedded.Valkey) -> None:
    if not DEBIAN:
        pytest.skip("no PostgreSQL with citext in /usr/lib/postgresql")
    with tempfile.TemporaryDirectory(prefix="dbify-lanes-", ignore_cleanup_errors=True) as home:
        async with (
            await embedded.Postgres.start(Path(home), install=DEBIAN[-1], durable=False) as server,
            asking(server.url(), valkey.url()) as it,
        ):
            await it.execute("CREATE EXTENSION citext; CREATE TABLE member (email citext PRIMARY KEY)")
            await it.execute("INSERT INTO member VALUES ('Ada@example.com')")
            await it.looks.current(PROJECT)
            spelled = ["ada@example.com", "ADA@EXAMPLE.COM", "Ada@example.com", "aDa@example.com", "eve@example.com"]
            answers = await gathered(it, "member", *(it.data("read", "member", {"email": each}) for each in spelled))
            assert [len(answer) for answer in answers] == [1, 1, 1, 1, 0]


async def test_a_value_that_is_no_key_fails_alone(shop: Asking) -> None:
    good = [shop.raw("read", "book", f'{{"id": {key}}}') for key in range(1, 11)]
    bad = [shop.raw("read", "book", f'{{"id": "{key}"}}') for key in ("abc", "99999999999", "1e400", "", "one")]
    # Those that may be no keys go by themselves, as many as there are connections.
    answers = await gathered(shop, "book", *good, *bad, statements=CONNECTIONS)
    assert [status for status, _ in answers[:10]] == [200] * 10
    assert {status for status, _ in answers[10:]} == {422}


async def test_other_filters_never_share(shop: Asking) -> None:
    right = [book(shop, key, title=f"Book {key}") for key in range(1, 6)]
    wrong = [book(shop, key, title="Another") for key in range(1, 6)]
    answers = await gathered(shop, "book", *right, *wrong, statements=CONNECTIONS)
    assert [len(answer) for answer in answers] == [1] * 5 + [0] * 5


async def test_other_roles_never_share(shop: Asking, valkey: embedded.Valkey) -> None:
    catalog = await Looks(shop.url).current(PROJECT)
    async with shared(valkey.url()) as redis, databases(OneTarget(shop.url, 10_000), redis) as adapter:
        made = [plan(Request("read", "book", {"id": key}), catalog.resolve("book")) for key in range(1, 4)]
        runs = [adapter.run(PROJECT, each, role) for role in ("reader", "writer") for each in made]
        results = await gathered(shop, "book", *runs, statements=2 * MAX_IN_FLIGHT)
    assert [result.rows for result in results] == [1] * 6


async def test_a_client_that_leaves_takes_nobody_along(shop: Asking) -> None:
    async with locked(shop.url, "book"):
        tasks = [asyncio.ensure_future(book(shop, key)) for key in range(1, 21)]
        await until(lambda: _equals(held(shop), MAX_IN_FLIGHT))
        for leaving in (tasks[0], tasks[5], tasks[6]):
            leaving.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [index for index, answer in enumerate(answers) if isinstance(answer, BaseException)] == [0, 5, 6]
    assert all(answer[0]["id"] == index + 1 for index, answer in enumerate(answers) if isinstance(answer, list))


async def test_who_has_written_reads_what_was_written(shop: Asking) -> None:
    async def client(key: int) -> None:
        for stock in range(1, 16):
            await shop.data("update", "book", {"where": {"id": key}, "data": {"stock": stock}})
            # All read the same row, so that they share queries.
            rows = await shop.data("read", "book", {"where": {"id": key}, "select": ["stock"]})
            assert rows == [{"stock": stock}]

    async def crowd() -> None:
        for _ in range(40):
            await asyncio.gather(
                *(shop.data("read", "book", {"where": {"id": key}, "select": ["stock"]}) for key in range(1, 21))
            )

    await asyncio.gather(crowd(), *(client(key) for key in range(1, 5)))
    assert shared_reads(shop) > 0


async def test_a_slow_query_times_out_for_those_in_it_and_the_lane_goes_on(
    database: str, valkey: embedded.Valkey
) -> None:
    async with asking(database, valkey.url(), timeout_ms=300) as it:
        await it.execute(SCHEMA)
        await book(it, 1)
        async with locked(database, "book"):
            answers = await asyncio.gather(*(it.raw("read", "book", f'{{"id": {key}}}') for key in range(1, 11)))
        assert {status for status, _ in answers} == {504}
        assert await book(it, 1) == [{"id": 1, "title": "Book 1"}]


async def test_a_row_too_large_to_share_is_answered_whole(shop: Asking) -> None:
    await shop.execute("UPDATE book SET body = repeat('x', 200000) WHERE id = 7")
    answers = await gathered(shop, "book", *(shop.data("read", "book", {"id": key}) for key in range(1, 11)))
    assert [answer[0]["id"] for answer in answers] == list(range(1, 11))
    assert len(answers[6][0]["body"]) == 200_000


async def test_a_key_that_children_have_too_gives_every_row(shop: Asking) -> None:
    answers = await gathered(shop, "place", *(shop.data("read", "place", {"id": key}) for key in (1, 2, 1, 2, 1)))
    assert [len(answer) for answer in answers] == [2, 1, 2, 1, 2]
