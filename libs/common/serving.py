"""Request-reply between services: answers on nats.micro, in parts where they are large, and asking for them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import EndpointStats
from prometheus_client import Counter, Histogram

from libs.common import schema, subjects
from libs.common.errors import Code, DbifyError, ErrorBody
from libs.common.link import FAILURES, unavailable
from libs.common.telemetry import traceparent

# Nothing over 512 KiB travels in one message.
PART_BYTES = 500 * 1024
MAX_REPLY_BYTES = schema.MAX_BYTES
_MAX_RUNNING = 32
_MAX_WAITING = 128
_MAX_TIMEOUT_S = 60.0
_PART, _TIMEOUT, _ERROR_CODE = "Dbify-Part", "Dbify-Timeout", "Nats-Service-Error-Code"
_VERSION = "1.0.0"

_logger = logging.getLogger(__name__)
_answered = Counter("dbify_bus_answered_requests_total", "Requests answered", ["service", "method", "code"])
_asked = Counter("dbify_bus_asked_requests_total", "Requests asked of another service", ["service", "method", "code"])
_duration = Histogram("dbify_bus_answer_seconds", "Time to answer a request", ["service", "method"])

Method = Callable[[bytes], Awaitable[bytes]]
RequestBody = TypeVar("RequestBody", bound=msgspec.Struct)


def method(
    request_type: type[RequestBody], handle: Callable[[RequestBody], Awaitable[msgspec.Struct | bytes]]
) -> Method:
    """A method that decodes its request from JSON and encodes its answer, unless that is bytes already."""
    decoder = msgspec.json.Decoder(request_type)

    async def answer(body: bytes) -> bytes:
        try:
            request = decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise DbifyError(Code.INVALID_REQUEST, f"The request does not fit {request_type.__name__}.") from error
        result = await handle(request)
        return result if isinstance(result, bytes) else msgspec.json.encode(result)

    return answer


class Responder:
    """A service's methods, answered by every replica in turn, a bounded number at a time."""

    def __init__(self, service: str, methods: Mapping[str, Method]) -> None:
        self._service = service
        self._methods = dict(methods)
        self._slots = asyncio.Semaphore(_MAX_RUNNING)
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors = dict.fromkeys(methods, 0)
        self._busy_ns = dict.fromkeys(methods, 0)

    async def register(self, client: Client) -> None:
        """Answer on this connection."""
        service = await add_service(
            client,
            name=f"dbify-{self._service}",
            version=_VERSION,
            description=f"Dbify's {self._service}",
            stats_handler=self._stats,
        )
        for name, handle in self._methods.items():
            await service.add_endpoint(
                name=name, subject=subjects.rpc(self._service, name), handler=self._receiver(name, handle)
            )

    async def stop(self, grace_s: float) -> None:
        """Let what is being answered finish within the grace period."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _receiver(self, name: str, handle: Method) -> Callable[[Request], Awaitable[None]]:
        async def receive(request: Request) -> None:
            # nats.micro waits for each handler, so the work goes on in a task of its own.
            if len(self._tasks) >= _MAX_RUNNING + _MAX_WAITING:
                await self._refuse(request, name, DbifyError(Code.SERVICE_UNAVAILABLE, "Too many requests wait here."))
                return
            task = asyncio.create_task(self._answer(request, name, handle))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return receive

    async def _answer(self, request: Request, name: str, handle: Method) -> None:
        started = time.perf_counter_ns()
        headers = request.headers or {}
        traceparent.set(headers.get("traceparent", ""))
        try:
            async with asyncio.timeout(_timeout_of(headers)), self._slots:
                reply = await handle(request.data)
            await _send(request, reply)
            _answered.labels(self._service, name, "OK").inc()
        except DbifyError as error:
            await self._refuse(request, name, error)
        except FAILURES as error:
            await self._refuse(request, name, _late_or_defect(error))
        except Exception:
            _logger.exception("a method failed", extra={"fields": {"method": f"{self._service}.{name}"}})
            await self._refuse(request, name, _defect())
        finally:
            spent = time.perf_counter_ns() - started
            self._busy_ns[name] += spent
            _duration.labels(self._service, name).observe(spent / 1e9)

    async def _refuse(self, request: Request, name: str, error: DbifyError) -> None:
        self._errors[name] += 1
        _answered.labels(self._service, name, error.code.name).inc()
        try:
            await request.respond_error(error.code.name, error.message, msgspec.json.encode(error.body("")))
        except FAILURES:
            _logger.info("a requester could not be told that it failed: the connection is gone")

    def _stats(self, stats: EndpointStats) -> dict[str, int]:
        """Put into nats.micro's numbers what it cannot see, since the work runs in tasks of ours."""
        stats.num_errors = self._errors.get(stats.name, 0)
        stats.processing_time = self._busy_ns.get(stats.name, 0)
        stats.average_processing_time = stats.processing_time // max(stats.num_requests, 1)
        return {"running": len(self._tasks)}


