import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from prometheus_client import REGISTRY

from libs.common import bus, consuming, streams
from libs.common.access import inbox
from libs.common.bus import Bus, Message, Poison
from libs.common.errors import Code, DbifyError
from stack import migrate
from stack.embedded import Nats
from tests.common.waiting import until


@pytest.fixture
async def gateway(nats_server: Nats) -> AsyncIterator[Bus]:
    async with bus.connect(nats_server.url("gateway"), "gateway") as gateway:
        await until(lambda: gateway.connected)
        yield gateway


@pytest.fixture
async def logger(nats_server: Nats) -> AsyncIterator[Bus]:
    async with bus.connect(nats_server.url("logger"), "logger") as logger:
        await until(lambda: logger.connected)
        yield logger


async def admin(server: Nats) -> Client:
    return await nats.connect(server.url("admin"), inbox_prefix=inbox("admin").encode())


async def messages_in(server: Nats, stream: str) -> int:
    connection = await admin(server)
    try:
        return (await connection.jetstream().stream_info(stream)).state.messages
    finally:
        await connection.close()


async def publish(gateway: Bus, name: str) -> None:
    """Publish for as long as it takes, always under the same id, as the gateway does."""
    while True:
        try:
            await gateway.publish("dbify.logs.one", name.encode(), message_id=name, timeout_s=1)
        except DbifyError as error:
            if error.code is not Code.SERVICE_UNAVAILABLE:
                raise
            await asyncio.sleep(0.05)
        else:
            return


async def test_a_message_is_handed_to_its_handler_and_gone_from_the_queue(
    nats_server: Nats, gateway: Bus, logger: Bus
) -> None:
    got: list[Message] = []

    async def handle(message: Message) -> None:
        got.append(message)

    await logger.consume(streams.LOG_WRITER, handle)
    sequence = await gateway.publish("dbify.logs.one", b"hello", message_id="m1")
    await until(lambda: len(got) == 1)

    assert (got[0].subject, got[0].data, got[0].id) == ("dbify.logs.one", b"hello", "m1")
    assert (got[0].sequence, got[0].deliveries) == (sequence, 1)
    await until(lambda: _empty(nats_server))


async def _empty(server: Nats, stream: str = "LOGS") -> bool:
    return await messages_in(server, stream) == 0


async def test_a_second_message_with_the_same_id_is_stored_once(nats_server: Nats, gateway: Bus) -> None:
    first = await gateway.publish("dbify.logs.one", b"a", message_id="same")
    assert await gateway.publish("dbify.logs.one", b"a", message_id="same") == first
    assert await messages_in(nats_server, "LOGS") == 1


async def test_a_failed_message_comes_again_and_others_are_not_held_up(gateway: Bus, logger: Bus) -> None:
    seen: list[tuple[bytes, int]] = []

    async def handle(message: Message) -> None:
        seen.append((message.data, message.deliveries))
        if message.data == b"bad luck" and message.deliveries == 1:
            raise RuntimeError("not this time")

    await logger.consume(streams.LOG_WRITER, handle)
    await gateway.publish("dbify.logs.one", b"bad luck", message_id="1")
    await gateway.publish("dbify.logs.one", b"fine", message_id="2")
    await until(lambda: len(seen) == 3)
    assert seen == [(b"bad luck", 1), (b"fine", 1), (b"bad luck", 2)]


async def test_poison_becomes_a_dead_letter_with_its_reason(nats_server: Nats, gateway: Bus, logger: Bus) -> None:
    async def handle(message: Message) -> None:
        raise Poison(f"cannot read {len(message.data)} bytes\r\nNats-Msg-Id: forged")

    await logger.consume(streams.LOG_WRITER, handle)
    sequence = await gateway.publish("dbify.logs.one", b"\xff", message_id="m1")
    await until(lambda: _empty(nats_server))

    connection = await admin(nats_server)
    dead = await connection.jetstream().get_last_msg("DEAD", "dbify.dead.LOGS.logger")
    await connection.close()
    assert dead.data == b"\xff"
    assert dead.headers is not None
    assert dead.headers["Dbify-Reason"].startswith("cannot read 1 bytes")
    assert dead.headers["Dbify-Subject"] == "dbify.logs.one"
    assert dead.headers["Dbify-Sequence"] == str(sequence)
    assert dead.headers["Dbify-Deliveries"] == "1"
    assert dead.headers["Dbify-Message-Id"] == "m1"
    assert dead.headers["Nats-Msg-Id"] == f"LOGS.logger.{sequence}"


async def test_poison_stays_in_its_stream_while_dead_letters_cannot_be_kept(
    nats_server: Nats, gateway: Bus, logger: Bus
) -> None:
    connection = await admin(nats_server)
    await connection.jetstream().delete_stream("DEAD")
    deliveries: list[int] = []

    async def handle(message: Message) -> None:
        deliveries.append(message.deliveries)
        raise Poison("never")

    await logger.consume(streams.LOG_WRITER, handle)
    await gateway.publish("dbify.logs.one", b"x", message_id="m1")
    await until(lambda: len(deliveries) >= 1)
    assert await messages_in(nats_server, "LOGS") == 1
    await connection.jetstream().add_stream(streams.DEAD)
    await until(lambda: _empty(nats_server))
    assert await messages_in(nats_server, "DEAD") == 1
    await connection.close()


