"""The logger as a whole: its `main`, NATS, and a ClickHouse that can be stopped."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

import clickhouse_connect
import msgspec
import nats
import psutil
import pytest
from nats.aio.msg import Msg

from libs.common.bus import Bus, connect
from libs.common.errors import Code, DbifyError
from libs.common.logs import Analytics, AnalyticsFilter, LogFilter, LogPage
from services.logger.config import Config
from services.logger.main import run
from stack import children
from stack.embedded import Nats, free_port
from tests.clickhouse_server import ClickHouse
from tests.logger.records import PROJECT, message, messages, now_us, record, records

T = TypeVar("T")
ROOT = Path(__file__).parents[3]


async def eventually(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], *, limit_s: float = 20) -> T:
    """The first answer for which it holds."""
    answer: T | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while True:
                with suppress(DbifyError, OSError):
                    answer = await ask()
                    if holds(answer):
                        return answer
                await asyncio.sleep(0.05)
    raise AssertionError(f"it never came to hold, last was {answer}")


@asynccontextmanager
async def logger(nats_server: Nats, clickhouse_url: str) -> AsyncIterator[int]:
    """The logger's `main` in this process; yields its health port."""
    stop, port = asyncio.Event(), free_port()
    config = Config(nats_url=nats_server.url("logger"), clickhouse_url=clickhouse_url, health_port=port)
    running = asyncio.create_task(run(config, stop))
    try:
        yield port
    finally:
        stop.set()
        await running


@pytest.fixture
async def gateway(nats_server: Nats) -> AsyncIterator[Bus]:
    """A bus with the gateway's rights."""
    async with connect(nats_server.url("gateway"), "gateway") as bus:
        await eventually(lambda: asyncio.sleep(0, bus.connected), bool)
        yield bus


@pytest.fixture
def url(clickhouse: ClickHouse) -> str:
    """A fresh database on the server."""
    return clickhouse.url(f"t_{secrets.token_hex(6)}")


async def publish(gateway: Bus, body: bytes, identity: str = "") -> None:
    await gateway.publish("dbify.logs.gateway-1", body, message_id=identity or secrets.token_hex(16))


async def analytics(gateway: Bus, asked: AnalyticsFilter | None = None) -> Analytics:
    answer = await gateway.request("logger", "analytics", asked or AnalyticsFilter(PROJECT))
    return msgspec.json.decode(answer, type=Analytics)


async def logs(gateway: Bus, asked: LogFilter) -> LogPage:
    return msgspec.json.decode(await gateway.request("logger", "logs", asked), type=LogPage)


async def stored(gateway: Bus, number: int, *, limit_s: float = 20) -> Analytics:
    """The analytics once there are so many requests, which must not be passed."""
    answer = await eventually(lambda: analytics(gateway), lambda answer: answer.requests >= number, limit_s=limit_s)
    assert answer.requests == number
    return answer


async def dead_letters(nats_server: Nats, number: int) -> list[Msg]:
    """The dead letters, of which there must be so many and no more."""
    client = await nats.connect(nats_server.url("admin"))
    try:
        stream = client.jetstream()
        await eventually(lambda: stream.stream_info("DEAD"), lambda info: info.state.messages >= number)
        assert (await stream.stream_info("DEAD")).state.messages == number
        subscription = await stream.subscribe("dbify.dead.LOGS.logger", ordered_consumer=True)
        return [await subscription.next_msg(timeout=5) for _ in range(number)]
    finally:
        await client.close()


async def waiting(nats_server: Nats) -> int:
    """How many messages are still in the LOGS stream."""
    client = await nats.connect(nats_server.url("admin"))
    try:
        return (await client.jetstream().stream_info("LOGS")).state.messages
    finally:
        await client.close()


async def test_a_request_is_seen_within_two_seconds_of_being_published(
    nats_server: Nats, gateway: Bus, url: str
) -> None:
    async with logger(nats_server, url):
        await publish(gateway, message(records(10)))
        await stored(gateway, 10)
        await publish(gateway, message(records(1)))
        await stored(gateway, 11, limit_s=2)
        page = await logs(gateway, LogFilter(PROJECT, limit=5))
        assert (len(page.data), page.next_cursor is None) == (5, False)


