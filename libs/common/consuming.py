"""Taking messages from a durable consumer: pull, handle, acknowledge; nothing is lost, and silence is noticed."""

import asyncio
import itertools
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from prometheus_client import Counter

from libs.common import subjects
from libs.common.errors import DbifyError
from libs.common.link import FAILURES, Link
from libs.common.streams import Consumer
from libs.common.telemetry import log, traceparent

_EXPIRES_S = 30.0
_HEARTBEAT_S = 5.0
# Two heartbeats missed: the pull is not known to the server any more (nats.py #504, #986).
_SILENCE_S = 2 * _HEARTBEAT_S + 1
_RETRY_S = 1.0
_ACK_TIMEOUT_S = 2.0
_ACK_ATTEMPTS = 5
_MAX_BACKOFF_S = 60.0
_MAX_REASON = 1000

_logger = logging.getLogger(__name__)
_handled = Counter("dbify_bus_handled_messages_total", "Messages taken from a consumer", ["consumer", "outcome"])
_recreated = Counter("dbify_bus_recreated_pulls_total", "Pulls made again because they fell silent", ["consumer"])


class Message(msgspec.Struct, frozen=True):
    """A message as a handler gets it.

    Attributes:
        sequence: Its place in the stream; 0 for a message outside of one.
        deliveries: How often it was handed out, this time included.
        id: Its `Nats-Msg-Id`, or "".
    """

    subject: str
    data: bytes
    headers: Mapping[str, str]
    sequence: int
    deliveries: int
    id: str


Handler = Callable[[Message], Awaitable[None]]
Publish = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]


class Poison(Exception):  # noqa: N818 - the domain's word, and what handlers raise by name
    """This message can never succeed. Its reason is kept with it among the dead letters."""


class _GoneError(Exception):
    """The consumer, or the server behind it, does not answer pulls."""


