"""The hot path: a request's bytes in, an answer's bytes out."""

import asyncio
import logging
from typing import Final, NamedTuple, Protocol

from libs.common.errors import Code, DbifyError
from services.gateway.core.answer import failure, success
from services.gateway.core.request import Request, credentials, read, request
from services.gateway.handlers.running import Context, Databases, Entry, Identity, Requests, Result, Runners, Schemas
from services.gateway.handlers.statements import Statements

_logger = logging.getLogger(__name__)

# nginx's status for a client that left before its answer.
_CLIENT_LEFT: Final = 499
_STATEMENTS: Final = dict.fromkeys(("read", "create", "update", "delete"), Statements())


class Response(NamedTuple):
    """An HTTP answer, free of any server's types."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Keys(Protocol):
    """Which key is whose."""

    async def identify(self, api_key: str, project: int | None) -> Identity:
        """Whose key this is; a project that is named must be the key's own.

        Raises:
            DbifyError: INVALID_API_KEY, or KEY_UNVERIFIABLE where it cannot be checked at the moment.
        """
        ...


class Query:
    """`POST /query`.

    Args:
        more: Runners of operations besides those of this module, by the operation's name.
    """

    def __init__(
        self, keys: Keys, schemas: Schemas, databases: Databases, requests: Requests, *, more: Runners | None = None
    ) -> None:
        self._keys = keys
        self._schemas = schemas
        self._databases = databases
        self._requests = requests
        self._runners = {**_STATEMENTS, **(more or {})}

    async def __call__(self, body: bytes, authorization: str | None, request_id: str, client: str) -> Response:
        """Answer a request, and record it.

        Args:
            body: The request's body.
            authorization: Its Authorization header.
            request_id: A UUIDv7, which the answer and the record carry.
            client: The client's address class.
        """
        entry = Entry(request_id, client)
        status, error_code = 200, ""
        try:
            answer = await self._answer(body, authorization, entry)
        except DbifyError as error:
            status, error_code, answer = error.code.status, error.code.name, failure(error, request_id)
        except asyncio.CancelledError:
            self._requests.add(entry.record(_CLIENT_LEFT, "", entry.duration_us(), 0))
            raise
        except Exception:
            _logger.exception("a request failed", extra={"fields": {"request_id": request_id}})
            defect = DbifyError(Code.INTERNAL_ERROR, "A defect in Dbify. The request id finds it in the logs.")
            status, error_code, answer = defect.code.status, defect.code.name, failure(defect, request_id)
        duration_us = entry.duration_us()
        self._requests.add(entry.record(status, error_code, duration_us, len(answer)))
        return Response(status, _headers(request_id, duration_us, entry.result.database_us), answer)

    async def _answer(self, body: bytes, authorization: str | None, entry: Entry) -> bytes:
        fields = read(body)
        given = credentials(fields, authorization)
        entry.identity = await self._keys.identify(given.api_key, given.project)
        asked = request(fields)
        entry.operation = asked.operation
        entry.result = await self._run(asked, entry)
        return success(entry.result.data, entry.result.count)

    async def _run(self, asked: Request, entry: Entry) -> Result:
        runner = self._runners.get(asked.operation)
        if runner is None:
            raise DbifyError(Code.UNKNOWN_OPERATION, f'"{asked.operation}" is not available here.')
        return await runner(asked, Context(entry.identity, self._schemas, self._databases, entry))


def _headers(request_id: str, duration_us: int, database_us: int) -> tuple[tuple[str, str], ...]:
    timing = f"total;dur={duration_us / 1000:.2f}, db;dur={database_us / 1000:.2f}"
    return ("Content-Type", "application/json"), ("X-Request-Id", request_id), ("Server-Timing", timing)
