"""The bus between the services: NATS, with deadlines on everything and a connection that is made again for ever.

What is registered here (consumers, subscriptions, methods) holds across connections; what is asked or published while
there is none fails at once with SERVICE_UNAVAILABLE, and the caller decides.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from prometheus_client import Counter

from libs.common import serving
from libs.common.consuming import Handler, Message, Poison, Worker, plain
from libs.common.errors import DbifyError
from libs.common.link import FAILURES, Link, settle, unavailable
from libs.common.serving import Method, Responder, method
from libs.common.streams import Consumer
from libs.common.telemetry import traceparent

__all__ = ["Bus", "Handler", "Message", "Method", "Poison", "connect", "method"]

_GRACE_S = 10.0
_CANCEL_AGAIN_S = 0.2
_MAX_PUBLISHING = 256
# A core subscription that falls behind drops its newest messages; nats-py then reports a SlowConsumerError.
_PENDING_MESSAGES = 4096
_PENDING_BYTES = 16 * 1024 * 1024
_TOO_LARGE = 10054
# nats-py writes subjects into the protocol as they stand.
_SUBJECT = re.compile(r"[^\s.*>\x00-\x1f\x7f]+(\.[^\s.*>\x00-\x1f\x7f]+)*")

_logger = logging.getLogger(__name__)
_published = Counter("dbify_bus_published_messages_total", "Messages published to a stream", ["outcome"])
_heard = Counter("dbify_bus_heard_messages_total", "Messages of core subscriptions", ["subject", "outcome"])


class Bus:
    """A service's access to NATS; made by `connect`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._publishing = asyncio.Semaphore(_MAX_PUBLISHING)
        self._workers: list[Worker] = []
        self._responders: list[Responder] = []
        self._subscriptions: list[tuple[str, Handler]] = []
        self._callbacks: list[Callable[[], Awaitable[None]]] = []
        self._registering = asyncio.Lock()
        # The connection that everything is registered on; what comes later is added to it.
        self._registered: Client | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether there is a connection to NATS right now."""
        return self._link.connected

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        message_id: str,
        timeout_s: float = 5.0,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Publish to a stream and wait until it is stored.

        Args:
            subject: A subject of one of the streams, without wildcards.
            data: The message.
            message_id: The `Nats-Msg-Id`: within the stream's window, a second message with the same id is dropped.
            timeout_s: How long to wait for the acknowledgement.
            headers: What else to say about the message.

        Returns:
            The message's sequence in its stream.

        Raises:
            DbifyError: SERVICE_UNAVAILABLE without connection, stream, room in it, or an acknowledgement in time; in
                the last case the message may be stored all the same, so publish it again under the same id.
            ValueError: If the subject is malformed or the message too large: trying again does not help.
        """
        return await self._publish(subject, data, {**(headers or {}), "Nats-Msg-Id": message_id}, timeout_s)

    async def tell(self, subject: str, data: bytes) -> None:
        """Publish outside of any stream, to whoever listens at the moment.

        Raises:
            DbifyError: SERVICE_UNAVAILABLE without connection.
        """
        try:
            await self._link.client.publish(subject, data)
        except FAILURES as error:
            raise unavailable("did not take a message") from error

    async def consume(self, consumer: Consumer, handle: Handler, *, batch: int = 1) -> None:
        """Hand a durable consumer's messages to a handler, in the background, until the bus closes.

        A message is acknowledged once its handler returns. `Poison` makes it a dead letter; after any other error it
        comes again, 1 s to a minute later. A handler may therefore see a message more than once.

        Args:
            consumer: The consumer; waited for as long as it does not exist.
            handle: What to do with a message.
            batch: How many messages to handle at once; 1 means one after the other.
        """
        for _ in range(batch):
            worker = Worker(self._link, consumer, handle, self._publish)
            self._workers.append(worker)
            worker.start()

    async def subscribe(self, subject: str, handle: Handler) -> None:
        """Hand each message on a subject to a handler, outside of any stream: what comes while cut off is missed."""
        async with self._registering:
            self._subscriptions.append((subject, handle))
            if self._registered is not None:
                with suppress(*FAILURES):
                    await self._listen(self._registered, subject, handle)
                    await settle(self._registered)

    def on_connect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call back after every connection that is made, and now if there is one: what was missed can be read then."""
        self._callbacks.append(callback)
        if self._link.connected:
            self._spawn(callback)

    async def serve(self, service: str, methods: Mapping[str, Method]) -> None:
        """Answer `dbify.rpc.<service>.<method>`, shared with the service's other replicas."""
        async with self._registering:
            responder = Responder(service, methods)
            self._responders.append(responder)
            if self._registered is not None:
                with suppress(*FAILURES):
                    await responder.register(self._registered)
                    await settle(self._registered)

    async def request(self, service: str, method: str, body: msgspec.Struct, *, timeout_s: float = 5.0) -> bytes:
        """Ask another service.

        Raises:
            DbifyError: The other side's; SERVICE_UNAVAILABLE where it cannot be reached; SERVICE_TIMEOUT.
        """
        return await serving.ask(self._link.client, service, method, msgspec.json.encode(body), timeout_s)

    async def _publish(self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float = 5.0) -> int:
        if not _SUBJECT.fullmatch(subject):
            raise ValueError("a subject to publish on has no spaces, wildcards or empty parts")
        sent = {**headers, "traceparent": traceparent.get()} if traceparent.get() else dict(headers)
        try:
            async with asyncio.timeout(timeout_s), self._publishing:
                ack = await self._link.client.jetstream().publish(subject, data, timeout=timeout_s, headers=sent)
        except nats.errors.MaxPayloadError as error:
            raise _too_large(data) from error
        except nats.js.errors.APIError as error:
            _published.labels("refused").inc()
            if error.err_code == _TOO_LARGE:
                raise _too_large(data) from error
            raise unavailable("takes no more messages at the moment") from error
        except FAILURES as error:
            _published.labels("unacknowledged").inc()
            raise unavailable("did not acknowledge a message") from error
        except DbifyError:
            _published.labels("unconnected").inc()
            raise
        _published.labels("duplicate" if ack.duplicate else "stored").inc()
        return ack.seq

    async def _established(self, client: Client) -> None:
        """Register everything on a new connection, then tell those who want to know."""
        async with self._registering:
            for subject, handle in self._subscriptions:
                await self._listen(client, subject, handle)
            for responder in self._responders:
                await responder.register(client)
            await settle(client)
            self._registered = client
        for callback in self._callbacks:
            self._spawn(callback)

    async def _listen(self, client: Client, subject: str, handle: Handler) -> None:
        async def hear(received: Msg) -> None:
            traceparent.set((received.headers or {}).get("traceparent", ""))
            try:
                await handle(plain(received))
                _heard.labels(subject, "handled").inc()
            except Exception:
                # Nobody above could act on it, and the next message must still be heard.
                _heard.labels(subject, "failed").inc()
                _logger.exception("a subscription's handler failed", extra={"fields": {"subject": received.subject}})

        await client.subscribe(
            subject, cb=hear, pending_msgs_limit=_PENDING_MESSAGES, pending_bytes_limit=_PENDING_BYTES
        )

    def _spawn(self, callback: Callable[[], Awaitable[None]]) -> None:
        async def call() -> None:
            try:
                await callback()
            except Exception:
                # It is called again after the next connection.
                _logger.exception("what follows a connection failed")

        task = asyncio.create_task(call())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self) -> None:
        """Let handlers finish, give back what they hold, answer what was asked."""
        stops = [worker.stop(_GRACE_S) for worker in self._workers]
        stops += [responder.stop(_GRACE_S) for responder in self._responders]
        await asyncio.gather(*stops, return_exceptions=True)
        for task in list(self._tasks):
            task.cancel()


@asynccontextmanager
async def connect(url: str, service: str) -> AsyncIterator[Bus]:
    """A service's bus: returns at once and connects in the background, for as long as it takes.

    Raises:
        ConfigError: If the URL is malformed; it is not repeated in the message.
    """
    link = Link(url, service)
    bus = Bus(link)
    keeping = asyncio.create_task(link.keep(bus._established), name="nats")  # noqa: SLF001 - made for each other
    try:
        yield bus
    finally:
        await bus._close()  # noqa: SLF001 - made for each other
        while not keeping.done():
            # More than once: Python 3.11's wait_for, which nats-py dials with, swallows a cancellation that comes in
            # the same moment as the dial's own end.
            keeping.cancel()
            await asyncio.wait([keeping], timeout=_CANCEL_AGAIN_S)


def _too_large(data: bytes) -> ValueError:
    return ValueError(f"a message of {len(data)} bytes is larger than its stream takes")
