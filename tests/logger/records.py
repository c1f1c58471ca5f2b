"""Request logs as the gateway would send them."""

import time
import uuid

import msgspec

from libs.common.ids import ProjectId
from libs.common.logs import BATCH_FORMAT, LogBatch, LogRecord

PROJECT = ProjectId(4)
_TABLES = ("public.author", "public.book", "app.author", "")
_OPERATIONS = ("read", "create", "update", "delete", "")
_STATUSES = (200, 200, 200, 404, 422, 500)


def record(number: int, **fields: object) -> LogRecord:
    """A believable record, a different one for each number; `fields` override."""
    usual: dict[str, object] = {
        "time_us": now_us() - number * 1_000,
        "request_id": str(uuid.uuid4()),
        "project": PROJECT,
        "key": f"key-{number % 3}",
        "role": "",
        "operation": _OPERATIONS[number % 5],
        "table": _TABLES[number % 4],
        "columns": ("id", "name") if number % 2 else (),
        "status": _STATUSES[number % 6],
        "error": "" if _STATUSES[number % 6] == 200 else "TABLE_NOT_FOUND",
        "duration_us": 500 + number * number * 7919 % 100_000,
        "database_us": 300,
        "rows": number,
        "size_bytes": 2_000,
        "coalesced": number % 2 == 0,
        "client": "private",
    }
    return msgspec.convert(list((usual | fields).values()), LogRecord)


def records(number: int, **fields: object) -> list[LogRecord]:
    """Some records, newest first."""
    return [record(position, **fields) for position in range(number)]


def message(batch: list[LogRecord]) -> bytes:
    """A message's body."""
    return msgspec.msgpack.encode(LogBatch(BATCH_FORMAT, "gateway-1", tuple(batch)))


def messages(batch: list[LogRecord], size: int) -> list[bytes]:
    """The records in messages of `size` each."""
    return [message(batch[start : start + size]) for start in range(0, len(batch), size)]


def now_us() -> int:
    """The time as records hold it."""
    return time.time_ns() // 1_000