async def test_a_message_published_twice_after_the_streams_window_is_stored_once(
    nats_server: Nats, gateway: Bus, url: str
) -> None:
    body, other = message(records(20)), message(records(5))
    async with logger(nats_server, url):
        await publish(gateway, body, "same")
        await stored(gateway, 20)
        # A gateway without a window: the same id as a header only, which the stream no longer knows.
        client = await nats.connect(nats_server.url("admin"))
        await client.jetstream().update_stream(
            (await client.jetstream().stream_info("LOGS")).config.evolve(duplicate_window=0.1)
        )
        await client.close()
        await asyncio.sleep(0.3)
        await publish(gateway, body, "same")
        await publish(gateway, other)
        await stored(gateway, 25)
        await eventually(lambda: waiting(nats_server), lambda number: number == 0)
        assert (await analytics(gateway)).requests == 25


async def test_a_message_that_cannot_be_read_is_a_dead_letter_with_its_reason(
    nats_server: Nats, gateway: Bus, url: str
) -> None:
    async with logger(nats_server, url):
        await publish(gateway, b"\xc1 not a batch", "bad")
        await publish(gateway, message(records(3)))
        await stored(gateway, 3)
        [letter] = await dead_letters(nats_server, 1)
    assert letter.data == b"\xc1 not a batch"
    assert letter.headers is not None
    assert "not a batch" in letter.headers["Dbify-Reason"]
    assert letter.headers["Dbify-Message-Id"] == "bad"


async def test_of_a_message_with_bad_records_the_good_ones_are_kept(nats_server: Nats, gateway: Bus, url: str) -> None:
    batch = records(10)
    batch[3] = record(3, status=7)
    batch[9] = record(9, request_id="9")
    async with logger(nats_server, url):
        await publish(gateway, message(batch), "mixed")
        await stored(gateway, 8)
        letters = await dead_letters(nats_server, 2)
    reasons = [letter.headers["Dbify-Reason"] for letter in letters if letter.headers]
    assert reasons == ["record 3: status is not between 100 and 999", "record 9: request_id is not a UUID"]
    assert letters[1].data == message([batch[9]])


async def test_records_that_only_the_server_refuses_are_found_by_halving(
    nats_server: Nats, gateway: Bus, url: str
) -> None:
    batch = records(100)
    for position in (0, 42, 43):
        batch[position] = record(position, status=418)
    async with logger(nats_server, url):
        await publish(gateway, message(records(1)))
        await stored(gateway, 1)
        client = clickhouse_connect.get_client(dsn=url)
        client.command("ALTER TABLE requests ADD CONSTRAINT no_teapots CHECK status != 418")
        await publish(gateway, message(batch))
        await stored(gateway, 98)
        letters = await dead_letters(nats_server, 3)
        client.close()
    reasons = [letter.headers["Dbify-Reason"] for letter in letters if letter.headers]
    assert reasons == [f"record {position}: VIOLATED_CONSTRAINT" for position in (0, 42, 43)]


async def test_what_makes_no_sense_is_refused_over_nats(nats_server: Nats, gateway: Bus, url: str) -> None:
    async with logger(nats_server, url):
        await publish(gateway, message(records(1)))
        await stored(gateway, 1)
        with pytest.raises(DbifyError) as caught:
            await logs(gateway, LogFilter(PROJECT, limit=0))
        assert (caught.value.code, caught.value.details) == (Code.INVALID_REQUEST, {"field": "limit"})
        with pytest.raises(DbifyError) as caught:
            await analytics(gateway, AnalyticsFilter(PROJECT, step_s=7))
        assert caught.value.code is Code.INVALID_REQUEST


async def readiness(port: int) -> tuple[int, bytes]:
    def ask() -> tuple[int, bytes]:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    return await asyncio.to_thread(ask)


