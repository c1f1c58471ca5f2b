"""Accounts, sessions and account tokens."""

from datetime import datetime

import asyncpg

from libs.common.ids import AccountId
from libs.common.postgres import guarded
from services.gateway.core.pages import Paging
from services.gateway.handlers.accounts import Account, Token

_BY_SESSION = """
    select accounts.id, email, accounts.created_at
    from sessions join accounts on accounts.id = sessions.account
    where sessions.hash = $1 and expires_at > now()
"""
# A write a minute and token, however often it is used.
_WHOSE = """
    with used as (
        update tokens set last_used_at = now()
        where hash = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')
    )
    select accounts.id, email, accounts.created_at
    from tokens join accounts on accounts.id = tokens.account
    where tokens.hash = $1
"""
_ADD_SESSION = """
    with ended as (delete from sessions where expires_at < now())
    insert into sessions (hash, account, expires_at) values ($1, $2, $3)
"""
_ADD_WITHIN = """
    insert into tokens (id, account, hash, name, prefix, created_at)
    select $1, $2, $3, $4, $5, $6
    where (select count(*) from tokens where account = $2) < $7
"""
_TOKENS = """
    select id, name, prefix, created_at, last_used_at from tokens
    where account = $1 and ($2::uuid is null or id < $2)
    order by id desc limit $3
"""


class AccountRecords:
    """`handlers.accounts.Records` in Postgres."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, account: Account, password_hash: str) -> bool:
        """Keep a new account; False where its email address is taken."""
        with guarded():
            done = await self._pool.execute(
                "insert into accounts (id, email, password_hash, created_at) values ($1, $2, $3, $4)"
                " on conflict (email) do nothing",
                account.id, account.email, password_hash, account.created_at,
            )  # fmt: skip
        return bool(done == "INSERT 0 1")

    async def by_email(self, email: str) -> tuple[Account, str] | None:
        """The account of a normalised address, with its password's hash."""
        with guarded():
            row = await self._pool.fetchrow(
                "select id, email, created_at, password_hash from accounts where email = $1", email
            )
        return (_account(row), row["password_hash"]) if row else None

    async def add_session(self, session: bytes, account: AccountId, expires_at: datetime) -> None:
        """Keep a login; those that ran out go."""
        with guarded():
            await self._pool.execute(_ADD_SESSION, session, account, expires_at)

    async def by_session(self, session: bytes) -> Account | None:
        """Whose session it is, while it lasts."""
        with guarded():
            row = await self._pool.fetchrow(_BY_SESSION, session)
        return _account(row) if row else None

    async def end_session(self, session: bytes) -> None:
        """Forget a login."""
        with guarded():
            await self._pool.execute("delete from sessions where hash = $1", session)

    async def add_token(self, account: AccountId, token: Token, digest: bytes, limit: int) -> bool:
        """Keep a new token; False where the account has `limit` already."""
        with guarded():
            done = await self._pool.execute(
                _ADD_WITHIN, token.id, account, digest, token.name, token.prefix, token.created_at, limit
            )
        return bool(done == "INSERT 0 1")

    async def by_token(self, token: bytes) -> Account | None:
        """Whose token it is; notes that it was used."""
        with guarded():
            row = await self._pool.fetchrow(_WHOSE, token)
        return _account(row) if row else None

    async def tokens(self, account: AccountId, paging: Paging) -> list[Token]:
        """Up to one more than a page of the account's tokens, newest first."""
        with guarded():
            rows = await self._pool.fetch(_TOKENS, account, paging.after, paging.limit + 1)
        return [
            Token(str(row["id"]), row["name"], row["prefix"], row["created_at"], row["last_used_at"]) for row in rows
        ]

    async def end_token(self, account: AccountId, token: str) -> bool:
        """Forget a token; False where the account has no such one."""
        with guarded():
            done = await self._pool.execute("delete from tokens where id = $1 and account = $2", token, account)
        return bool(done == "DELETE 1")


def _account(row: asyncpg.Record) -> Account:
    return Account(AccountId(str(row["id"])), row["email"], row["created_at"])
