import asyncio
import logging
from collections.abc import AsyncIterator

import msgspec
import nats
import pytest

from libs.common import bus, serving, streams
from libs.common.access import inbox
from libs.common.bus import Bus, Message, method
from libs.common.errors import Code, DbifyError
from libs.common.telemetry import JsonLines, traceparent
from stack.embedded import Nats
from stack.nats_config import Passwords
from tests.common.waiting import until

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Size(msgspec.Struct, frozen=True):
    size: int


class Echo(msgspec.Struct, frozen=True):
    trace: str


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


async def large(request: Size) -> bytes:
    return bytes(index % 251 for index in range(1000)) * (request.size // 1000)


@pytest.mark.parametrize("size", [0, 1000, 500 * 1024, 3_000_000, 20_000_000])
async def test_a_reply_of_any_size_arrives_whole(gateway: Bus, logger: Bus, size: int) -> None:
    await logger.serve("logger", {"large": method(Size, large)})
    assert await gateway.request("logger", "large", Size(size), timeout_s=20) == await large(Size(size))


async def test_a_struct_is_answered_as_json_and_the_trace_goes_along(gateway: Bus, logger: Bus) -> None:
    async def echo(_: Size) -> Echo:
        return Echo(traceparent.get())

    await logger.serve("logger", {"echo": method(Size, echo)})
    traceparent.set(TRACE)
    assert msgspec.json.decode(await gateway.request("logger", "echo", Size(1)), type=Echo) == Echo(TRACE)


async def test_nobody_there_is_service_unavailable_at_once(gateway: Bus) -> None:
    async with asyncio.timeout(2):
        with pytest.raises(DbifyError) as caught:
            await gateway.request("logger", "analytics", Size(1), timeout_s=30)
    assert caught.value.code is Code.SERVICE_UNAVAILABLE
    assert "logger" in caught.value.message


async def test_an_error_of_the_other_side_crosses_whole(gateway: Bus, logger: Bus) -> None:
    async def refuse(_: Size) -> bytes:
        raise DbifyError(Code.PROJECT_NOT_FOUND, 'No project "für dich".', {"projectId": 7})

    await logger.serve("logger", {"refuse": method(Size, refuse)})
    with pytest.raises(DbifyError) as caught:
        await gateway.request("logger", "refuse", Size(1))
    assert caught.value.code is Code.PROJECT_NOT_FOUND
    assert caught.value.message == 'No project "für dich".'
    assert caught.value.details == {"projectId": 7}


async def test_a_defect_of_the_other_side_says_nothing_of_its_inside(gateway: Bus, logger: Bus) -> None:
    async def fail(_: Size) -> bytes:
        raise RuntimeError("postgres://u:hunter2@h/d")

    await logger.serve("logger", {"fail": method(Size, fail)})
    with pytest.raises(DbifyError) as caught:
        await gateway.request("logger", "fail", Size(1))
    assert caught.value.code is Code.INTERNAL_ERROR
    assert "hunter2" not in caught.value.message


async def test_a_request_of_the_wrong_form_is_an_invalid_request(gateway: Bus, logger: Bus) -> None:
    await logger.serve("logger", {"large": method(Size, large)})
    with pytest.raises(DbifyError) as caught:
        await gateway.request("logger", "large", Echo("x"))
    assert caught.value.code is Code.INVALID_REQUEST


async def test_a_slow_answer_is_a_timeout_and_the_work_ends_with_it(gateway: Bus, logger: Bus) -> None:
    ended = asyncio.Event()

    async def slow(_: Size) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b""

    await logger.serve("logger", {"slow": method(Size, slow)})
    with pytest.raises(DbifyError) as caught:
        await gateway.request("logger", "slow", Size(1), timeout_s=0.3)
    assert caught.value.code is Code.SERVICE_TIMEOUT
    await asyncio.wait_for(ended.wait(), 5)


async def test_more_requests_than_may_wait_are_refused(
    gateway: Bus, logger: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_MAX_WAITING", 4)
    go = asyncio.Event()

    async def held(_: Size) -> bytes:
        await go.wait()
        return b"ok"

    await logger.serve("logger", {"held": method(Size, held)})
    asked = [asyncio.ensure_future(gateway.request("logger", "held", Size(1), timeout_s=20)) for _ in range(60)]
    await until(lambda: sum(request.done() for request in asked) == 60 - serving._MAX_RUNNING - 4)
    go.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert answers.count(b"ok") == serving._MAX_RUNNING + 4
    codes = {answer.code for answer in answers if isinstance(answer, DbifyError)}
    assert codes == {Code.SERVICE_UNAVAILABLE}


async def test_an_answer_over_the_limit_is_an_error(gateway: Bus, logger: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_REPLY_BYTES", 1_000_000)
    await logger.serve("logger", {"large": method(Size, large)})
    with pytest.raises(DbifyError) as caught:
        await gateway.request("logger", "large", Size(1_001_000))
    assert caught.value.code is Code.RESULT_TOO_LARGE


async def test_replicas_share_the_requests_and_show_themselves(nats_server: Nats, gateway: Bus, logger: Bus) -> None:
    answered = {"first": 0, "second": 0}

    async def first(_: Size) -> bytes:
        answered["first"] += 1
        return b""

    async def second(_: Size) -> bytes:
        answered["second"] += 1
        return b""

    await logger.serve("logger", {"count": method(Size, first)})
    async with bus.connect(nats_server.url("logger"), "logger") as other:
        await other.serve("logger", {"count": method(Size, second)})
        await until(lambda: other.connected)
        await gateway.request("logger", "count", Size(1))
        await asyncio.gather(*(gateway.request("logger", "count", Size(1)) for _ in range(60)))
        assert sum(answered.values()) == 61
        assert min(answered.values()) > 0

        admin = await nats.connect(nats_server.url("admin"), inbox_prefix=inbox("admin").encode())
        found = await admin.subscribe("_INBOX.admin.stats")
        await admin.publish("$SRV.STATS.dbify-logger", b"", reply="_INBOX.admin.stats")
        stats = [msgspec.json.decode((await found.next_msg(5)).data) for _ in range(2)]
        assert sum(one["endpoints"][0]["num_requests"] for one in stats) == 61
        assert all(one["endpoints"][0]["processing_time"] > 0 for one in stats)
        await admin.close()


async def test_methods_and_subscriptions_come_back_with_the_server(
    nats_server: Nats, gateway: Bus, logger: Bus
) -> None:
    heard: list[bytes] = []
    connected = 0

    async def hear(message: Message) -> None:
        heard.append(message.data)

    async def again() -> None:
        nonlocal connected
        connected += 1

    gateway.on_connect(again)
    await gateway.subscribe("dbify.events.*.project.*", hear)
    await logger.serve("logger", {"large": method(Size, large)})
    nats_server.kill()
    await until(lambda: not gateway.connected and not logger.connected)
    with pytest.raises(DbifyError) as caught:
        await gateway.request("logger", "large", Size(1000))
    assert caught.value.code is Code.SERVICE_UNAVAILABLE
    with pytest.raises(DbifyError) as caught:
        await gateway.publish("dbify.events.1.project.created", b"{}", message_id="1")
    assert caught.value.code is Code.SERVICE_UNAVAILABLE

    await nats_server.restart()
    await until(lambda: gateway.connected and logger.connected and connected == 2)

    async def answers() -> bool:
        try:
            return len(await gateway.request("logger", "large", Size(3_000_000))) == 3_000_000
        except DbifyError:
            return False

    await until(answers)
    await gateway.publish("dbify.events.1.project.created", b"{}", message_id="1")
    await until(lambda: heard == [b"{}"])


async def test_a_handler_that_fails_does_not_silence_its_subscription(gateway: Bus) -> None:
    heard: list[bytes] = []

    async def hear(message: Message) -> None:
        heard.append(message.data)
        raise RuntimeError("no")

    await gateway.subscribe("dbify.events.*.key.*", hear)
    await gateway.publish("dbify.events.1.key.created", b"1", message_id="1")
    await gateway.publish("dbify.events.1.key.revoked", b"2", message_id="2")
    await until(lambda: heard == [b"1", b"2"])


async def test_a_bus_starts_before_its_server(free_port: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    server = Nats(tmp_path_factory.mktemp("nats"), free_port, Passwords.random(), "2m")
    connected = asyncio.Event()

    async def note() -> None:
        connected.set()

    async with bus.connect(server.url("gateway"), "gateway") as gateway:
        gateway.on_connect(note)
        assert not gateway.connected
        with pytest.raises(DbifyError):
            await gateway.publish("dbify.logs.a", b"", message_id="1")
        await server.restart()
        async with server:
            await asyncio.wait_for(connected.wait(), 10)
            assert gateway.connected


@pytest.mark.parametrize(
    "subject",
    ["", "dbify.logs.a b", "dbify.logs.*", "dbify.>", "dbify.logs.a\r\nPUB x 0\r\n", "a..b", ".a", "a.", "a\x00b"],
)
async def test_a_malformed_subject_is_not_published(gateway: Bus, subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        await gateway.publish(subject, b"x", message_id="1")
    assert gateway.connected


async def test_a_full_stream_refuses_and_a_too_large_message_is_said_to_be(nats_server: Nats, gateway: Bus) -> None:
    admin = await nats.connect(nats_server.url("admin"), inbox_prefix=inbox("admin").encode())
    await admin.jetstream().update_stream(streams.LOGS.evolve(max_bytes=1024 * 1024))
    for number in range(3):
        await gateway.publish("dbify.logs.a", b"x" * 300_000, message_id=str(number))
    with pytest.raises(DbifyError) as caught:
        await gateway.publish("dbify.logs.a", b"x" * 300_000, message_id="full")
    assert caught.value.code is Code.SERVICE_UNAVAILABLE
    await admin.close()
    for size in (700_000, 1_100_000):
        with pytest.raises(ValueError, match="larger"):
            await gateway.publish("dbify.logs.a", b"x" * size, message_id="large")
    assert gateway.connected


async def test_a_subject_without_a_stream_is_service_unavailable(nats_server: Nats, gateway: Bus) -> None:
    admin = await nats.connect(nats_server.url("admin"), inbox_prefix=inbox("admin").encode())
    await admin.jetstream().delete_stream("LOGS")
    await admin.close()
    with pytest.raises(DbifyError) as caught:
        await gateway.publish("dbify.logs.a", b"x", message_id="1")
    assert caught.value.code is Code.SERVICE_UNAVAILABLE


async def test_a_wrong_password_is_retried_and_never_logged(
    nats_server: Nats, caplog: pytest.LogCaptureFixture
) -> None:
    url = nats_server.url("gateway").replace("gateway:", "gateway:hunter2-")
    with caplog.at_level(logging.DEBUG):
        async with bus.connect(url, "gateway") as gateway:
            await until(lambda: "Authorization" in caplog.text + str([r.__dict__ for r in caplog.records]))
            assert not gateway.connected
    lines = [JsonLines("gateway").format(record) for record in caplog.records]
    assert any("Authorization Violation" in line for line in lines)
    assert not any("hunter2" in line or url in line for line in lines)


@pytest.mark.parametrize("url", ["", "http://user:hunter2@host", "nats://", "postgres://u:hunter2@h/d"])
async def test_a_malformed_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="a NATS URL looks like") as caught:
        async with bus.connect(url, "gateway"):
            pass
    assert "hunter2" not in str(caught.value)
