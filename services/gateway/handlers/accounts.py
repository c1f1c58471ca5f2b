"""Signing up, logging in and out, account tokens, and who it is that asks."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

import msgspec

from libs.common.errors import Code, DbifyError
from libs.common.ids import AccountId, new_id
from services.gateway.core.credentials import ACCOUNT_TOKEN, digest, is_id, shown, well_formed
from services.gateway.core.emails import MAX_PASSWORD, check_password, normalised
from services.gateway.core.pages import Page, Paging, cut
from services.gateway.handlers.credentials import new_credential, new_session

SESSION_LIFE = timedelta(days=14)
MAX_TOKENS = 100


class Account(msgspec.Struct, frozen=True):
    """Somebody who signed up."""

    id: AccountId
    email: str
    created_at: datetime


class Token(msgspec.Struct, frozen=True):
    """An account's token as its owner sees it later: never the token itself."""

    id: str
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None


class Session(msgspec.Struct, frozen=True):
    """A login: the cookie's value, shown to the browser alone."""

    secret: str
    expires_at: datetime
    account: Account


class Records(Protocol):
    """Where accounts are kept."""

    async def add(self, account: Account, password_hash: str) -> bool:
        """Keep an account; False where its email address is taken."""
        ...

    async def by_email(self, email: str) -> tuple[Account, str] | None:
        """The account of an address, with its password's hash."""
        ...

    async def add_session(self, session: bytes, account: AccountId, expires_at: datetime) -> None:
        """Keep a login."""
        ...

    async def by_session(self, session: bytes) -> Account | None:
        """Whose login this is."""
        ...

    async def end_session(self, session: bytes) -> None:
        """Forget a login."""
        ...

    async def add_token(self, account: AccountId, token: Token, digest: bytes, limit: int) -> bool:
        """Keep a token; False where the account has `limit` already."""
        ...

    async def by_token(self, token: bytes) -> Account | None:
        """Whose token this is."""
        ...

    async def tokens(self, account: AccountId, paging: Paging) -> list[Token]:
        """Up to one more than a page of the account's tokens."""
        ...

    async def end_token(self, account: AccountId, token: str) -> bool:
        """Forget a token; False where the account has no such one."""
        ...


class Passwords(Protocol):
    """Slow hashing that does not stand in the way of others."""

    async def hash(self, password: str) -> str:
        """What to store of a password."""
        ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password; as slow where there is no hash."""
        ...


class Attempts(Protocol):
    """Counts what somebody might try too often."""

    async def count(self, kind: str, who: str) -> None:
        """Count an attempt; RATE_LIMITED where there were too many."""
        ...

    async def forget(self, kind: str, who: str) -> None:
        """Start counting anew."""
        ...


class Accounts:
    """The use cases of accounts.

    Args:
        records: Where they are kept.
        passwords: How passwords are hashed.
        attempts: Bounds logins and sign-ups.
        signup: Whether anybody may make an account.
    """

    def __init__(
        self, records: Records, passwords: Passwords, attempts: Attempts, signup: Literal["open", "closed"]
    ) -> None:
        self._records = records
        self._passwords = passwords
        self._attempts = attempts
        self._signup = signup

    async def sign_up(self, email: str, password: str, client: str) -> Account:
        """A new account. FORBIDDEN, EMAIL_TAKEN, INVALID_REQUEST or RATE_LIMITED."""
        if self._signup == "closed":
            raise DbifyError(Code.FORBIDDEN, "This installation takes no new accounts: ask whoever runs it.")
        address = normalised(email)
        check_password(password)
        await self._attempts.count("signup", client)
        account = Account(AccountId(new_id()), address, datetime.now(UTC))
        if not await self._records.add(account, await self._passwords.hash(password)):
            raise DbifyError(Code.EMAIL_TAKEN, "An account with this email address exists: log in instead.")
        return account

    async def log_in(self, email: str, password: str, client: str) -> Session:
        """A session. INVALID_CREDENTIALS is answered as slowly for an unknown address as for a wrong password."""
        if len(password) > MAX_PASSWORD:
            raise _refused()
        try:
            address = normalised(email)
        except DbifyError:
            address = ""
        who = f"{digest(address).hex()}:{client}"
        await self._attempts.count("login", who)
        known = await self._records.by_email(address)
        if not await self._passwords.verify(known[1] if known else None, password) or known is None:
            raise _refused()
        await self._attempts.forget("login", who)
        session = Session(new_session(), datetime.now(UTC) + SESSION_LIFE, known[0])
        await self._records.add_session(digest(session.secret), known[0].id, session.expires_at)
        return session

    async def log_out(self, session: str) -> None:
        """End a session; it need not exist."""
        await self._records.end_session(digest(session))

    async def by_session(self, session: str) -> Account:
        """Whose session this is. UNAUTHENTICATED."""
        return await self._known(self._records.by_session, session)

    async def by_token(self, token: str) -> Account:
        """Whose token this is. UNAUTHENTICATED."""
        if not well_formed(ACCOUNT_TOKEN, token):
            raise _unauthenticated()
        return await self._known(self._records.by_token, token)

    async def create_token(self, account: Account, name: str) -> tuple[Token, str]:
        """A new token, and its text, which is shown this once."""
        text = new_credential(ACCOUNT_TOKEN)
        token = Token(new_id(), name, shown(text), datetime.now(UTC), None)
        if not await self._records.add_token(account.id, token, digest(text), MAX_TOKENS):
            message = f"An account may have {MAX_TOKENS} tokens: delete one that is no longer used."
            raise DbifyError(Code.INVALID_REQUEST, message, {"limit": MAX_TOKENS})
        return token, text

    async def tokens(self, account: Account, paging: Paging) -> Page[Token]:
        """The account's tokens, newest first."""
        paging.check(is_id)
        return cut(await self._records.tokens(account.id, paging), paging, lambda token: token.id)

    async def end_token(self, account: Account, token: str) -> None:
        """Delete a token. NOT_FOUND."""
        if not is_id(token) or not await self._records.end_token(account.id, token):
            raise DbifyError(Code.NOT_FOUND, "The account has no such token.")

    @staticmethod
    async def _known(find: Callable[[bytes], Awaitable[Account | None]], secret: str) -> Account:
        account = await find(digest(secret))
        if account is None:
            raise _unauthenticated()
        return account


def _refused() -> DbifyError:
    return DbifyError(Code.INVALID_CREDENTIALS, "The email address or the password is wrong.")


def _unauthenticated() -> DbifyError:
    return DbifyError(Code.UNAUTHENTICATED, "Log in, or send `Authorization: Bearer dbp_...` with an account token.")
