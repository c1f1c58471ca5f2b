"""`POST /query` over RSGI; every other request is passed on to an ASGI application."""

import asyncio
import logging
from functools import lru_cache
from typing import Final

from libs.common.errors import DbifyError
from libs.common.ids import new_id
from services.gateway.adapters.http import bodies, errors
from services.gateway.adapters.http.asgi import App
from services.gateway.adapters.http.bridge import bridge
from services.gateway.adapters.http.entry import Query, address_class
from services.gateway.adapters.http.rsgi import Exchange, Incoming, ProtocolClosed
from services.gateway.handlers.query import Response

# A body that says to be this small is taken in one piece.
_SMALL: Final = 256 * 1024

_logger = logging.getLogger(__name__)


class Application:
    """What granian calls.

    Args:
        query: Answers `POST /query`.
        others: Answers everything else.
    """

    def __init__(self, query: Query, others: App) -> None:
        self._query = query
        self._others = others

    async def __rsgi__(self, scope: Incoming, exchange: Exchange) -> None:
        """Answer one request."""
        if scope.path != "/query" or scope.method != "POST":
            await bridge(self._others, scope, exchange)
            return
        request_id, headers = new_id(), scope.headers
        try:
            body = await _body(headers.get("content-length"), exchange)
            answer = await self._query(body, headers.get("authorization"), request_id, _peer_class(scope.client))
        except bodies.GoneError:
            return
        except DbifyError as error:
            answer = _failed(error, request_id)
        except Exception:
            # The last resort: whatever went wrong, the client gets an answer in our form.
            _logger.exception("a defect answered a query", extra={"fields": {"requestId": request_id}})
            answer = _failed(errors.internal(), request_id)
        exchange.response_bytes(answer.status, [*answer.headers], answer.body)


def _failed(error: DbifyError, request_id: str) -> Response:
    status, headers, body = errors.encoded(error, request_id)
    named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    return Response(status, (*named, ("x-request-id", request_id)), body)


async def _body(declared: str | None, exchange: Exchange) -> bytes:
    """The whole body.

    Raises:
        DbifyError: REQUEST_TOO_LARGE, or INVALID_REQUEST where it does not arrive in time.
        GoneError: The client left.
    """
    size = int(declared) if declared is not None and declared.isdigit() else None
    try:
        async with asyncio.timeout(bodies.TIMEOUT_S):
            if size is not None and size <= _SMALL:
                return await exchange()
            return await _pieces(exchange, size)
    except TimeoutError as error:
        raise bodies.late() from error
    except ProtocolClosed:
        raise bodies.GoneError from None


async def _pieces(exchange: Exchange, declared: int | None) -> bytes:
    body = bodies.Body(bodies.QUERY_LIMIT, declared or 0)
    async for piece in exchange:
        if not body.add(piece):
            break
    whole = body.whole()
    if declared is not None and len(whole) < declared:
        # What breaks off ends like what is complete.
        raise bodies.GoneError
    return whole


@lru_cache(maxsize=4096)
def _peer_class(peer: str) -> str:
    return address_class(peer.rpartition(":")[0].strip("[]"))
