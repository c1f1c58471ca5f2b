"""A transaction on a connection to a user's database."""

import asyncio
import json
import time
from typing import TYPE_CHECKING, Final, TypeVar

from libs.common.errors import Code, DbifyError
from services.gateway.adapters.describing import describe, refused
from services.gateway.handlers.running import Isolation, Mark

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    from services.gateway.adapters.held import Held
    from services.gateway.core.limits import Limits
    from services.gateway.core.plan import Plan
    from services.gateway.core.saved import Described
    from services.gateway.handlers.running import Result

# Managed servers may keep pg_control_* to themselves: then the name of the database has to do.
_IDENTITY: Final = """
    SELECT txid_current()::int8, pg_backend_pid(), d.oid::int8,
           has_function_privilege('pg_control_system()', 'EXECUTE')
             AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE')
    FROM pg_database AS d WHERE d.datname = current_database()
"""
_SYSTEM: Final = """
    SELECT s.system_identifier::text || '/' || c.timeline_id::text
    FROM pg_control_system() AS s, pg_control_checkpoint() AS c
"""


T = TypeVar("T")


class Transaction:
    """`handlers.running.Session`.

    Args:
        held: The connection, with a transaction begun.
        pooled: Whether a pooler stands between, which keeps no statements.
        limits: What each statement is held to.
        deadline: When all of it must be over, on the loop's clock.
        explain: Makes the documented error of what the driver raised.
        result: Reads the row of a statement.
    """

    def __init__(
        self, held: "Held", limits: "Limits", deadline: float,
        *, pooled: bool, explain: "Callable[[Exception], DbifyError]",
        result: "Callable[[Plan, asyncpg.Record | None, int, Limits], Result]",
    ) -> None:  # fmt: skip
        self._held = held
        self._pooled = pooled
        self._limits = limits
        self._deadline = deadline
        self._explain = explain
        self._result = result

    async def run(self, plan: "Plan") -> "Result":
        """Run a plan's statement, if it is not expected to cost too much."""
        started = time.perf_counter_ns()
        row = await self._within(self._run(plan), self._explain)
        return self._result(plan, row, (time.perf_counter_ns() - started) // 1000, self._limits)

    async def identity(self) -> Mark:
        """Which transaction this is."""
        row = await self._within(self._held.connection.fetchrow(_IDENTITY), self._explain)
        if row is None:
            raise DbifyError(Code.DATABASE_UNAVAILABLE, "The database answered nothing: try again.")
        xid, pid, oid, may_tell = row
        system = await self._within(self._held.connection.fetchval(_SYSTEM), self._explain) if may_tell else ""
        return Mark(f"{system}/{oid}", xid, pid)

    async def describe(self, sql: str) -> "Described":
        """The types of a statement, which is not run. INVALID_QUERY."""
        return await self._within(self._describe(sql), refused)

    async def execute(self, sql: str) -> None:
        """Run a statement of ours without parameters."""
        await self._within(self._held.connection.execute(sql, timeout=self._left_s()), self._explain)

    async def _run(self, plan: "Plan") -> "asyncpg.Record | None":
        if self._limits.max_cost is not None and not plan.silent:
            await self._check_cost(plan, self._limits.max_cost)
        if self._pooled:
            return await self._held.connection.fetchrow(plan.sql, *plan.arguments, timeout=self._left_s())
        return await self._held.fetch(plan, self._left_s())

    async def _check_cost(self, plan: "Plan", max_cost: float) -> None:
        explain = f"EXPLAIN (FORMAT JSON) {plan.sql}"
        explained = await self._held.connection.fetchval(explain, *plan.arguments, timeout=self._left_s())
        cost = float(json.loads(explained)[0]["Plan"]["Total Cost"])
        if cost > max_cost:
            raise DbifyError(
                Code.COST_TOO_HIGH,
                f"The database expects the statement to cost {cost:,.2f}; this project allows {max_cost:,.2f}. "
                "Narrow it down, or add an index.",
                {"cost": cost, "maxCost": max_cost},
            )

    async def _describe(self, sql: str) -> "Described":
        return await describe(self._held.connection, await self._held.prepare(sql, self._left_s()))

    async def _within(self, work: "Awaitable[T]", explain: "Callable[[Exception], DbifyError]") -> "T":
        try:
            async with asyncio.timeout_at(self._deadline):
                return await work
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the driver fails in as many ways as a server can misbehave
            raise explain(error) from None

    def _left_s(self) -> float:
        return max(self._deadline - asyncio.get_running_loop().time(), 0.001)


def beginning(isolation: Isolation, *, read_only: bool) -> str:
    """What begins such a transaction."""
    return f"BEGIN ISOLATION LEVEL {isolation.upper()}{' READ ONLY' if read_only else ''}"
