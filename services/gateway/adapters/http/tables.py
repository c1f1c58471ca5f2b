"""The endpoints of tables, saved queries and functions over HTTP, beside Litestar: they are the hot path as well."""

import re
from typing import Final, Protocol
from urllib.parse import parse_qsl, unquote

from libs.common.errors import Code, DbifyError
from services.gateway.adapters.http.asgi import Scope, header
from services.gateway.core.rest import Parameters, Rest
from services.gateway.handlers.query import Response
from services.gateway.handlers.tables import Asking, Endpoints

_PATH: Final = re.compile(r"/v1/projects/([0-9]{1,19})/(tables|queries|functions)/([^/]+)(?:/([^/]+))?")
_METHODS: Final = {
    "tables": ("GET", "POST", "PATCH", "DELETE"),
    "row": ("GET", "PATCH", "DELETE"),
    "queries": ("GET", "POST"),
    "functions": ("POST",),
}
_MAX_PARAMETERS: Final = 200


class Body(Protocol):
    """Reads a request's body."""

    async def __call__(self) -> bytes:
        """All of it. REQUEST_TOO_LARGE."""
        ...


class Tables:
    """Tells these endpoints from the rest, and passes them on."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def __call__(
        self, scope: Scope, body: Body, authorization: str | None, request_id: str, client: str
    ) -> Response | None:
        """The answer, or None where something else stands at this address.

        Raises:
            DbifyError: METHOD_NOT_ALLOWED, INVALID_REQUEST, REQUEST_TOO_LARGE.
        """
        found = _PATH.fullmatch(_path(scope))
        if found is None:
            return None
        project, what, name, rest = found.groups()
        if (what == "queries" and rest != "run") or (what == "functions" and rest):
            return None
        method = _checked(scope, "row" if what == "tables" and rest else what)
        asking = Asking(int(project), authorization, request_id, client)
        sent, parameters = await body(), _parameters(scope)
        if what == "functions":
            return await self._endpoints.call(asking, unquote(name), sent)
        if what == "queries":
            return await self._endpoints.run(asking, unquote(name), parameters, None if method == "GET" else sent)
        return await self._endpoints.table(asking, Rest(method, unquote(name), unquote(rest or ""), parameters, sent))


def _path(scope: Scope) -> str:
    """The path before it was decoded, so that a name may have a slash."""
    raw: bytes = scope.get("raw_path") or b""
    return raw.partition(b"?")[0].decode("latin-1")


def _checked(scope: Scope, what: str) -> str:
    method: str = scope["method"]
    if method not in _METHODS[what]:
        message = f"This address takes {', '.join(_METHODS[what])}."
        raise DbifyError(Code.METHOD_NOT_ALLOWED, message, {"allow": list(_METHODS[what])})
    if method != "GET" and (header(scope, b"content-type") or b"").startswith(b"application/x-www-form-urlencoded"):
        raise DbifyError(Code.UNSUPPORTED_MEDIA_TYPE, "Send JSON, with `Content-Type: application/json`.")
    return method


def _parameters(scope: Scope) -> Parameters:
    query: bytes = scope.get("query_string") or b""
    try:
        return parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise DbifyError(
            Code.TOO_COMPLEX, f"The query string has more than {_MAX_PARAMETERS} parameters: send a body to /query."
        ) from None
