"""Request logs arrive once each, whatever stops on the way; and requests are answered meanwhile."""

import asyncio
import statistics
import threading
from collections.abc import Callable

import pytest

from tests.asking import Caller, Json, Load, eventually
from tests.clickhouse_server import ClickHouse
from tests.running import RunningStack

REQUESTS = 20_000
OUTAGE_S = 20


def mixed(caller: Caller) -> Callable[[int], Json]:
    """Reads and writes of the demo, by number."""
    kinds: list[Callable[[int], Json]] = [
        lambda number: caller.body("read", "Project", {"id": number % 100}),
        lambda number: caller.body("read", "customer", {"where": {"id": {"gt": number % 50}}, "limit": 3}),
        lambda number: caller.body("create", "Project", {"data": {"title": f"Project {number}"}}),
        lambda number: caller.body("update", "User", {"where": {"id": number % 100}, "data": {"name": f"n{number}"}}),
    ]
    return lambda number: kinds[number % len(kinds)](number)


def counted(caller: Caller) -> int:
    """The requests that the analytics know of."""
    return int(caller.get("analytics")["requests"])


def records(caller: Caller) -> list[Json]:
    """Every log entry of the project, page by page."""
    found: list[Json] = []
    after: Json = {}
    while True:
        page = caller.get("logs", limit=200, **after)
        found += page["data"]
        if page["nextCursor"] is None:
            return found
        after = {"after": page["nextCursor"]}


@pytest.mark.timeout(600)
def test_20000_requests_are_20000_records_though_the_logger_is_killed_three_times(own_stack: RunningStack) -> None:
    caller = Caller(own_stack.demo)
    load = Load(caller, mixed(caller))
    sending = load.start(REQUESTS)
    for share in (0.2, 0.5, 0.8):
        eventually(lambda share=share: load.sent >= share * REQUESTS, limit_s=300)  # type: ignore[misc]  # bound default
        own_stack.kill("logger")
        own_stack.start("logger")
    sending.join()
    assert load.failed == []
    eventually(lambda: counted(caller) >= REQUESTS, limit_s=60)
    entries = records(caller)
    assert len(entries) == REQUESTS
    assert len({entry["requestId"] for entry in entries}) == REQUESTS
    analytics = caller.get("analytics")
    assert (analytics["requests"], analytics["errors"]) == (REQUESTS, 0)
    durations = sorted(entry["durationMs"] for entry in entries)
    assert analytics["averageMs"] == pytest.approx(statistics.fmean(durations), rel=1e-3)
    for field, share in (("p50Ms", 0.5), ("p95Ms", 0.95), ("p99Ms", 0.99)):
        assert analytics[field] == pytest.approx(percentile(durations, share), rel=1e-3), field
    assert sum(bucket["requests"] for bucket in analytics["series"]) == REQUESTS
    assert sum(table["requests"] for table in analytics["byTable"]) == REQUESTS


def percentile(ordered: list[float], share: float) -> float:
    """The percentile by linear interpolation between the two nearest of the ordered values."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", ["valkey", "nats", "logger"])
def test_a_part_that_is_down_for_20_seconds_fails_no_request_and_loses_no_record(
    own_stack: RunningStack, part: str
) -> None:
    caller = Caller(own_stack.demo)
    with Load(caller, mixed(caller), clients=4).going() as load:
        eventually(lambda: load.sent > 200)
        own_stack.kill(part)
        outage(OUTAGE_S)
        own_stack.start(part)
        resumed = load.sent
        eventually(lambda: load.sent > resumed + 200)
    assert load.failed == []
    eventually(lambda: counted(caller) >= load.sent, limit_s=90)
    assert len({entry["requestId"] for entry in records(caller)}) == len(records(caller)) == load.sent


@pytest.mark.timeout(600)
async def test_clickhouse_down_for_20_seconds_fails_no_request_and_loses_no_record(
    stack_with_clickhouse: RunningStack, clickhouse: ClickHouse
) -> None:
    caller = Caller(stack_with_clickhouse.demo)
    with Load(caller, mixed(caller), clients=4).going() as load:
        await asyncio.to_thread(eventually, lambda: load.sent > 200)
        clickhouse.kill()
        await asyncio.to_thread(outage, OUTAGE_S)
        await clickhouse.restart()
        resumed = load.sent
        await asyncio.to_thread(eventually, lambda: load.sent > resumed + 200)
    assert load.failed == []
    await asyncio.to_thread(eventually, lambda: counted(caller) >= load.sent, 120)
    assert len({entry["requestId"] for entry in records(caller)}) == len(records(caller)) == load.sent


def outage(duration_s: float) -> None:
    """Let an outage last: time passing is the fault that is tested."""
    threading.Event().wait(duration_s)
