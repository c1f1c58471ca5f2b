"""One connection to a user's database: how a plan's statement is run on it."""

import asyncio
import itertools
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import asyncpg

from libs.common.dial import SESSION, Connection

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

    from services.gateway.core.plan import Plan

MAX_STATEMENTS: Final = 256
# Result and protocol around it; see plan.MAX_RESULT_BYTES.
SLACK_BYTES: Final = 1024 * 1024
# The server's own `statement_timeout` comes first; this is for a server that does not react.
GRACE_S: Final = 1.0

# No name comes twice: where a pooler hands sessions around unseen, a statement must be lost rather than be another's.
_prefix = f"dbify_{secrets.token_hex(6)}"
_numbers = itertools.count(1)


class Held:
    """A connection with the statements prepared on it."""

    __slots__ = ("_statements", "connection", "dropped", "idle_since", "slot")

    def __init__(self, connection: Connection, slot: str) -> None:
        self.connection = connection
        self.slot = slot
        self.dropped = False
        self.idle_since = 0.0
        self._statements: OrderedDict[str, PreparedStatement[asyncpg.Record]] = OrderedDict()

    async def fetch(self, plan: "Plan", timeout_s: float) -> asyncpg.Record | None:
        """Run a plan's statement, prepared now or before."""
        statement = self._statements.get(plan.sql)
        if statement is None:
            async with asyncio.timeout(timeout_s):
                statement = await self._prepare(plan.sql, timeout_s)
        else:
            self._statements.move_to_end(plan.sql)
        return await statement.fetchrow(*plan.arguments, timeout=timeout_s)

    async def transact(self, plan: "Plan", timeout_ms: int, timeout_s: float) -> asyncpg.Record | None:
        """Run it through a pooler, as one transaction: only that keeps to one session, and only in it settings last."""
        connection = self.connection
        async with asyncio.timeout(timeout_s):
            await connection.execute(f"BEGIN; {pooled_settings(timeout_ms)}", timeout=timeout_s)
            row = await connection.fetchrow(plan.sql, *plan.arguments, timeout=timeout_s)
            await connection.execute("COMMIT", timeout=timeout_s)
        return row

    async def prepare(self, sql: str, timeout_s: float) -> "PreparedStatement[asyncpg.Record]":
        """Prepare a statement that is not to be kept."""
        return await self.connection.prepare(sql, name=f"{_prefix}_{next(_numbers)}", timeout=timeout_s)

    def forget(self) -> None:
        """Prepare everything anew."""
        self._statements.clear()

    async def _prepare(self, sql: str, timeout_s: float) -> "PreparedStatement[asyncpg.Record]":
        if len(self._statements) >= MAX_STATEMENTS:
            # The driver closes it on the server when it prepares the next one.
            self._statements.popitem(last=False)
        statement = self._statements[sql] = await self.prepare(sql, timeout_s)
        return statement


def pooled_settings(timeout_ms: int) -> str:
    """What makes a transaction through a pooler behave like a connection of ours."""
    settings = {**SESSION, "statement_timeout": str(timeout_ms)}
    return "; ".join(f"SET LOCAL \"{name}\" = '{value}'" for name, value in settings.items())
