"""A message of request logs: what in it can be stored, and what never can."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from libs.common.logs import BATCH_FORMAT, LogBatch, LogRecord

_INT64 = 2**63
# What DateTime64(6) can hold and a gateway with a clock can mean: the years 2000 to 2199.
_TIMES_US = range(946_684_800_000_000, 7_258_118_400_000_000)
_STATUSES = range(100, 1000)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)

_batch = msgspec.msgpack.Decoder(LogBatch)
_record = msgspec.msgpack.Decoder(LogRecord)
_encoder = msgspec.msgpack.Encoder()


class _Envelope(msgspec.Struct, frozen=True):
    """A batch whose records are not looked into yet."""

    format: int
    gateway: str
    records: list[msgspec.Raw]


_envelope = msgspec.msgpack.Decoder(_Envelope)


class Part(NamedTuple):
    """Neighbouring records of a message that are inserted together.

    `start` is the position of the first; together with the length it names exactly these rows.
    """

    start: int
    records: Sequence[LogRecord]
    whole: bool

    def token(self, message: str) -> str:
        """The deduplication token: the message's own for the whole of it, else one of exactly these rows."""
        return message if self.whole else f"{message}/{self.start}-{self.start + len(self.records)}"

    def halves(self) -> tuple["Part", "Part"]:
        """The part in two, to find out which half holds what the store refuses."""
        middle = len(self.records) // 2
        return (
            Part(self.start, self.records[:middle], whole=False),
            Part(self.start + middle, self.records[middle:], whole=False),
        )


class Refused(NamedTuple):
    """A record that can never be stored: its position, its bytes as they came, and why."""

    position: int
    data: bytes
    reason: str


class Batch(NamedTuple):
    """A message, sorted out. Without refused records there is one part, the whole."""

    gateway: str
    parts: Sequence[Part]
    refused: Sequence[Refused]


def read(data: bytes) -> Batch:
    """Sort a message's records into those that can be stored and those that cannot.

    Raises:
        ValueError: If nothing of the message can be read; the text says why.
    """
    try:
        batch = _batch.decode(data)
    except msgspec.MsgspecError:
        return _sorted_out(data)
    _check_format(batch.format)
    if any(_defect(record) for record in batch.records):
        return _sorted_out(data)
    parts = [Part(0, batch.records, whole=True)] if batch.records else []
    return Batch(batch.gateway, parts, [])


def envelope(gateway: str, record: bytes) -> bytes:
    """A batch of one record that may be unreadable: how it goes to the dead letters, ready to be sent again."""
    return _encoder.encode(_Envelope(BATCH_FORMAT, gateway, [msgspec.Raw(record)]))


def encoded(record: LogRecord) -> bytes:
    """A record's own bytes."""
    return _encoder.encode(record)


def _sorted_out(data: bytes) -> Batch:
    try:
        batch = _envelope.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a batch of request logs: {error}") from error
    _check_format(batch.format)
    parts: list[Part] = []
    refused: list[Refused] = []
    run: list[LogRecord] = []
    for position, raw in enumerate(batch.records):
        record = _checked(bytes(raw))
        if isinstance(record, LogRecord):
            run.append(record)
            continue
        refused.append(Refused(position, bytes(raw), record))
        if run:
            parts.append(Part(position - len(run), run, whole=False))
            run = []
    if run:
        parts.append(Part(len(batch.records) - len(run), run, whole=False))
    return Batch(batch.gateway, parts, refused)


def _check_format(number: int) -> None:
    if number != BATCH_FORMAT:
        raise ValueError(f"a batch of format {number}, this version reads {BATCH_FORMAT}")


def _checked(raw: bytes) -> LogRecord | str:
    """The record, or why it is none."""
    try:
        record = _record.decode(raw)
    except msgspec.MsgspecError as error:
        return str(error)
    return _defect(record) or record


def _defect(record: LogRecord) -> str:
    """What about a record no column can hold, or ""."""
    if record.time_us not in _TIMES_US:
        return "time is outside the years 2000 to 2199"
    if not _UUID.fullmatch(record.request_id):
        return "request_id is not a UUID"
    if record.status not in _STATUSES:
        return "status is not between 100 and 999"
    if not -_INT64 <= record.project < _INT64:
        return "project is outside 64 bits"
    # min and max are one C call each: this runs for every record.
    amounts = (record.duration_us, record.database_us, record.rows, record.size_bytes)
    if min(amounts) < 0 or max(amounts) >= _INT64:
        return "a duration, row count or size is negative or outside 63 bits"
    return ""
