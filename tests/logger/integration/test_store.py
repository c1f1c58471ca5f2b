"""The store, in both its forms: embedded and reached by HTTP."""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from clickhouse_connect.driver.client import Client

from libs.common.errors import DbifyError
from libs.common.ids import ProjectId
from libs.common.logs import AnalyticsFilter, Caller, CallersQuestion, ColumnUse, LogFilter, LogRecord, Totals
from services.logger.adapters.clickhouse import ClickHouse, open_store
from services.logger.adapters.clickhouse_questions import Entries, Reports, Uses
from services.logger.adapters.clickhouse_rows import Rows
from services.logger.adapters.clickhouse_tables import migration
from services.logger.core.questions import rfc3339
from services.logger.handlers.reading import Figures, Logs, WhoCalled
from tests.logger.records import PROJECT, now_us, record, records

OTHER = ProjectId(5)
HOUR_US = 3_600_000_000


async def insert(store: ClickHouse, batch: Sequence[LogRecord], token: str, *, again: bool = False) -> None:
    await Rows(store, replicated=False).insert(batch, token, again=again)


def figures(store: ClickHouse, *, exact_requests: int = 1_000_000) -> Figures:
    return Figures(Reports(store, now_us, log_days=30, exact_requests=exact_requests), now_us)


async def counts(store: ClickHouse) -> tuple[int, int]:
    """Rows, and rows as the totals count them."""

    def ask(client: Client) -> tuple[int, int]:
        [(rows,)] = client.query("SELECT count() FROM requests").result_rows
        [(counted,)] = client.query("SELECT sum(requests) FROM minutes").result_rows
        return rows, counted

    return await store.read(ask)


async def command(store: ClickHouse, statement: str) -> None:
    await store.write(lambda client: client.command(statement))


async def test_a_message_inserted_again_is_stored_and_counted_once(store: ClickHouse) -> None:
    first, second = records(100), records(100)
    for batch, token in ((first, "1"), (first, "1"), (second, "2"), (first, "1"), (second, "2")):
        await insert(store, batch, token, again=True)
    assert await counts(store) == (200, 200)


async def test_the_same_rows_under_two_tokens_are_two_messages(store: ClickHouse) -> None:
    batch = records(10)
    await insert(store, batch, "1")
    await insert(store, batch, "2")
    assert await counts(store) == (20, 20)


async def test_a_message_over_several_days_and_months_is_inserted_once_in_each(store: ClickHouse) -> None:
    batch = [record(number, time_us=now_us() - number * 12 * HOUR_US) for number in range(60)]
    for _ in range(2):
        await insert(store, batch, "1", again=True)
    # The oldest day may be dropped at any moment, so the totals are what is compared.
    assert (await counts(store))[1] == 60


async def test_totals_that_failed_are_made_up_for_by_the_repetition(store: ClickHouse) -> None:
    batch = records(50)
    await command(store, "RENAME TABLE minutes TO away")
    with pytest.raises(DbifyError):
        await insert(store, batch, "1")
    await command(store, "RENAME TABLE away TO minutes")
    await insert(store, batch, "1", again=True)
    await insert(store, batch, "1", again=True)
    assert await counts(store) == (50, 50)


async def test_tables_are_made_once_and_their_lifetimes_follow_the_settings(store_url: str) -> None:
    for days in (30, 30, 7):
        async with open_store(store_url, migration(log_days=days, analytics_days=days * 10)) as store:
            await insert(store, records(1), str(days))
            definitions = await store.read(
                lambda client: client.query(
                    "SELECT create_table_query FROM system.tables WHERE database = currentDatabase()"
                )
            )
        text = str(definitions.result_rows)
        assert f"toIntervalDay({days})" in text
        assert f"toIntervalDay({days * 10})" in text


def percentile(durations_us: Sequence[int], percent: int) -> float:
    """With linear interpolation, as spreadsheets, numpy and Postgres's percentile_cont compute it."""
    if len(durations_us) == 1:
        return float(durations_us[0])
    return statistics.quantiles(durations_us, n=100, method="inclusive")[percent - 1]