async def ask(client: Client, service: str, name: str, body: bytes, timeout_s: float) -> bytes:
    """Ask another service and join the parts of its answer.

    Raises:
        DbifyError: The other side's, SERVICE_UNAVAILABLE or SERVICE_TIMEOUT.
        ValueError: If the request is too large for one message.
    """
    if len(body) > PART_BYTES:
        raise ValueError(f"a request of {len(body)} bytes is larger than one message")
    try:
        async with asyncio.timeout(timeout_s):
            reply = await _exchange(client, service, name, body, timeout_s)
    except DbifyError as error:
        _asked.labels(service, name, error.code.name).inc()
        raise
    except TimeoutError as error:
        _asked.labels(service, name, Code.SERVICE_TIMEOUT.name).inc()
        raise DbifyError(Code.SERVICE_TIMEOUT, f"The {service} did not answer in time. Try again.") from error
    except FAILURES as error:
        _asked.labels(service, name, Code.SERVICE_UNAVAILABLE.name).inc()
        raise unavailable("lost its connection") from error
    _asked.labels(service, name, "OK").inc()
    return reply


async def _exchange(client: Client, service: str, name: str, body: bytes, timeout_s: float) -> bytes:
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, pending_bytes_limit=2 * MAX_REPLY_BYTES)
    headers = {_TIMEOUT: f"{timeout_s:.3f}"}
    if trace := traceparent.get():
        headers["traceparent"] = trace
    parts: list[bytes] = []
    size = 0
    try:
        await client.publish(subjects.rpc(service, name), body, reply=inbox, headers=headers)
        while True:
            message = await subscription.next_msg(timeout=timeout_s)
            answered = message.headers or {}
            if answered.get("Status") == "503":
                raise DbifyError(Code.SERVICE_UNAVAILABLE, f"The {service} is not running. Try again in a moment.")
            if _ERROR_CODE in answered:
                raise _error_of(message.data)
            parts.append(message.data)
            size += len(message.data)
            if size > MAX_REPLY_BYTES:
                raise DbifyError(Code.RESULT_TOO_LARGE, f"The {service}'s answer is larger than the limit.")
            if _is_last(answered.get(_PART, "1/1"), len(parts)):
                return b"".join(parts)
    finally:
        try:
            await subscription.unsubscribe()
        except nats.errors.Error:
            _logger.debug("the connection went away with the subscription")


def _is_last(part: str, received: int) -> bool:
    """Whether this is the last part; parts come in order, since one connection sends them."""
    number, _, total = part.partition("/")
    if not (number.isdigit() and total.isdigit()) or int(number) != received or int(number) > int(total):
        raise DbifyError(Code.SERVICE_UNAVAILABLE, "A part of the answer was lost on the way. Try again.")
    return number == total


async def _send(request: Request, reply: bytes) -> None:
    if len(reply) > MAX_REPLY_BYTES:
        raise DbifyError(Code.RESULT_TOO_LARGE, "The answer is larger than the limit.")
    total = max(1, -(-len(reply) // PART_BYTES))
    for number in range(total):
        part = reply[number * PART_BYTES : (number + 1) * PART_BYTES]
        await request.respond(part, headers={_PART: f"{number + 1}/{total}"})


def _timeout_of(headers: Mapping[str, str]) -> float:
    """How long the requester waits: nobody reads an answer after that."""
    try:
        asked = float(headers.get(_TIMEOUT, _MAX_TIMEOUT_S))
    except ValueError:
        return _MAX_TIMEOUT_S
    return asked if 0 < asked < _MAX_TIMEOUT_S else _MAX_TIMEOUT_S


def _error_of(body: bytes) -> DbifyError:
    try:
        return msgspec.json.decode(body, type=ErrorBody).error()
    except msgspec.MsgspecError:
        return _defect()


def _late_or_defect(error: Exception) -> DbifyError:
    if isinstance(error, TimeoutError):
        return DbifyError(Code.SERVICE_TIMEOUT, "The service did not finish in time.")
    _logger.warning("a method met a connection error", exc_info=error)
    return _defect()


def _defect() -> DbifyError:
    return DbifyError(Code.INTERNAL_ERROR, Code.INTERNAL_ERROR.meaning)
