"""ClickHouse, embedded or a server: threads that hold a connection each, and what its errors mean."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from libs.common.errors import Code, DbifyError
from libs.common.telemetry import log

T = TypeVar("T")

READ_LIMIT_S = 10
# Below the consumer's ack_wait: a message is not handed out again while its insert may still succeed.
WRITE_LIMIT_S = 20
# The embedded engine's first start, on a slow machine.
_PREPARE_LIMIT_S = 60
# How much longer than the server one waits for its answer.
_GRACE_S = 5
_CONNECT_LIMIT_S = 5
# Calls that wait for a thread; more are refused at once, so that a slow store does not fill the memory.
_MAX_WAITING = 64
_DATABASE = "dbify"
_TIMEOUT_EXCEEDED = 159
_MAX_REASON = 500

_logger = logging.getLogger(__name__)


class Lane:
    """A thread with a connection of its own, which makes it when first used and again after it failed to."""

    def __init__(self, name: str, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client: Client | None = None
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"clickhouse-{name}")

    async def run(self, call: Callable[[Client], T], limit_s: float) -> T:
        """Call a function with the connection, in the lane's thread, after the calls before it.

        Raises:
            DbifyError: SERVICE_UNAVAILABLE or SERVICE_TIMEOUT; what a write did is then not known.
        """
        if self._waiting >= _MAX_WAITING:
            raise DbifyError(Code.SERVICE_UNAVAILABLE, "The log store is busy: try again.")
        future = asyncio.get_running_loop().run_in_executor(self._thread, self._call, call)
        self._waiting += 1
        future.add_done_callback(self._done)
        try:
            # A thread cannot be interrupted: the call goes on, only nobody waits for it any more.
            return await asyncio.wait_for(asyncio.shield(future), limit_s + _GRACE_S)
        except TimeoutError as error:
            raise DbifyError(Code.SERVICE_TIMEOUT, "The log store did not answer in time.") from error

    def close(self) -> None:
        """Wait for the call under way and close the connection; the calls behind it are dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _done(self, future: "asyncio.Future[T]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            # Marks it as seen, where nobody waits any more.
            future.exception()

    def _call(self, call: Callable[[Client], T]) -> T:
        try:
            if self._client is None:
                self._client = self._connect()
            return call(self._client)
        except (ClickHouseError, OSError) as error:
            # Its own words stay here: they hold statements and addresses.
            log(_logger, "the log store failed", level=logging.WARNING, reason=str(error)[:_MAX_REASON])
            raise _translated(error) from error


class ClickHouse:
    """A store whose tables are ready before anything is asked of it.

    Reads and writes have a lane each: a long report does not hold up inserts.
    """

    def __init__(self, url: str, prepare: Callable[[Client], None]) -> None:
        self._prepare = prepare
        self._prepared = asyncio.Event()
        self._preparing = asyncio.Lock()
        self._writes = Lane("writes", lambda: _connect(url))
        self._reads = Lane("reads", lambda: _connect(url))

    async def write(self, call: Callable[[Client], T]) -> T:
        """Call a function that changes something; see `Lane.run`."""
        await self.ready()
        return await self._writes.run(call, WRITE_LIMIT_S)

    async def read(self, call: Callable[[Client], T]) -> T:
        """Call a function that only reads; see `Lane.run`."""
        await self.ready()
        return await self._reads.run(call, READ_LIMIT_S)

    async def ready(self) -> None:
        """Bring the tables up to date, once; a failure is tried again by the next caller.

        Raises:
            DbifyError: SERVICE_UNAVAILABLE or SERVICE_TIMEOUT.
        """
        if self._prepared.is_set():
            return
        async with self._preparing:
            if not self._prepared.is_set():
                await self._writes.run(self._prepare, _PREPARE_LIMIT_S)
                self._prepared.set()

    async def check(self) -> None:
        """Raise DbifyError where the store does not answer."""
        await self.read(lambda client: client.command("SELECT 1"))

    def close(self) -> None:
        """Close both connections."""
        self._reads.close()
        self._writes.close()


@asynccontextmanager
async def open_store(url: str, prepare: Callable[[Client], None]) -> AsyncIterator[ClickHouse]:
    """The store at a URL; it need not be reachable yet.

    Args:
        url: `chdb:///folder` (`?database=name`, if not dbify), or `http(s)://user:password@host:port/database`.
        prepare: Brings the tables up to date.
    """
    store = ClickHouse(url, prepare)
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)


def _translated(error: Exception) -> DbifyError:
    """What is told to those who asked."""
    if isinstance(error, Error) and error.code == _TIMEOUT_EXCEEDED:
        return DbifyError(Code.SERVICE_TIMEOUT, "The log store needed too long: ask for a shorter time span.")
    return DbifyError(Code.SERVICE_UNAVAILABLE, "The log store cannot be reached at the moment.")


def _connect(url: str) -> Client:
    parts = urlsplit(url)
    if parts.scheme == "chdb":
        client = _embedded(Path(unquote(parts.path)))
        database = dict(parse_qsl(parts.query)).get("database", _DATABASE)
    else:
        database = parts.path.strip("/") or _DATABASE
        # The database is chosen below, as it may have to be made first. Sessions would forbid concurrent statements.
        client = clickhouse_connect.get_client(
            interface=parts.scheme,
            dsn=parts._replace(path="").geturl(),
            connect_timeout=_CONNECT_LIMIT_S,
            send_receive_timeout=WRITE_LIMIT_S + _GRACE_S,
            query_retries=0,
            autogenerate_session_id=False,
            dedicated_pool=True,
        )
    try:
        _use(client, database)
    except BaseException:
        client.close()
        raise
    return client


def _embedded(home: Path) -> Client:
    """The embedded engine, chdb, over a folder. A process has one engine; each client is a connection to it.

    clickhouse-connect hands an insert to chdb in a temporary file. They stand beside the engine's folder, so that what
    a killed process leaves is found and removed.
    """
    inserts = home / "inserts"
    if tempfile.tempdir != str(inserts):
        inserts.mkdir(parents=True, exist_ok=True)
        for left_over in inserts.glob("*.native"):
            left_over.unlink()
        tempfile.tempdir = str(inserts)
    return clickhouse_connect.get_client(interface="chdb", path=str(home / "engine"))


def _use(client: Client, database: str) -> None:
    parameters = {"database": database}
    if not int(str(client.command("EXISTS DATABASE {database:Identifier}", parameters))):
        client.command("CREATE DATABASE IF NOT EXISTS {database:Identifier}", parameters)
    client.database = database