def check(answer: Totals, expected: Sequence[LogRecord], *, within: float) -> None:
    """The answer's figures are those of the records; percentiles `within` a fraction."""
    durations = [each.duration_us for each in expected]
    assert answer.requests == len(expected)
    assert answer.errors == sum(each.status >= 400 for each in expected)
    assert answer.average_ms == pytest.approx(statistics.fmean(durations) / 1000, rel=1e-12)
    for percent, answered in ((50, answer.p50_ms), (95, answer.p95_ms), (99, answer.p99_ms)):
        assert answered == pytest.approx(percentile(durations, percent) / 1000, rel=within)


def grouped(batch: Sequence[LogRecord], key: Callable[[LogRecord], str]) -> dict[str, list[LogRecord]]:
    groups: dict[str, list[LogRecord]] = {}
    for each in batch:
        groups.setdefault(key(each), []).append(each)
    return groups


@pytest.mark.parametrize(("exact_requests", "within"), [(1_000_000, 1e-12), (0, 0.02)], ids=["requests", "minutes"])
async def test_analytics_equal_what_the_records_say(store: ClickHouse, exact_requests: int, within: float) -> None:
    batch = [record(number, time_us=now_us() - number * 2_000_000) for number in range(3_000)]
    for start in range(0, len(batch), 1_000):
        await insert(store, batch[start : start + 1_000], str(start))
    await insert(store, [record(1, project=OTHER)], "other")
    answer = await figures(store, exact_requests=exact_requests)(AnalyticsFilter(PROJECT, step_s=600))
    check(answer, batch, within=within)
    for table in answer.by_table:
        check(table, grouped(batch, lambda each: each.table)[table.table_name], within=within)
    for operation in answer.by_operation:
        check(operation, grouped(batch, lambda each: each.operation)[operation.operation], within=within)
    buckets = grouped(batch, lambda each: rfc3339(each.time_us // 600_000_000 * 600_000_000))
    assert {bucket.time for bucket in answer.series if bucket.requests} == set(buckets)
    for bucket in answer.series:
        if bucket.requests:
            check(bucket, buckets[bucket.time], within=0.1 if within > 0.01 else within)
    assert len(answer.by_table) == 4
    assert len(answer.by_operation) == 5
    assert 144 <= len(answer.series) <= 145


@pytest.mark.parametrize("exact_requests", [1_000_000, 0], ids=["requests", "minutes"])
async def test_analytics_of_a_table_and_operation_count_only_those(store: ClickHouse, exact_requests: int) -> None:
    batch = records(200)
    await insert(store, batch, "1")
    report = figures(store, exact_requests=exact_requests)
    unqualified = await report(AnalyticsFilter(PROJECT, table_name="author"))
    qualified = await report(AnalyticsFilter(PROJECT, table_name="app.author", operation="read"))
    assert unqualified.requests == sum(each.table.endswith(".author") for each in batch)
    assert qualified.requests == sum(each.table == "app.author" and each.operation == "read" for each in batch)


@pytest.mark.parametrize("exact_requests", [1_000_000, 0], ids=["requests", "minutes"])
async def test_a_project_without_logs_has_zeros_and_nulls(store: ClickHouse, exact_requests: int) -> None:
    await insert(store, records(10), "1")
    answer = await figures(store, exact_requests=exact_requests)(AnalyticsFilter(OTHER))
    assert (answer.requests, answer.errors, answer.average_ms, answer.p50_ms) == (0, 0, None, None)
    assert (answer.by_table, answer.by_operation) == ([], [])
    assert {bucket.requests for bucket in answer.series} == {0}
    assert (await Logs(Entries(store))(LogFilter(OTHER))).data == []


async def test_an_entry_has_every_field_of_its_record(store: ClickHouse) -> None:
    stored = record(1)
    await insert(store, [stored], "1")
    [entry] = (await Logs(Entries(store))(LogFilter(PROJECT))).data
    assert (entry.request_id, entry.time) == (stored.request_id, rfc3339(stored.time_us))
    assert (entry.operation, entry.table_name, entry.columns) == ("create", "public.book", ["id", "name"])
    assert (entry.status, entry.error_code) == (200, None)
    assert (entry.duration_ms, entry.database_ms) == (stored.duration_us / 1000, 0.3)
    assert (entry.rows, entry.bytes, entry.coalesced) == (1, 2000, False)
    assert (entry.key_id, entry.role, entry.client) == ("key-1", "", "private")


Chosen = Callable[[LogRecord], bool]
FILTERS: list[tuple[dict[str, object], Chosen]] = [
    ({}, lambda _: True),
    ({"table_name": "author"}, lambda each: each.table in ("public.author", "app.author")),
    ({"table_name": "app.author"}, lambda each: each.table == "app.author"),
    ({"table_name": ""}, lambda each: each.table == ""),
    ({"table_name": "' OR 1 = 1 --"}, lambda _: False),
    ({"table_name": "{project:Int64}"}, lambda _: False),
    ({"table_name": "\\'\n\t\x00%s%(project)s"}, lambda _: False),
    ({"operation": "read"}, lambda each: each.operation == "read"),
    ({"status": 404}, lambda each: each.status == 404),
    ({"status_class": 4}, lambda each: 400 <= each.status < 500),
    ({"status_class": 5, "status": 404}, lambda _: False),
    ({"error_code": "TABLE_NOT_FOUND"}, lambda each: each.error == "TABLE_NOT_FOUND"),
    ({"key_id": "key-2", "operation": "read"}, lambda each: each.key == "key-2" and each.operation == "read"),
]


async def test_logs_are_filtered_newest_first(store: ClickHouse) -> None:
    batch = records(120)
    await insert(store, batch, "1")
    await insert(store, records(120, project=OTHER), "2")
    logs = Logs(Entries(store))
    for fields, chosen in FILTERS:
        page = await logs(LogFilter(PROJECT, limit=200, **fields))  # type: ignore[arg-type]
        assert [entry.request_id for entry in page.data] == [each.request_id for each in batch if chosen(each)], fields
    times = {"from_time": rfc3339(batch[50].time_us), "to_time": rfc3339(batch[20].time_us)}
    page = await logs(LogFilter(PROJECT, limit=200, **times))  # type: ignore[arg-type]
    assert [entry.request_id for entry in page.data] == [each.request_id for each in batch[21:51]]
    [entry] = (await logs(LogFilter(PROJECT, request_id=batch[7].request_id.upper()))).data
    assert entry.request_id == batch[7].request_id


async def test_pages_hold_each_entry_once_while_others_arrive(store: ClickHouse) -> None:
    # Ten records to a microsecond, so that pages end between records of the same time.
    start_us = now_us()
    batch = [record(number, time_us=start_us - number // 10) for number in range(95)]
    await insert(store, batch, "1")
    logs, seen, after = Logs(Entries(store)), Counter[str](), None
    for number in range(100):
        page = await logs(LogFilter(PROJECT, limit=7, after=after))
        seen.update(entry.request_id for entry in page.data)
        await insert(store, records(5), f"later-{number}")
        after = page.next_cursor
        if after is None:
            break
    assert seen == Counter(each.request_id for each in batch)


async def test_a_question_that_takes_too_long_is_ended(store: ClickHouse) -> None:
    def slow(client: Client) -> None:
        client.query(
            "SELECT count() FROM numbers(1e12) WHERE sipHash64(number) = 1", settings={"max_execution_time": 1}
        )

    with pytest.raises(DbifyError, match="too long"):
        await store.read(slow)


async def test_who_used_a_table_or_column_of_late_is_told_by_key(store: ClickHouse) -> None:
    now, day = now_us(), 24 * HOUR_US

    def used(key: str, table: str, *columns: str, operation: str = "read", days: int = 0) -> LogRecord:
        return record(0, key=key, table=table, columns=columns, operation=operation, time_us=now - days * day)

    await insert(store, [
        used("named", "shop.customer", "id", "email"),
        used("named", "shop.customer", "id", operation="update"),
        used("read", "shop.customer", "id", days=1),
        used("wrote", "shop.customer", "id", operation="update"),
        used("whole", "shop.order", operation="delete"),
        used("elsewhere", "public.customer", "email"),
        used("before", "shop.customer", "email", days=8),
        used("", "shop.customer", "email"),
        record(0, project=OTHER, key="foreign", table="shop.customer", columns=("email",)),
    ], "1")  # fmt: skip
    ask = WhoCalled(Uses(store), lambda: now)
    answer = await ask(CallersQuestion(PROJECT, ["shop.order"], [ColumnUse("shop.customer", "email")]))
    assert answer.data == [
        Caller("named", 1, 1, rfc3339(now)),
        Caller("whole", 1, 1, rfc3339(now)),
        Caller("read", 1, 0, rfc3339(now - day)),
    ]
    assert (await ask(CallersQuestion(PROJECT, [], []))).data == []