async def test_nothing_is_lost_when_the_server_is_killed_and_comes_back(
    nats_server: Nats, gateway: Bus, logger: Bus
) -> None:
    wanted = {f"m{number}" for number in range(300)}
    got: set[str] = set()

    async def handle(message: Message) -> None:
        got.add(message.data.decode())

    await logger.consume(streams.LOG_WRITER, handle, batch=4)

    async def produce() -> None:
        for name in sorted(wanted):
            await publish(gateway, name)

    async def disturb() -> None:
        for step in (50, 150):
            await until(lambda at=step: len(got) >= at)  # type: ignore[misc]  # mypy cannot infer a lambda's default
            nats_server.kill()
            await until(lambda: not gateway.connected)
            await nats_server.restart()

    await asyncio.gather(produce(), disturb())
    await until(lambda: got == wanted, within_s=60)
    await until(lambda: _empty(nats_server), within_s=60)


async def test_a_consumer_that_is_made_again_is_found_again(nats_server: Nats, gateway: Bus, logger: Bus) -> None:
    got: list[bytes] = []

    async def handle(message: Message) -> None:
        got.append(message.data)

    connection = await admin(nats_server)
    jetstream = connection.jetstream()
    await jetstream.delete_consumer("LOGS", "logger")
    await logger.consume(streams.LOG_WRITER, handle)
    await gateway.publish("dbify.logs.one", b"1", message_id="1")
    with pytest.raises(NotFoundError):
        await jetstream.consumer_info("LOGS", "logger")

    await migrate.streams(nats_server.url("admin"))
    await until(lambda: got == [b"1"])
    await jetstream.delete_consumer("LOGS", "logger")
    await migrate.streams(nats_server.url("admin"))
    await gateway.publish("dbify.logs.one", b"2", message_id="2")
    await until(lambda: got == [b"1", b"2"])
    await connection.close()


async def test_a_pull_that_the_server_forgot_is_made_again(
    nats_server: Nats, gateway: Bus, logger: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "_HEARTBEAT_S", 0.5)
    monkeypatch.setattr(consuming, "_SILENCE_S", 1.2)
    got: list[bytes] = []

    async def handle(message: Message) -> None:
        got.append(message.data)

    await logger.consume(streams.LOG_WRITER, handle)
    await gateway.publish("dbify.logs.one", b"1", message_id="1")
    await until(lambda: got == [b"1"])
    # A server that stands still for longer than heartbeats may stay away: the connection survives, the pull does not.
    recreated = _recreated()
    assert nats_server.child is not None
    os.kill(nats_server.child.process.pid, signal.SIGSTOP)
    try:
        await until(lambda: _recreated() > recreated)
    finally:
        os.kill(nats_server.child.process.pid, signal.SIGCONT)
    await publish(gateway, "2")
    await until(lambda: got == [b"1", b"2"])


def _recreated() -> float:
    return REGISTRY.get_sample_value("dbify_bus_recreated_pulls_total", {"consumer": "LOGS.logger"}) or 0


async def test_a_slow_handler_keeps_its_message(nats_server: Nats, gateway: Bus, logger: Bus) -> None:
    quick = streams.Consumer("logger", "LOGS", "logger", ("dbify.logs.*",), ack_wait_s=1, max_ack_pending=8)
    connection = await admin(nats_server)
    await connection.jetstream().delete_consumer("LOGS", "logger")
    await connection.jetstream().add_consumer("LOGS", quick.config())
    deliveries: list[int] = []

    async def handle(message: Message) -> None:
        deliveries.append(message.deliveries)
        await asyncio.sleep(2.5)  # this is the slow handler

    await logger.consume(quick, handle, batch=2)
    await gateway.publish("dbify.logs.one", b"1", message_id="1")
    await until(lambda: _empty(nats_server))
    assert deliveries == [1]
    await connection.close()


async def test_at_the_end_a_handler_finishes_and_what_it_did_is_acknowledged(nats_server: Nats, gateway: Bus) -> None:
    started, finished = asyncio.Event(), asyncio.Event()

    async def handle(_: Message) -> None:
        started.set()
        await asyncio.sleep(0.3)
        finished.set()

    async with bus.connect(nats_server.url("logger"), "logger") as logger:
        await logger.consume(streams.LOG_WRITER, handle)
        await gateway.publish("dbify.logs.one", b"1", message_id="1")
        await started.wait()
    assert finished.is_set()
    assert await messages_in(nats_server, "LOGS") == 0


async def test_a_handler_that_does_not_finish_gives_its_message_back_at_once(
    nats_server: Nats, gateway: Bus, logger: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "_GRACE_S", 0.2)
    started = asyncio.Event()
    got: list[int] = []

    async def stuck(_: Message) -> None:
        started.set()
        await asyncio.Event().wait()

    async def handle(message: Message) -> None:
        got.append(message.deliveries)

    async with bus.connect(nats_server.url("logger"), "logger") as first:
        await first.consume(streams.LOG_WRITER, stuck)
        await gateway.publish("dbify.logs.one", b"1", message_id="1")
        await started.wait()
    await logger.consume(streams.LOG_WRITER, handle)
    await until(lambda: got == [2], within_s=5)


async def test_one_worker_keeps_the_order_and_several_share(gateway: Bus, logger: Bus) -> None:
    running = itertools.count()
    most, now, order = 0, 0, []

    async def handle(message: Message) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        order.append(message.sequence)

    for _ in range(8):
        name = str(next(running))
        await gateway.publish("dbify.logs.one", b"x", message_id=name)
    await logger.consume(streams.LOG_WRITER, handle)
    await until(lambda: len(order) == 8)
    assert order == sorted(order)
    assert most == 1

    await logger.consume(streams.LOG_WRITER, handle, batch=3)
    await asyncio.gather(*(gateway.publish("dbify.logs.one", b"x", message_id=f"b{n}") for n in range(20)))
    await until(lambda: len(order) == 28)
    assert 1 < most <= 4
