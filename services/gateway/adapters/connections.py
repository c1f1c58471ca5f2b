"""The connections that this process holds to one database.

They are kept open with their prepared statements and handed on without a reset, which would cost more than most
queries: a statement runs on its own (autocommit), so nothing of it stays behind. A connection whose state is not known,
because the caller left or time ran out in the middle of a statement, is settled in the background before anybody else
gets it. Last in, first out, so that those a quiet project no longer needs grow old and are closed.
"""

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import asyncpg
from prometheus_client import Counter, Gauge

from libs.common.dial import Connection, dial
from libs.common.errors import Code, DbifyError
from libs.common.sqlstates import translate
from libs.common.telemetry import log
from services.gateway.adapters.held import Held

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from libs.common.ids import ProjectId
    from services.gateway.adapters.leases import Leases
    from services.gateway.handlers.targets import Target

DIAL_TIMEOUT_S: Final = 8.0
# Longer than a dial, so that its error reaches whoever waits for it.
WAIT_TIMEOUT_S: Final = 9.0
MAX_WAITING: Final = 500
# How long a request waits while a database that could not be reached is tried again: it may still be gone.
PROBE_TIMEOUT_S: Final = 1.0
# How long a database that could not be reached is not tried again; doubled each time.
FIRST_BACKOFF_S: Final = 1.0
LAST_BACKOFF_S: Final = 10.0
# After the budget was found used up.
LEASE_PAUSE_S: Final = 0.5
# For goodbyes.
FINISH_TIMEOUT_S: Final = 2.0
# What a connection has to come back to a known state after a cancelled statement.
SETTLE_TIMEOUT_S: Final = 3.0

_open = Gauge("dbify_gateway_database_connections", "Connections open to users' databases.")
_dials = Counter("dbify_gateway_database_dials_total", "Connections tried, by outcome.", ["outcome"])
_settled = Counter(
    "dbify_gateway_database_settled_total", "Connections left in the middle of a statement.", ["outcome"]
)

_logger = logging.getLogger(__name__)


