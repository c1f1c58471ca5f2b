"""Request logs on their way to the logger: a bounded queue, batches, JetStream, and a spool for when that is down."""

import asyncio
import logging
import random
import time
from collections import deque
from typing import Final, Protocol

import msgspec
from prometheus_client import Counter, Gauge

from libs.common import subjects
from libs.common.errors import DbifyError
from libs.common.ids import new_id
from libs.common.logs import BATCH_FORMAT, MAX_BATCH_BYTES, MAX_RECORDS, LogRecord
from libs.common.telemetry import log
from services.gateway.adapters.spool import Spool

CAPACITY: Final = 50_000
MAX_AGE_S: Final = 1.0
_ACK_S = 5.0
_LAST_ACK_S = 2.0
_RETRY_S = 0.5
_MAX_RETRY_S = 15.0
# The batch around its records: three keys, a gateway id and an array's head.
_ENVELOPE_BYTES = 256

_logger = logging.getLogger(__name__)
_dropped = Counter("dbify_gateway_logs_dropped", "Request records that could not be kept.", ["reason"])
_sent = Counter("dbify_gateway_log_records_sent", "Request records that JetStream acknowledged.")
_spooled = Gauge("dbify_gateway_logs_spooled_bytes", "Request records that wait on disk.")

_encoder = msgspec.msgpack.Encoder()


class _Batch(msgspec.Struct, frozen=True):
    """`libs.common.logs.LogBatch` around records that are encoded already."""

    format: int
    gateway: str
    records: list[msgspec.Raw]


class Bus(Protocol):
    """Publishes and waits for the acknowledgement."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now."""
        ...

    async def publish(self, subject: str, data: bytes, *, message_id: str, timeout_s: float = 5.0) -> int:
        """Publish and wait until it is stored."""
        ...


class Requests:
    """`handlers.query.Requests`: takes records at once and publishes them in batches.

    A batch keeps its id and its content from the first attempt on, whatever way it takes, so that JetStream and
    ClickHouse recognise it when it comes twice.

    Args:
        bus: Where batches go.
        spool: Where they wait while the bus does not take them.
        gateway: This process's id.
    """

    def __init__(self, bus: Bus, spool: Spool, gateway: str, capacity: int = CAPACITY) -> None:
        self._bus = bus
        self._spool = spool
        self._gateway = gateway
        self._subject = subjects.logs(gateway)
        self._capacity = capacity
        self._records: deque[LogRecord] = deque()
        self._oldest_at = 0.0
        self._overflown = 0
        self._full = asyncio.Event()
        self._connected = asyncio.Event()
        self._wait_s = _RETRY_S

    def add(self, record: LogRecord) -> None:
        """Take a record; never blocks, never raises. When the queue is full, the record is counted and dropped."""
        if len(self._records) >= self._capacity:
            self._overflown += 1
            return
        if not self._records:
            self._oldest_at = time.monotonic()
        self._records.append(record)
        if len(self._records) >= MAX_RECORDS:
            self._full.set()

    async def connected(self) -> None:
        """NATS is back: try what waits at once."""
        self._wait_s = _RETRY_S
        self._connected.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`; then everything goes to NATS or to the spool before this returns."""
        retrying = asyncio.create_task(self._retry(stop))
        while not stop.is_set():
            await self._ripe(stop)
            await self._flush(_ACK_S)
        await retrying
        await self._flush(_LAST_ACK_S)

    async def _ripe(self, stop: asyncio.Event) -> None:
        """Wait until a batch is full or old enough, or it is time to stop."""
        age_s = time.monotonic() - self._oldest_at if self._records else 0.0
        await _first(MAX_AGE_S - age_s, stop, self._full)
        self._full.clear()

    async def _flush(self, ack_s: float) -> None:
        """Send what is there in batches; those that come meanwhile wait for the next time."""
        self._count_overflow()
        left = len(self._records)
        while left > 0:
            batch = self._cut(left)
            left -= batch.taken
            if batch.records:
                await self._send(new_id(), batch, ack_s)
        self._oldest_at = time.monotonic()
        if len(self._records) >= MAX_RECORDS:
            self._full.set()

    def _cut(self, left: int) -> "_Cut":
        """The next batch: as many records as its limits allow."""
        size_bytes, records, taken = _ENVELOPE_BYTES, list[msgspec.Raw](), 0
        while taken < left and len(records) < MAX_RECORDS:
            encoded = _encoder.encode(self._records[0])
            if size_bytes + len(encoded) > MAX_BATCH_BYTES and records:
                break
            self._records.popleft()
            taken += 1
            if _ENVELOPE_BYTES + len(encoded) > MAX_BATCH_BYTES:
                _drop(1, "too large")
                continue
            size_bytes += len(encoded)
            records.append(msgspec.Raw(encoded))
        return _Cut(taken, records)

    async def _send(self, identity: str, batch: "_Cut", ack_s: float) -> None:
        body = _encoder.encode(_Batch(BATCH_FORMAT, self._gateway, batch.records))
        # While older ones wait, NATS is most likely down: the retrying finds out, and the queue is not held up.
        if len(self._spool) == 0 and await self._publish(identity, body, ack_s):
            _sent.inc(len(batch.records))
            return
        try:
            kept = await asyncio.to_thread(self._spool.put, identity, body)
        except OSError as error:
            log(_logger, "the spool does not take a batch", level=logging.ERROR, reason=error.strerror)
            kept = False
        _spooled.set(self._spool.size_bytes)
        if not kept:
            _drop(len(batch.records), "spool full")

    async def _publish(self, identity: str, body: bytes, ack_s: float) -> bool:
        if not self._bus.connected:
            return False
        try:
            await self._bus.publish(self._subject, body, message_id=identity, timeout_s=ack_s)
        except DbifyError:
            return False
        return True

    async def _retry(self, stop: asyncio.Event) -> None:
        """Send what waits on disk, oldest first."""
        while not stop.is_set():
            waiting = await self._oldest()
            if waiting is None:
                await _first(MAX_AGE_S, stop, self._connected)
                self._connected.clear()
            elif await self._publish(*waiting, _ACK_S):
                await asyncio.to_thread(self._spool.drop, waiting[0])
                _spooled.set(self._spool.size_bytes)
                self._wait_s = _RETRY_S
            else:
                await _first(self._wait_s * random.uniform(0.5, 1.0), stop, self._connected)  # noqa: S311  jitter
                self._connected.clear()
                self._wait_s = min(self._wait_s * 2, _MAX_RETRY_S)

    async def _oldest(self) -> tuple[str, bytes] | None:
        try:
            return await asyncio.to_thread(self._spool.oldest)
        except OSError as error:
            log(_logger, "a spooled batch cannot be read", level=logging.ERROR, reason=error.strerror)
            return None

    def _count_overflow(self) -> None:
        if self._overflown:
            _drop(self._overflown, "queue full")
            self._overflown = 0


class _Cut(msgspec.Struct, frozen=True):
    """Records out of the queue, encoded, and how many were taken for it."""

    taken: int
    records: list[msgspec.Raw]


def _drop(records: int, reason: str) -> None:
    _dropped.labels(reason).inc(records)
    log(_logger, "request records were dropped", level=logging.ERROR, records=records, reason=reason)


async def _first(timeout_s: float, *events: asyncio.Event) -> None:
    """Wait for whichever of the events comes first, at most `timeout_s`."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=max(0.0, timeout_s), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
