"""From a message of request logs to rows, each exactly once, and what cannot be a row to the dead letters."""

import time
from collections.abc import Sequence
from typing import Protocol

import stamina
from prometheus_client import Counter, Gauge, Histogram

from libs.common.bus import Message, Poison
from libs.common.errors import Code, DbifyError
from libs.common.logs import LogRecord
from services.logger.core import batches
from services.logger.core.batches import Part, Refused

ROWS = Counter("dbify_logger_rows_total", "Request records stored.")
BATCHES = Counter("dbify_logger_batches_total", "Messages stored and acknowledged.")
POISON = Counter("dbify_logger_poison_records_total", "Records that could not be stored and went to the dead letters.")
INSERT = Histogram("dbify_logger_insert_seconds", "Time of one INSERT.", buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30))
LAG = Gauge("dbify_logger_lag_seconds", "Age of the newest record of the last message when it was stored.")

# How long a message is held while the store is down, before it is given back to come again.
_PATIENCE_S = 60.0


class RefusedContentError(Exception):
    """The store refused rows for what they hold, and stored none of them; another try would end the same."""


class Rows(Protocol):
    """Where records are kept."""

    async def insert(self, records: Sequence[LogRecord], token: str, *, again: bool) -> None:
        """Store records in one INSERT, at most once for a token; `again` where this may have been tried before.

        Raises:
            RefusedContentError: If their content is why none of them was stored.
            DbifyError: SERVICE_UNAVAILABLE or SERVICE_TIMEOUT if they may have been stored or not: ask again.
        """


class DeadLetters(Protocol):
    """Where goes what can never be stored."""

    async def add(self, message: Message, part: str, data: bytes, reason: str) -> None:
        """Keep a part of a message, once for each `part`, with the reason.

        Raises:
            DbifyError: SERVICE_UNAVAILABLE if it is not certain to be kept.
        """


class LogWriter:
    """Handles the messages of the LOGS stream; returning means the message may be acknowledged."""

    def __init__(self, rows: Rows, dead_letters: DeadLetters) -> None:
        self._rows = rows
        self._dead_letters = dead_letters

    async def __call__(self, message: Message) -> None:
        """Store one message.

        Raises:
            Poison: If nothing in it can be read.
            DbifyError: If the store or the dead letters cannot be reached: the message must come again.
        """
        try:
            batch = batches.read(message.data)
        except ValueError as error:
            raise Poison(str(error)) from error
        # A message published without an id has its place in the stream, which redelivery does not change.
        token = message.id or f"{message.subject}/{message.sequence}"
        refused = list(batch.refused)
        for part in batch.parts:
            refused += await self._store(part, token, again=message.deliveries > 1)
        for record in refused:
            reason = f"record {record.position}: {record.reason}"
            data = batches.envelope(batch.gateway, record.data)
            await self._dead_letters.add(message, str(record.position), data, reason)
            POISON.inc()
        BATCHES.inc()
        if batch.parts:
            newest_us = max(record.time_us for part in batch.parts for record in part.records)
            LAG.set(max(0.0, time.time() - newest_us / 1e6))

    async def _store(self, part: Part, token: str, *, again: bool) -> list[Refused]:
        """Store a part; where its content is refused, narrow it down by halves to the records that are why."""
        try:
            await self._insert(part, token, again=again)
        except RefusedContentError as error:
            if len(part.records) == 1:
                return [Refused(part.start, batches.encoded(part.records[0]), str(error))]
            first, second = part.halves()
            return [*await self._store(first, token, again=again), *await self._store(second, token, again=again)]
        ROWS.inc(len(part.records))
        return []

    async def _insert(self, part: Part, token: str, *, again: bool) -> None:
        """Insert a part, waiting for a store that is down: it is back sooner than a message that was given back."""
        async for attempt in stamina.retry_context(
            on=_passes, attempts=None, timeout=_PATIENCE_S, wait_initial=0.5, wait_max=2.0
        ):
            with attempt, INSERT.time():
                await self._rows.insert(part.records, part.token(token), again=again or attempt.num > 1)


def _passes(error: Exception) -> bool:
    return isinstance(error, DbifyError) and error.code in (Code.SERVICE_UNAVAILABLE, Code.SERVICE_TIMEOUT)
