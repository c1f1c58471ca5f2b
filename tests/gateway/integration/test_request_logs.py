"""Records of requests on their way to the logger, through whatever happens to NATS."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import nats
import pytest

from libs.common.bus import connect
from libs.common.ids import KeyId, ProjectId, new_id
from libs.common.logs import MAX_BATCH_BYTES, MAX_RECORDS, LogBatch, LogRecord
from services.gateway.adapters import jetstream
from services.gateway.adapters.jetstream import Requests
from services.gateway.adapters.spool import Spool, spool
from stack import embedded
from tests.common.waiting import until

_GATEWAY = "gateway-under-test"


def _record(number: int, columns: tuple[str, ...] = ("id", "title")) -> LogRecord:
    return LogRecord(
        time_us=time.time_ns() // 1000,
        request_id=f"request-{number}",
        project=ProjectId(4),
        key=KeyId("key"),
        role="",
        operation="read",
        table="public.book",
        columns=columns,
        status=200,
        error="",
        duration_us=1200,
        database_us=800,
        rows=1,
        size_bytes=40,
        coalesced=False,
        client="loopback",
    )


class Publisher:
    """Requests as the gateway runs them."""

    def __init__(self, requests: Requests, kept: Spool) -> None:
        self.requests = requests
        self.kept = kept
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(requests.run(self._stop))

    async def stop(self) -> None:
        self._stop.set()
        await self._running


async def _publisher(stack: AsyncExitStack, url: str, root: Path, process: str = _GATEWAY, **more: int) -> Publisher:
    bus = await stack.enter_async_context(connect(url, "gateway"))
    kept = stack.enter_context(spool(root, process))
    requests = Requests(bus, kept, process, **more)
    bus.on_connect(requests.connected)
    publisher = Publisher(requests, kept)
    stack.push_async_callback(publisher.stop)
    return publisher


async def _batches(server: embedded.Nats) -> dict[str, LogBatch]:
    """What lies in the stream, by message id."""
    client = await nats.connect(server.url("admin"))
    context = client.jetstream()
    state = (await context.stream_info("LOGS")).state
    found = {}
    for sequence in range(max(1, state.first_seq), state.last_seq + 1):
        message = await context.get_msg("LOGS", sequence)
        assert message.headers is not None
        found[message.headers["Nats-Msg-Id"]] = msgspec.msgpack.decode(message.data or b"", type=LogBatch)
    await client.close()
    assert len(found) == state.messages
    return found


async def _request_ids(server: embedded.Nats) -> Counter[str]:
    return Counter(record.request_id for batch in (await _batches(server)).values() for record in batch.records)


async def _arrive(server: embedded.Nats, how_many: int) -> None:
    """Until every record is there, each once."""
    found: Counter[str] = Counter()

    async def complete() -> bool:
        nonlocal found
        found = await _request_ids(server)
        return found.total() >= how_many

    await until(complete, within_s=40)
    assert set(found.values()) == {1}
    assert len(found) == how_many


async def test_records_are_published_in_batches_within_their_limits(nats_server: embedded.Nats, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        publisher = await _publisher(stack, nats_server.url("gateway"), tmp_path / "spool")
        for number in range(2 * MAX_RECORDS + 1):
            publisher.requests.add(_record(number))
        for number in range(40):
            publisher.requests.add(_record(10_000 + number, tuple(f"column_{n:050}" for n in range(1000))))
        await _arrive(nats_server, 2 * MAX_RECORDS + 41)
    for batch in (await _batches(nats_server)).values():
        assert (batch.format, batch.gateway) == (1, _GATEWAY)
        assert len(batch.records) <= MAX_RECORDS
        assert len(msgspec.msgpack.encode(batch)) <= MAX_BATCH_BYTES


async def test_a_lone_record_does_not_wait_longer_than_a_second(nats_server: embedded.Nats, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        publisher = await _publisher(stack, nats_server.url("gateway"), tmp_path / "spool")
        await asyncio.sleep(0)
        publisher.requests.add(_record(1))
        began = time.monotonic()
        await _arrive(nats_server, 1)
        assert time.monotonic() - began < 5


@pytest.mark.slow
async def test_nats_down_for_twenty_seconds_loses_nothing_and_doubles_nothing(
    nats_server: embedded.Nats, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        publisher = await _publisher(stack, nats_server.url("gateway"), tmp_path / "spool")
        made = 0

        async def work(seconds: float) -> None:
            nonlocal made
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                for _ in range(20):
                    publisher.requests.add(_record(made))
                    made += 1
                await asyncio.sleep(0.02)

        await work(2)
        nats_server.kill()
        await work(20)
        assert len(publisher.kept) > 0
        await nats_server.restart()
        await work(2)
        await _arrive(nats_server, made)
        assert len(publisher.kept) == 0


async def test_what_is_left_at_the_end_waits_on_disk_for_the_next_process(
    nats_server: embedded.Nats, tmp_path: Path
) -> None:
    root = tmp_path / "spool"
    await nats_server.stop()
    async with AsyncExitStack() as stack:
        publisher = await _publisher(stack, nats_server.url("gateway"), root, "first")
        for number in range(1500):
            publisher.requests.add(_record(number))
    assert len(list((root / "first").glob("*.batch"))) == 2
    await nats_server.restart()
    async with AsyncExitStack() as stack:
        await _publisher(stack, nats_server.url("gateway"), root, "second")
        await _arrive(nats_server, 1500)
    assert [path.name for path in root.iterdir()] == ["lock"]
    assert {batch.gateway for batch in (await _batches(nats_server)).values()} == {"first"}


async def test_a_batch_whose_acknowledgement_was_lost_arrives_once(nats_server: embedded.Nats, tmp_path: Path) -> None:
    body = msgspec.msgpack.encode(LogBatch(1, "first", (_record(1), _record(2))))
    identity = new_id()
    with spool(tmp_path / "spool", "first") as kept:
        kept.put(identity, body)
    async with connect(nats_server.url("gateway"), "gateway") as bus:
        await until(lambda: bus.connected)
        await bus.publish("dbify.logs.first", body, message_id=identity)
    async with AsyncExitStack() as stack:
        publisher = await _publisher(stack, nats_server.url("gateway"), tmp_path / "spool")
        await until(lambda: len(publisher.kept) == 0)
    await _arrive(nats_server, 2)


async def test_what_cannot_be_kept_is_counted(nats_server: embedded.Nats, tmp_path: Path) -> None:
    def dropped(reason: str) -> float:
        return float(jetstream._dropped.labels(reason)._value.get())

    await nats_server.stop()
    before = dropped("queue full"), dropped("spool full")
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(connect(nats_server.url("gateway"), "gateway"))
        kept = stack.enter_context(spool(tmp_path / "spool", "small", capacity_bytes=1000))
        requests = Requests(bus, kept, "small", capacity=100)
        for number in range(130):
            requests.add(_record(number))
        stop = asyncio.Event()
        stop.set()
        await requests.run(stop)
    assert (dropped("queue full") - before[0], dropped("spool full") - before[1]) == (30, 100)


def test_the_spool_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with spool(tmp_path, "first") as first:
        first.put("b", b"two")
        first.put("a", b"one")
        with spool(tmp_path, "second") as second:
            assert second.oldest() is None
            assert first.oldest() == ("a", b"one")
        with pytest.raises(BlockingIOError), spool(tmp_path, "first"):
            pass
    with spool(tmp_path, "third") as third:
        assert third.oldest() == ("a", b"one")
        third.drop("a")
        assert third.oldest() == ("b", b"two")
        assert third.size_bytes == 3


def test_a_half_written_batch_and_a_strangers_folder_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "x.batch").write_bytes(b"theirs")
    dead = tmp_path / "dead"
    dead.mkdir()
    (dead / "lock").touch()
    (dead / "x.partial").write_bytes(b"half")
    with spool(tmp_path, "alive") as kept:
        assert len(kept) == 0
        assert not dead.exists()
    assert (tmp_path / "stranger" / "x.batch").exists()
