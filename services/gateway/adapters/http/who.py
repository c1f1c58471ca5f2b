"""Who asks: a browser with its session cookie, or a program with an account token."""

from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import Cookie

from libs.common.errors import Code, DbifyError
from services.gateway.handlers.accounts import SESSION_LIFE, Account, Accounts

COOKIE: Final = "dbify_session"
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

AnyRequest = Request[Any, Any, Any]


class Callers:
    """Recognises accounts.

    Args:
        accounts: Knows sessions and tokens.
        public_url: Where browsers reach the gateway, "" where that is the address they name themselves.
    """

    def __init__(self, accounts: Accounts, public_url: str) -> None:
        self._accounts = accounts
        self._public = urlsplit(public_url) if public_url else None

    async def account(self, request: AnyRequest) -> Account:
        """Whose request this is. UNAUTHENTICATED or CSRF_REJECTED."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._accounts.by_token(token.strip())
        if request.method not in _READS:
            self.check_origin(request, required=COOKIE in request.cookies)
        return await self._accounts.by_session(request.cookies.get(COOKIE, ""))

    def check_origin(self, request: AnyRequest, *, required: bool) -> None:
        """Refuse what another site made a browser send. CSRF_REJECTED.

        Args:
            request: The request.
            required: Whether the browser must say where it comes from, as every one does with a write.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if site is not None:
            allowed = site in {"same-origin", "none"}
        elif origin is not None:
            allowed = self._is_own(origin, request)
        else:
            allowed = not required
        if not allowed:
            message = "A write with a session cookie must come from the dashboard itself; programs use a token."
            raise DbifyError(Code.CSRF_REJECTED, message)

    def cookie(self, secret: str) -> Cookie:
        """The session's cookie; an empty one ends it."""
        return Cookie(
            key=COOKIE,
            value=secret,
            max_age=int(SESSION_LIFE.total_seconds()) if secret else 0,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self._public is not None and self._public.scheme == "https",
        )

    def _is_own(self, origin: str, request: AnyRequest) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if self._public is not None and (parts.scheme, parts.netloc) == (self._public.scheme, self._public.netloc):
            return True
        return bool(parts.netloc) and parts.netloc == request.headers.get("host")


def address(request: AnyRequest) -> str:
    """The client's address, by which attempts are counted."""
    return request.client.host if request.client else "unknown"