async def test_a_logger_started_before_its_dependencies_works_once_they_are_there(
    nats_server: Nats, gateway: Bus, clickhouse: ClickHouse, url: str
) -> None:
    clickhouse.kill()
    async with logger(nats_server, url) as port:
        await publish(gateway, message(records(7)))
        status, body = await eventually(lambda: readiness(port), lambda answer: b'"nats":"ok"' in answer[1])
        assert (status, b'"clickhouse":"down' in body) == (503, True)
        with pytest.raises(DbifyError) as caught:
            await analytics(gateway)
        assert caught.value.code is Code.SERVICE_UNAVAILABLE
        await clickhouse.restart()
        await stored(gateway, 7)
        await eventually(lambda: readiness(port), lambda answer: answer[0] == 200)


@pytest.mark.slow
async def test_a_clickhouse_that_is_killed_and_comes_back_has_each_record_once(
    nats_server: Nats, gateway: Bus, clickhouse: ClickHouse, url: str
) -> None:
    batches = messages(records(10_000), 100)
    async with logger(nats_server, url):
        for number, body in enumerate(batches):
            await publish(gateway, body)
            if number in (20, 40, 60):
                clickhouse.kill()
            if number in (30, 50, 70):
                await clickhouse.restart()
        answer = await stored(gateway, 10_000, limit_s=60)
        assert sum(table.requests for table in answer.by_table) == 10_000
        client = clickhouse_connect.get_client(dsn=url)
        assert client.query("SELECT uniqExact(request_id) FROM requests").result_rows == [(10_000,)]
        assert client.query("SELECT sum(requests) FROM minutes").result_rows == [(10_000,)]
        client.close()


def spawn(nats_server: Nats, home: Path) -> children.Child:
    """The logger as a process of its own, with the embedded engine."""
    settings = {
        "DBIFY_NATS_URL": nats_server.url("logger"),
        "DBIFY_CLICKHOUSE_URL": f"chdb://{home}/clickhouse",
        "DBIFY_HEALTH_PORT": str(free_port()),
    }
    environ = {**os.environ, **settings}
    return children.spawn(home, "logger", [sys.executable, "-m", "services.logger"], environ=environ, cwd=ROOT)


async def progress(nats_server: Nats) -> None:
    """Wait until the logger has stored a message more, and has others before it."""
    before = await waiting(nats_server)
    await eventually(lambda: waiting(nats_server), lambda now: 0 < now < before)


@pytest.mark.slow
async def test_a_logger_killed_three_times_leaves_each_of_20000_records_once(
    nats_server: Nats, gateway: Bus, tmp_path: Path
) -> None:
    sent = [record(number, time_us=now_us() - number * 1_000) for number in range(20_000)]
    process = spawn(nats_server, tmp_path)
    try:
        for number, body in enumerate(messages(sent, 50)):
            await publish(gateway, body)
            if number in (100, 200, 300):
                # Killed in the middle of its inserts: there are some of this round's rows, and not all.
                await progress(nats_server)
                process.kill()
                process = spawn(nats_server, tmp_path)
        answer = await stored(gateway, 20_000, limit_s=90)
        await eventually(lambda: waiting(nats_server), lambda number: number == 0)
        memory = psutil.Process(process.process.pid).memory_info().rss
        assert memory < 900 * 1024 * 1024
    finally:
        await process.stop()
    durations = sorted(each.duration_us for each in sent)
    assert answer.average_ms == pytest.approx(sum(durations) / 20_000 / 1000)
    assert answer.errors == sum(each.status >= 400 for each in sent)
    for percent, answered in ((50, answer.p50_ms), (95, answer.p95_ms), (99, answer.p99_ms)):
        place = 19_999 * percent / 100
        below = int(place)
        expected = durations[below] + (durations[below + 1] - durations[below]) * (place - below)
        assert answered == pytest.approx(expected / 1000)


async def test_a_logger_that_is_told_to_end_ends_cleanly(nats_server: Nats, gateway: Bus, tmp_path: Path) -> None:
    process = spawn(nats_server, tmp_path)
    try:
        await publish(gateway, message(records(5)))
        await stored(gateway, 5)
        process.process.send_signal(signal.SIGTERM)
        assert await process.ended(10)
        assert process.process.returncode == 0
    finally:
        process.kill()
