"""A server killed after it wrote a token down and before it put the rows in place: the folder is made to look so."""

import secrets
import shutil
from collections.abc import Sequence

import pytest
from clickhouse_connect.driver.client import Client

from libs.common.logs import AnalyticsFilter, LogRecord
from services.logger.adapters.clickhouse import ClickHouse, open_store
from services.logger.adapters.clickhouse_questions import Reports
from services.logger.adapters.clickhouse_rows import Rows
from services.logger.adapters.clickhouse_tables import migration
from services.logger.handlers.reading import Figures
from tests.clickhouse_server import ClickHouse as Server
from tests.logger.records import PROJECT, now_us, record, records


async def lose_last_part(server: Server, url: str, tables: Sequence[str]) -> None:
    """Take the newest part of each table away behind the server's back, as if it had never been renamed."""
    parts: list[str] = []

    def find(client: Client) -> None:
        for table in tables:
            [(path,)] = client.query(
                "SELECT path FROM system.parts WHERE active AND database = currentDatabase() AND table = {table:String}"
                " ORDER BY max_block_number DESC, partition DESC LIMIT 1",
                {"table": table},
            ).result_rows
            parts.append(path)

    async with open_store(url, lambda _: None) as store:
        await store.read(find)
    server.kill()
    for part in parts:
        shutil.rmtree(server.data / part)
    await server.restart()


async def rows_and_totals(store: ClickHouse) -> tuple[int, int, int]:
    """Rows, different rows, and rows as the totals count them."""

    def ask(client: Client) -> tuple[int, int, int]:
        [(rows, different)] = client.query("SELECT count(), uniqExact(request_id) FROM requests").result_rows
        [(counted,)] = client.query("SELECT sum(requests) FROM minutes").result_rows
        return rows, different, counted

    return await store.read(ask)


async def insert(store: ClickHouse, batch: Sequence[LogRecord], token: str, *, again: bool) -> None:
    await Rows(store, replicated=False).insert(batch, token, again=again)


@pytest.mark.parametrize("lost", [("requests",), ("minutes",), ("requests", "minutes")], ids="-".join)
async def test_rows_whose_token_alone_survived_come_back_once_with_the_message(
    clickhouse: Server, lost: tuple[str, ...]
) -> None:
    url = clickhouse.url(f"t_{secrets.token_hex(6)}")
    before, batch = records(40), records(60)
    prepare = migration(log_days=30, analytics_days=400)
    async with open_store(url, prepare) as store:
        await insert(store, before, "before", again=False)
        await store.write(lambda client: client.command("SYSTEM STOP MERGES"))
        await insert(store, batch, "1", again=False)
    await lose_last_part(clickhouse, url, lost)
    async with open_store(url, prepare) as store:
        await insert(store, batch, "1", again=False)
        rows, _, counted = await rows_and_totals(store)
        assert (rows == 40, counted == 40) == ("requests" in lost, "minutes" in lost), "nothing to restore was made"
        for _ in range(2):
            await insert(store, batch, "1", again=True)
            await insert(store, before, "before", again=True)
        assert await rows_and_totals(store) == (100, 100, 100)
        for exact_requests in (0, 1_000):
            report = Reports(store, now_us, log_days=30, exact_requests=exact_requests)
            answer = await Figures(report, now_us)(AnalyticsFilter(PROJECT))
            assert answer.requests == 100
            assert answer.errors == sum(each.status >= 400 for each in (*before, *batch))


async def test_of_a_message_over_two_days_only_the_lost_day_is_restored(clickhouse: Server) -> None:
    url = clickhouse.url(f"t_{secrets.token_hex(6)}")
    day_us = 86_400_000_000
    batch = [record(number, time_us=now_us() - number % 2 * day_us) for number in range(60)]
    prepare = migration(log_days=30, analytics_days=400)
    async with open_store(url, prepare) as store:
        await store.write(lambda client: client.command("SYSTEM STOP MERGES"))
        await insert(store, batch, "1", again=False)
    await lose_last_part(clickhouse, url, ["requests"])
    async with open_store(url, prepare) as store:
        assert (await rows_and_totals(store))[0] == 30
        for _ in range(2):
            await insert(store, batch, "1", again=True)
        assert await rows_and_totals(store) == (60, 60, 60)
