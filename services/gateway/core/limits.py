"""What a project allows a single request."""

from typing import Final

import msgspec

from libs.common.errors import Code, DbifyError
from services.gateway.core.payload import DEFAULT_LIMIT, MAX_LIMIT, READ_WORDS
from services.gateway.core.request import Request
from services.gateway.core.statement import MAX_RESULT_BYTES


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A project's limits, besides that on time.

    Attributes:
        max_rows: The most rows that a read answers.
        max_bytes: The largest `data` of an answer.
        max_cost: The most that the planner may expect a statement to cost; None asks it nothing.
    """

    max_rows: int = MAX_LIMIT
    max_bytes: int = MAX_RESULT_BYTES
    max_cost: float | None = None


UNLIMITED: Final = Limits()


def limited(asked: Request, limits: Limits) -> Request:
    """The request with a `limit` where it would read more rows than the project allows by saying none.

    Raises:
        DbifyError: INVALID_REQUEST where it asks for more itself.
    """
    operation: str = asked.operation
    if limits.max_rows >= MAX_LIMIT or operation not in ("read", "aggregate"):
        return asked
    payload = asked.payload
    if operation == "read" and READ_WORDS.isdisjoint(payload):
        payload = {"where": payload}
    limit = payload.get("limit", min(DEFAULT_LIMIT, limits.max_rows))
    if type(limit) is int and limit > limits.max_rows:
        raise DbifyError(
            Code.INVALID_REQUEST,
            f'"limit" is {limit:,}; this project allows {limits.max_rows:,} rows.',
            {"limit": limits.max_rows},
        )
    return msgspec.structs.replace(asked, payload={**payload, "limit": limit})


def check_rows(rows: int, limits: Limits) -> None:
    """Refuse an answer of more rows than the project allows. RESULT_TOO_LARGE."""
    if rows > limits.max_rows:
        raise DbifyError(
            Code.RESULT_TOO_LARGE,
            f"The answer has more than {limits.max_rows:,} rows: narrow it down, or give it a LIMIT.",
            {"limitRows": limits.max_rows},
        )
