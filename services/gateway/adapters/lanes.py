"""Reads by a unique key that are asked at the same time travel together.

A lane is what such reads have in common: the connections, which stand for one version of a database's URL and its
limits, the compiled statement, every bound value except the key, and the role. While a lane has fewer than
`MAX_IN_FLIGHT` queries under way a read goes out at once, by itself; otherwise it waits for one of them to end,
together with what comes meanwhile. A read never joins a query that is already sent, so it sees what was committed
before it was asked. Nobody's leaving cancels what others wait for.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg
from prometheus_client import Counter

from libs.common.errors import Code, DbifyError
from services.gateway.adapters.bounded import Bounded
from services.gateway.core.plan import Plan
from services.gateway.handlers.running import Result

if TYPE_CHECKING:
    from services.gateway.adapters.connections import Connections
    from services.gateway.core.statement import Argument, Lane

MAX_IN_FLIGHT: Final = 2
MAX_BATCH: Final = 200
MAX_WAITING: Final = 1_000
# How long reads go alone whose rows are too large to be shared.
APART_S: Final = 5.0
_MAX_APART = 1_024
# With these every read of a batch would fare the same by itself, and later.
_FOR_ALL: Final = frozenset(
    {Code.QUERY_TIMEOUT, Code.DATABASE_BUSY, Code.DATABASE_UNAVAILABLE, Code.DATABASE_REFUSED_LOGIN}
)

Singly: TypeAlias = Callable[["Connections", Plan], Awaitable[Result]]
Fetch: TypeAlias = Callable[["Connections", Plan], Awaitable[tuple[asyncpg.Record | None, int]]]
_Key: TypeAlias = tuple["Connections", str, str, tuple["Argument", ...]]
# None: ask by yourself.
_Answer: TypeAlias = "asyncio.Future[Result | None]"

_shared = Counter("dbify_gateway_reads_shared", "Reads that were answered by a query shared with others.")
_queries = Counter("dbify_gateway_shared_queries", "Queries that answer several reads, by outcome.", ["outcome"])


class _Traffic:
    """What is under way in a lane, and what waits."""

    __slots__ = ("in_flight", "waiting", "waits")

    def __init__(self) -> None:
        self.in_flight = 0
        self.waits = 0
        self.waiting: deque[dict[str, list[_Answer]]] = deque()


class Lanes:
    """All lanes of this process.

    Args:
        singly: Runs a plan's own statement.
        fetch: Runs a plan for its row and the microseconds it took.
    """

    def __init__(self, singly: Singly, fetch: Fetch) -> None:
        self._singly = singly
        self._fetch = fetch
        self._lanes: dict[_Key, _Traffic] = {}
        self._apart: Bounded[tuple[Connections, str], float] = Bounded(_MAX_APART)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, connections: "Connections", plan: Plan, lane: "Lane", role: str) -> Result:
        """Answer a read, alone or with others.

        Raises:
            DbifyError: As if it had been alone.
        """
        position = lane.position
        key = plan.arguments[position]
        if not isinstance(key, str) or not lane.accepts(key) or self._is_apart(connections, lane):
            return await self._singly(connections, plan)
        others = plan.arguments[:position] + plan.arguments[position + 1 :]
        if any(isinstance(other, list) for other in others):
            return await self._singly(connections, plan)
        name = (connections, lane.sql, role, others)
        traffic = self._lanes.get(name)
        if traffic is None:
            traffic = self._lanes[name] = _Traffic()
        if traffic.in_flight < MAX_IN_FLIGHT:
            traffic.in_flight += 1
            try:
                return await self._singly(connections, plan)
            finally:
                self._ended(name, traffic)
        answer = await self._joined(traffic, key)
        return await self._singly(connections, plan) if answer is None else answer

    async def _joined(self, traffic: _Traffic, key: str) -> Result | None:
        if traffic.waits >= MAX_WAITING:
            raise DbifyError(Code.DATABASE_BUSY, "All of the project's connections are in use: try again.")
        if not traffic.waiting or len(traffic.waiting[-1]) >= MAX_BATCH:
            traffic.waiting.append({})
        answer: _Answer = asyncio.get_running_loop().create_future()
        traffic.waiting[-1].setdefault(key, []).append(answer)
        traffic.waits += 1
        return await answer

    def _ended(self, name: _Key, traffic: _Traffic) -> None:
        """A query of the lane is over: what waits goes next."""
        traffic.in_flight -= 1
        if traffic.waiting:
            batch = traffic.waiting.popleft()
            traffic.waits -= sum(map(len, batch.values()))
            traffic.in_flight += 1
            task = asyncio.get_running_loop().create_task(self._travel(name, traffic, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif not traffic.in_flight:
            del self._lanes[name]

    async def _travel(self, name: _Key, traffic: _Traffic, batch: dict[str, list[_Answer]]) -> None:
        try:
            found = await self._ask(name, batch)
        except DbifyError as error:
            _queries.labels(error.code.name).inc()
            _fail(batch, error if error.code in _FOR_ALL else None)
        else:
            for answers, result in zip(batch.values(), found, strict=True):
                for answer in answers:
                    if not answer.done():
                        answer.set_result(result)
        finally:
            # Whatever happened, nobody waits for ever.
            _fail(batch, None)
            self._ended(name, traffic)

    async def _ask(self, name: _Key, batch: dict[str, list[_Answer]]) -> list[Result | None]:
        connections, sql, _, others = name
        plan = Plan(sql, ([*batch], *others), write=False, table="", columns=())
        row, took_us = await self._fetch(connections, plan)
        texts: list[str | None] = row[0] if row is not None else []
        if len(texts) != len(batch):
            # Not unique after all: tables that inherit from this one have the key as well.
            self._set_apart(connections, sql)
            _queries.labels("not unique").inc()
            return [None] * len(batch)
        _queries.labels("ok").inc()
        _shared.inc(len(batch))
        most = connections.target.limits.max_bytes
        results = [_result(text, most, took_us) for text in texts]
        if None in results:
            self._set_apart(connections, sql)
        return results

    def _is_apart(self, connections: "Connections", lane: "Lane") -> bool:
        if not len(self._apart):
            return False
        until = self._apart.get((connections, lane.sql))
        if until is None or asyncio.get_running_loop().time() < until:
            return until is not None
        self._apart.pop((connections, lane.sql))
        return False

    def _set_apart(self, connections: "Connections", sql: str) -> None:
        self._apart.put((connections, sql), asyncio.get_running_loop().time() + APART_S)


def _result(text: str | None, most_bytes: int, took_us: int) -> Result | None:
    if text is None:
        return None
    data = b"[%b]" % text.encode()
    if len(data) > most_bytes:
        return None
    return Result(data, None, 1 if text else 0, took_us, coalesced=True)


def _fail(batch: dict[str, list[_Answer]], error: DbifyError | None) -> None:
    """Tell all who wait to ask by themselves, or what they would be told."""
    for answers in batch.values():
        for answer in answers:
            if answer.done():
                continue
            if error is None:
                answer.set_result(None)
            else:
                # Each its own: a traceback grows where it is raised.
                answer.set_exception(DbifyError(error.code, error.message, error.details))