class Connections:
    """The connections to one project's database, opened when needed, up to the project's budget."""

    def __init__(self, project: "ProjectId", target: "Target", leases: "Leases") -> None:
        self.target = target
        self.pooled = target.dsn.pooled
        self._project = project
        self._leases = leases
        self._loop = asyncio.get_running_loop()
        self._idle: list[Held] = []
        self._waiting: deque[asyncio.Future[Held]] = deque()
        self._live = 0
        self._opening = 0
        self._closed = False
        self._failure: DbifyError | None = None
        self._retry_at = 0.0
        self._backoff_s = FIRST_BACKOFF_S
        self._ask_again_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def unused(self) -> bool:
        """Whether nothing would be lost by forgetting all of this."""
        return not (self._live or self._opening or self._waiting or self._tasks or self._loop.time() < self._retry_at)

    def take(self) -> Held | None:
        """A connection that is idle, or None."""
        while self._idle:
            held = self._idle.pop()
            if not held.connection.is_closed():
                return held
            self.drop(held)
        return None

    async def wait(self) -> Held:
        """A connection that comes free or is opened.

        Raises:
            DbifyError: DATABASE_BUSY if there is none in time, or what opening one failed with.
        """
        if self._closed or (not self._live and not self._opening and self._loop.time() < self._retry_at):
            raise self._unavailable()
        if len(self._waiting) >= MAX_WAITING:
            raise _busy()
        future: asyncio.Future[Held] = self._loop.create_future()
        self._waiting.append(future)
        self._grow()
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S if self._failure and not self._live else WAIT_TIMEOUT_S):
                return await future
        except TimeoutError:
            self._leave(future)
            raise (_busy() if self._live else self._unavailable()) from None
        except asyncio.CancelledError:
            self._leave(future)
            raise

    def release(self, held: Held) -> None:
        """The connection did its work and is in a known state: it goes to whoever waits longest."""
        connection = held.connection
        if self._closed or connection.is_closed() or connection.is_in_transaction():
            self.drop(held)
            return
        future = self._next()
        if future is None:
            held.idle_since = self._loop.time()
            self._idle.append(held)
        else:
            future.set_result(held)

    def drop(self, held: Held) -> None:
        """The connection is broken, or may be: close it at once."""
        if self._remove(held):
            held.connection.terminate()
            self._start(self._leases.give(self._project, held.slot))
            self._grow()

    def settle(self, held: Held) -> None:
        """A statement was left in the middle: bring the connection to a known state, or drop it."""
        self._start(self._settle(held))

    def close_idle(self, idle_s: float) -> None:
        """Close what nobody has used for so long."""
        oldest = self._loop.time() - idle_s
        while self._idle and self._idle[0].idle_since < oldest:
            self._retire(self._idle[0])

    def close(self) -> None:
        """Close what is idle now, and the rest as it comes back."""
        self._closed = True
        for held in [*self._idle]:
            self._retire(held)
        self._fail(self._unavailable())

    async def finish(self) -> None:
        """Wait until nothing runs in the background, but not for a database that does not answer; after `close`."""
        try:
            async with asyncio.timeout(FINISH_TIMEOUT_S):
                # What ends may leave something to do behind, such as a lease to be given back.
                while self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            late = [*self._tasks]
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _remove(self, held: Held) -> bool:
        """Count a connection no longer; False if that is done."""
        if held.dropped:
            return False
        held.dropped = True
        held.forget()
        if held in self._idle:
            self._idle.remove(held)
        self._live -= 1
        _open.dec()
        return True

    def _retire(self, held: Held) -> None:
        if self._remove(held):
            self._start(self._hang_up(held))

    async def _hang_up(self, held: Held) -> None:
        """Close with a word to the server, which otherwise logs a fault."""
        try:
            await held.connection.close(timeout=FINISH_TIMEOUT_S)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError):
            held.connection.terminate()
        await self._leases.give(self._project, held.slot)

    def _start(self, work: "Coroutine[None, None, None]") -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next(self) -> "asyncio.Future[Held] | None":
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                return future
        return None

    def _leave(self, future: "asyncio.Future[Held]") -> None:
        """A caller no longer waits; a connection that had just become its own goes to the next."""
        if future in self._waiting:
            self._waiting.remove(future)
        elif future.done() and not future.cancelled() and future.exception() is None:
            self.release(future.result())

    def _grow(self) -> None:
        """Open another connection for somebody who waits, where that is possible."""
        if self._closed or self._opening >= len(self._waiting):
            return
        if self._loop.time() < self._retry_at:
            if not self._live and not self._opening:
                self._fail(self._unavailable())
        elif self._live + self._opening < self.target.connections and self._may_ask():
            self._opening += 1
            self._start(self._open())

    def _may_ask(self) -> bool:
        """Whether to ask for a lease: not each time that somebody waits while the fleet's budget is used up."""
        return not self._live or self._loop.time() >= self._ask_again_at

    async def _open(self) -> None:
        slot = None
        try:
            slot = await self._leases.take(self._project, self.target.connections)
            held = Held(await self._dial(), slot) if slot else None
        except DbifyError as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            log(_logger, "a dial failed", level=logging.ERROR, project=self._project, error=repr(error))
            self._failed(translate(error))
        else:
            self._opened(held)
            return
        if slot:
            await self._leases.give(self._project, slot)

    async def _dial(self) -> Connection:
        timeout = str(self.target.timeout_ms)
        return await dial(
            self.target.dsn,
            self.target.addresses,
            timeout_s=DIAL_TIMEOUT_S,
            settings={
                "application_name": "dbify",
                "statement_timeout": timeout,
                "idle_in_transaction_session_timeout": timeout,
            },
            command_timeout_s=SETTLE_TIMEOUT_S,
        )

    def _opened(self, held: Held | None) -> None:
        self._opening -= 1
        if held is None:
            # The rest of the fleet has the budget; this process has one at least, unless it has too many in all.
            self._ask_again_at = self._loop.time() + LEASE_PAUSE_S
            if not self._live and not self._opening:
                self._fail(_busy())
            return
        _dials.labels("ok").inc()
        _open.inc()
        self._live += 1
        self._failure, self._retry_at, self._backoff_s = None, 0.0, FIRST_BACKOFF_S
        self.pooled = self.pooled or held.connection.pooled
        held.connection.add_termination_listener(lambda _: self.drop(held))
        self.release(held)
        self._grow()

    def _failed(self, error: DbifyError) -> None:
        self._opening -= 1
        _dials.labels(error.code.name).inc()
        now = self._loop.time()
        if now >= self._retry_at:
            self._retry_at = now + self._backoff_s
            self._backoff_s = min(2 * self._backoff_s, LAST_BACKOFF_S)
        self._failure = error
        if not self._live and not self._opening:
            self._fail(error)

    def _fail(self, error: DbifyError) -> None:
        while (future := self._next()) is not None:
            # An exception of its own for each: a traceback grows where it is raised.
            future.set_exception(DbifyError(error.code, error.message, error.details))

    def _unavailable(self) -> DbifyError:
        error = self._failure
        if error is None:
            return DbifyError(Code.DATABASE_UNAVAILABLE, "The database cannot be reached at the moment: try again.")
        return DbifyError(error.code, error.message, error.details)

    async def _settle(self, held: Held) -> None:
        try:
            async with asyncio.timeout(SETTLE_TIMEOUT_S):
                # The driver first waits until the server has acknowledged that the statement was cancelled.
                await held.connection.execute("ROLLBACK")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError):
            _settled.labels("dropped").inc()
            self.drop(held)
        else:
            _settled.labels("kept").inc()
            self.release(held)


def _busy() -> DbifyError:
    return DbifyError(Code.DATABASE_BUSY, "All of the project's connections are in use: try again.")
