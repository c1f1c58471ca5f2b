"""An answer's JSON, around what PostgreSQL rendered."""

import msgspec

from libs.common.errors import DbifyError


def success(data: bytes, count: int | None) -> bytes:
    """`{"data": ..., "count": ...}`, each where there is one."""
    fields = []
    if data:
        fields.append(b'"data":%b' % data)
    if count is not None:
        fields.append(b'"count":%d' % count)
    return b"{%b}" % b",".join(fields)


def failure(error: DbifyError, request_id: str) -> bytes:
    """An error as every part of Dbify answers it."""
    return msgspec.json.encode(error.body(request_id))