class Worker:
    """Takes one message at a time from a consumer and hands it to a handler, for ever."""

    def __init__(self, link: Link, consumer: Consumer, handle: Handler, publish: Publish) -> None:
        self._link = link
        self._consumer = consumer
        self._handle = handle
        self._publish = publish
        self._name = f"{consumer.stream}.{consumer.name}"
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{self._name}"
        self._task: asyncio.Task[None] | None = None
        self._busy = False
        self._stopping = False
        self._said = ""

    def start(self) -> None:
        """Begin to pull, in the background."""
        self._task = asyncio.create_task(self._run(), name=f"consume {self._name}")

    async def stop(self, grace_s: float) -> None:
        """Take nothing more; let a running handler finish within the grace period, else give its message back."""
        self._stopping = True
        if self._task is None:
            return
        if not self._busy:
            self._task.cancel()
        await asyncio.wait([self._task], timeout=grace_s)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while not self._stopping:
            client = await self._link.wait()
            try:
                await self._verify(client)
                await self._pull(client)
            except nats.errors.TimeoutError:
                _recreated.labels(self._name).inc()
                log(_logger, "a pull fell silent, making it again", level=logging.WARNING, consumer=self._name)
            except _GoneError as error:
                self._say(str(error))
                await asyncio.sleep(_RETRY_S)
            except FAILURES:
                # The connection went away: `wait` above gives the next one.
                await asyncio.sleep(_RETRY_S / 10)
            except Exception:
                # A consumer that stops for a defect stops for ever and unseen: say so and go on.
                _logger.exception("pulling failed in an unforeseen way", extra={"fields": {"consumer": self._name}})
                await asyncio.sleep(_RETRY_S)

    async def _verify(self, client: Client) -> None:
        """See that the consumer exists: migrations make it, never a service."""
        try:
            await client.jetstream(timeout=3).consumer_info(self._consumer.stream, self._consumer.name)
        except nats.js.errors.NotFoundError as error:
            raise _GoneError("it does not exist: apply the streams with `python -m stack migrate`") from error
        except (nats.js.errors.Error, nats.errors.NoRespondersError, nats.errors.TimeoutError) as error:
            raise _GoneError(f"JetStream does not answer for it ({type(error).__name__})") from error

    def _say(self, reason: str) -> None:
        """Log why nothing can be pulled, once until it is another reason or goes well again."""
        if reason != self._said:
            log(_logger, "waiting for a consumer", level=logging.WARNING, consumer=self._name, reason=reason)
        self._said = reason

    async def _pull(self, client: Client) -> None:
        """Pull and handle one message after the other until the connection or the pull is lost."""
        inbox = client.new_inbox()
        subscription = await client.subscribe(f"{inbox}.*")
        request = json.dumps(
            {"batch": 1, "expires": int(_EXPIRES_S * 1e9), "idle_heartbeat": int(_HEARTBEAT_S * 1e9)}
        ).encode()
        try:
            for number in itertools.count():
                reply = f"{inbox}.{number}"
                await client.publish(self._next, request, reply=reply)
                message = await self._answer(subscription, reply)
                if message is not None:
                    await self._take(message)
                if self._stopping:
                    return
        finally:
            await self._leave(client, subscription)

    async def _answer(self, subscription: Subscription, reply: str) -> Msg | None:
        """The pulled message, or None where the pull ended without one."""
        while True:
            message = await subscription.next_msg(timeout=_SILENCE_S)
            status = (message.headers or {}).get("Status")
            if not status:
                self._said = ""
                return message
            # Each pull has a reply subject of its own, so the end of an earlier one is not taken for this one's.
            if message.subject != reply or status == "100":
                continue
            if status in ("404", "408"):
                return None
            raise _GoneError(f"{status} {(message.headers or {}).get('Description', '')}")

    async def _leave(self, client: Client, subscription: Subscription) -> None:
        """Unsubscribe, and give back at once what was delivered meanwhile."""
        with suppress(*FAILURES):
            async with asyncio.timeout(_ACK_TIMEOUT_S):
                # nats-py drops what is still queued at unsubscribe, so the queue is emptied after the server's last.
                await client._send_unsubscribe(subscription._id)  # noqa: SLF001 - no public call keeps the queue
                # A round trip that is not `flush`: nats-py stops reading for good when a late pong meets a flush that
                # was given up.
                await client.jetstream(timeout=1).consumer_info(self._consumer.stream, self._consumer.name)
                while subscription.pending_msgs:
                    message = await subscription.next_msg(timeout=0.1)
                    if not (message.headers or {}).get("Status"):
                        await message.nak()
                await subscription.unsubscribe()

    async def _take(self, message: Msg) -> None:
        self._busy = True
        try:
            await self._process(message)
        finally:
            self._busy = False

    async def _process(self, message: Msg) -> None:
        received = _received(message)
        traceparent.set(received.headers.get("traceparent", ""))
        beat = asyncio.create_task(self._hold(message.reply))
        outcome, answer = "failed", b""
        try:
            await self._handle(received)
            outcome, answer = "handled", b"+ACK"
        except Poison as error:
            if await self._bury(received, error):
                outcome, answer = "dead", b"+ACK"
        except asyncio.CancelledError:
            outcome, answer = "returned", b"-NAK"
            raise
        except Exception:
            _logger.exception("a handler failed, its message comes again", extra={"fields": self._fields(received)})
        finally:
            beat.cancel()
            _handled.labels(self._name, outcome).inc()
            await self._settle(message.reply, answer or _nak(received.deliveries))

    async def _bury(self, message: Message, error: Poison) -> bool:
        """Publish a dead letter; False where that failed and the message has to come again."""
        log(_logger, "a dead letter", level=logging.ERROR, reason=str(error), **self._fields(message))
        headers = {
            "Dbify-Reason": str(error)[:_MAX_REASON] or "unknown",
            "Dbify-Subject": message.subject,
            "Dbify-Sequence": str(message.sequence),
            "Dbify-Deliveries": str(message.deliveries),
            "Dbify-Message-Id": message.id,
            # The same message buried twice, because its ack was lost, is one dead letter.
            "Nats-Msg-Id": f"{self._name}.{message.sequence}",
        }
        try:
            await self._publish(subjects.dead(self._consumer.stream, self._consumer.name), message.data, headers)
        except (DbifyError, ValueError):
            _logger.exception("a dead letter could not be kept, its message comes again")
            return False
        return True

    async def _hold(self, reply: str) -> None:
        """Tell the server, each half of `ack_wait`, that the handler still works on the message."""
        while True:
            await asyncio.sleep(self._consumer.ack_wait_s / 2)
            with suppress(DbifyError, *FAILURES):
                await self._link.client.publish(reply, b"+WPI")

    async def _settle(self, reply: str, answer: bytes) -> None:
        """Acknowledge, or give back, and have the server confirm it, on the next connection if need be."""
        for attempt in range(_ACK_ATTEMPTS):
            try:
                async with asyncio.timeout(_ACK_TIMEOUT_S):
                    client = await self._link.wait()
                    await client.request(reply, answer, timeout=_ACK_TIMEOUT_S)
            except FAILURES:
                # The acknowledgement's subject stays good across connections until ack_wait is over.
                await asyncio.sleep(0.1 * attempt)
            else:
                return
        _handled.labels(self._name, "unacknowledged").inc()
        log(_logger, "an acknowledgement was not confirmed, the message may come again", consumer=self._name)

    def _fields(self, message: Message) -> dict[str, object]:
        return {
            "consumer": self._name,
            "subject": message.subject,
            "sequence": message.sequence,
            "deliveries": message.deliveries,
            "id": message.id,
        }


def _received(message: Msg) -> Message:
    headers = message.headers or {}
    meta = message.metadata
    identity = headers.get("Nats-Msg-Id", "")
    return Message(message.subject, message.data, headers, meta.sequence.stream, meta.num_delivered, identity)


def _nak(deliveries: int) -> bytes:
    """Not now: 1 s after the first delivery, then twice as long each time up to a minute, give or take a fifth."""
    delay_s = min(_MAX_BACKOFF_S, 2.0 ** min(deliveries - 1, 10)) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
    return b'-NAK {"delay": %d}' % int(min(delay_s, _MAX_BACKOFF_S) * 1e9)


def plain(message: Msg) -> Message:
    """A message outside of any stream."""
    headers = message.headers or {}
    return Message(message.subject, message.data, headers, 0, 1, headers.get("Nats-Msg-Id", ""))
