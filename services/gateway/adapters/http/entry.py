"""The ASGI application that the server calls: it tells the hot path from the rest."""

import ipaddress
import logging
from collections.abc import Awaitable
from functools import lru_cache
from typing import Final, Protocol, TypeVar

from libs.common import health
from libs.common.errors import Code, DbifyError
from libs.common.ids import new_id
from services.gateway.adapters.http import bodies, errors
from services.gateway.adapters.http.asgi import App, Headers, Message, Receive, Scope, Send, header
from services.gateway.adapters.http.tables import Tables
from services.gateway.handlers.query import Response

_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PROJECTS: Final = "/v1/projects/"
_OURS: Final = ("/v1/", "/openapi")
# A page may load nothing from elsewhere, nor be framed. Ours carry their few lines of script in them.
_SAFE: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'self' 'unsafe-inline'; frame-ancestors 'none'"),
]

Answer = TypeVar("Answer")

_logger = logging.getLogger(__name__)


class Query(Protocol):
    """The hot path."""

    async def __call__(self, body: bytes, authorization: str | None, request_id: str, client: str) -> Response:
        """Answer a request's body."""
        ...


class Entry:
    """ASGI 3.

    Args:
        query: Answers `POST /query`.
        tables: Answers for tables, saved queries and functions.
        management: Litestar, for everything else.
        checks: For `/livez`, `/readyz` and `/metrics`.
    """

    def __init__(self, query: Query, tables: Tables, management: App, checks: health.Health) -> None:
        self._query = query
        self._tables = tables
        self._management = management
        self._checks = checks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass the server's start and end on to Litestar."""
        if scope["type"] != "http":
            await self._management(scope, receive, send)
            return
        request_id = new_id()
        try:
            if scope["path"] == "/query":
                await self._answer_query(scope, receive, send, request_id)
            elif not (
                await self._answer_check(scope, send, request_id)
                or await self._answer_tables(scope, receive, send, request_id)
            ):
                await self._manage(scope, receive, send, request_id)
        except bodies.GoneError:
            return
        except DbifyError as error:
            await _send(send, *errors.encoded(error, request_id), request_id)

    async def _answer_query(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        if scope["method"] != "POST":
            status, headers, body = errors.encoded(
                DbifyError(Code.METHOD_NOT_ALLOWED, "/query takes POST alone."), request_id
            )
            await _send(send, status, [*headers, (b"allow", b"POST")], body, request_id)
            return
        body = await bodies.read(scope, receive, bodies.QUERY_LIMIT)
        asked = self._query(body, _authorization(scope), request_id, _address_class(scope))
        await _answer(send, await _whatever(asked, request_id))

    async def _answer_tables(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> bool:
        if not scope["path"].startswith(_PROJECTS):
            return False

        async def body() -> bytes:
            return await bodies.read(scope, receive, bodies.QUERY_LIMIT)

        asked = self._tables(scope, body, _authorization(scope), request_id, _address_class(scope))
        answer = await _whatever(asked, request_id)
        if answer is None:
            return False
        await _answer(send, answer)
        return True

    async def _answer_check(self, scope: Scope, send: Send, request_id: str) -> bool:
        if scope["method"] != "GET" or (answer := await health.respond(self._checks, scope["path"])) is None:
            return False
        status, content_type, body = answer
        headers = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store")]
        await _send(send, status, headers, body, request_id)
        return True

    async def _manage(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Litestar, with the body read and checked before, and our headers on its answer."""
        body = await bodies.read(scope, receive, bodies.MANAGEMENT_LIMIT)
        if body and scope["method"] in _WRITES and not _is_json(scope):
            raise DbifyError(Code.UNSUPPORTED_MEDIA_TYPE, "Send JSON, with `Content-Type: application/json`.")
        scope["state"] = {**(scope.get("state") or {}), "request_id": request_id}
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                private = [(b"cache-control", b"no-store")] if scope["path"].startswith(_OURS) else []
                message["headers"] = [
                    *message.get("headers", ()), (b"x-request-id", request_id.encode()), *_SAFE, *private
                ]  # fmt: skip
            await send(message)

        await self._management(scope, replay, dressed)


async def _whatever(asked: Awaitable[Answer], request_id: str) -> Answer | Response:
    """The last resort: whatever goes wrong, the client gets an answer in our form."""
    try:
        return await asked
    except (DbifyError, bodies.GoneError):
        raise
    except Exception:
        _logger.exception("a defect answered a query", extra={"fields": {"requestId": request_id}})
        status, headers, body = errors.encoded(errors.internal(), request_id)
        named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        return Response(status, (*named, ("x-request-id", request_id)), body)


async def _answer(send: Send, answer: Response) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await _send(send, answer.status, headers, answer.body, "")


async def _send(send: Send, status: int, headers: Headers, body: bytes, request_id: str) -> None:
    if not any(name == b"x-request-id" for name, _ in headers):
        headers = [*headers, (b"x-request-id", request_id.encode())]
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _authorization(scope: Scope) -> str | None:
    value = header(scope, b"authorization")
    return None if value is None else value.decode("latin-1")


def _is_json(scope: Scope) -> bool:
    value = header(scope, b"content-type") or b""
    return value.split(b";")[0].strip().lower() == b"application/json"


def _address_class(scope: Scope) -> str:
    client = scope.get("client")
    return address_class(client[0]) if client else "public"


@lru_cache(maxsize=4096)
def address_class(address: str) -> str:
    """Whether a client is on this machine, on a private network, or elsewhere: all that logs say of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "public"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if parsed.is_loopback:
        return "loopback"
    return "private" if parsed.is_private else "public"
