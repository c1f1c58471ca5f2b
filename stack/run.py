"""Runs the whole of Dbify on one machine until it is told to stop.

A part that dies is reported with its last lines and left as it is, so that one can see what the others do without it;
`python -m stack restart NAME` brings it back.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TextIO

import asyncpg

from stack import children, demo_project, migrate, orders
from stack.banner import banner
from stack.children import StartError
from stack.client import ClientError
from stack.embedded import Server
from stack.parts import Servers, missing, services
from stack.screen import Follower, Screen
from stack.settings import Memory, Settings, UsageError, is_free

_WATCH_S = 0.1
_ENDING_S = 15
_SERVERS = ("postgres", "nats", "valkey")


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the home folder: two runs would share one database.

    Raises:
        UsageError: If another run holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a+") as file:
        if not _take(file, home):
            file.seek(0)
            raise UsageError(
                f"Dbify runs already in {home} (process {file.read().strip()}): see `make status`,"
                " or set DBIFY_HOME and DBIFY_PORT for a second one"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _take(file: TextIO, home: Path) -> bool:
    """Lock the file; one whose holder is only just ending, and so has no demo.json, is waited for."""
    deadline = time.monotonic() + _ENDING_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if (home / "demo.json").exists() or time.monotonic() > deadline:
                return False
            time.sleep(_WATCH_S)
        else:
            return True


async def run(settings: Settings) -> None:
    """Start everything, print the banner, and end it all when SIGINT, SIGTERM or SIGHUP comes.

    Raises:
        UsageError: If the port is taken, or another run has the folder.
        StartError: If a server or a service does not come up.
        MigrationError: If the database cannot be brought up to date.
        ClientError: If the gateway refuses the demo.
    """
    # What is made from here on is for its owner alone: it holds keys, mails and logs.
    os.umask(0o077)
    with locked(settings.home):
        (settings.home / "demo.json").unlink(missing_ok=True)
        _clear_away(settings.home)
        if not is_free(settings.port):
            free = f"DBIFY_PORT={settings.port + 1} make run"
            raise UsageError(f"port {settings.port} is taken: set DBIFY_PORT to a free one, such as `{free}`")
        await Stack(settings).run()


def _clear_away(home: Path) -> None:
    """End what a run left behind that was killed: services first."""
    orders.clear(home)
    for pid_file in sorted((home / "run").glob("*.pid"), key=lambda file: file.stem in _SERVERS):
        if children.reclaim(pid_file):
            print(f"  ended {pid_file.stem}, left behind by an earlier run")


class Stack:
    """One run: the servers, the services, and what is done when one of them dies."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._memory = Memory.load(settings.home)
        self._servers = Servers(settings, self._memory)
        self._screen = Screen()
        self._stop = asyncio.Event()
        self._services: dict[str, Server] = {}
        self._down: set[str] = set()

    async def run(self) -> None:
        """Start, watch, and at the end stop everything, however it ended."""
        self._listen_to_signals()
        follower = asyncio.create_task(Follower(self._settings.home / "logs").run()) if self._settings.verbose else None
        try:
            if await self._unless_stopped(self._start()):
                await self._watch()
        finally:
            if follower:
                follower.cancel()
            (self._settings.home / "demo.json").unlink(missing_ok=True)
            await self._end()

    def _listen_to_signals(self) -> None:
        """The first signal ends everything in order, the second at once."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._told_to_stop)

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            for part in self._parts().values():
                part.kill()
        self._stop.set()

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> bool:
        """Do the work, or drop it when told to stop; whether it was done."""
        task, stop = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task.done():
            await task
            return not self._stop.is_set()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return False

    async def _start(self) -> None:
        settings, memory, servers = self._settings, self._memory, self._servers
        await _together(
            self._server("Postgres", "DBIFY_DATABASE_URL", servers.postgres),
            self._server("NATS", "DBIFY_NATS_URL", servers.nats),
            self._server("Valkey", "DBIFY_REDIS_URL", servers.valkey),
        )
        await _together(
            self._step("tables", _migrated(servers.database_url)),
            self._step("streams", migrate.streams(servers.nats_url("admin"))),
        )
        for name in missing():
            self._screen.say(f"  {name:<34} not there yet, left out")
        started = services(settings, memory, servers)
        self._services = {service.name: service for service in started}
        demo = asyncio.create_task(self._demo_database())
        try:
            await _together(*(self._step(service.name, service.start()) for service in started))
        finally:
            database_url = await demo
        if database_url and any(service.service == "gateway" for service in started):
            await self._step("demo project", demo_project.project(settings, memory, database_url))
            described = demo_project.describe(settings, memory, servers.nats_url("admin"))
            demo_project.write(settings, described)
            self._screen.say(f"  ready after {self._screen.elapsed_s():.1f} s")
            self._screen.say(banner(described))
        else:
            self._screen.say(f"  up after {self._screen.elapsed_s():.1f} s, without the demo: {settings.url}")

    async def _server(self, name: str, variable: str, start: Callable[[], Coroutine[None, None, None]]) -> None:
        """Start a server, unless the environment names one."""
        if self._settings.environ.get(variable):
            self._screen.say(f"  {name:<34} the one of {variable}")
        else:
            await self._step(name, start())

    async def _step(self, name: str, work: Coroutine[None, None, None]) -> None:
        async with self._screen.step(name):
            await work

    async def _demo_database(self) -> str:
        """The demo database's URL, empty where the given Postgres does not let us make one."""
        try:
            async with self._screen.step("demo database"):
                shared = "postgres" not in self._servers.running
                return await demo_project.database(self._memory, self._servers.admin_database_url, shared=shared)
        except (asyncpg.InsufficientPrivilegeError, OSError) as error:
            self._screen.say(f"  no demo database: {error}")
            return ""

    async def _watch(self) -> None:
        """Report parts that die and carry out orders until told to stop."""
        while not self._stop.is_set():
            for name, part in self._parts().items():
                if not part.running and name not in self._down:
                    self._down.add(name)
                    self._report(name, part)
            for name, verb, order in orders.pending(self._settings.home):
                await self._obey(name, verb, order)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _WATCH_S)

    def _report(self, name: str, part: Server) -> None:
        if part.child is None:
            return
        status = part.child.process.returncode
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        last = "\n".join(f"    {line}" for line in part.child.tail().splitlines())
        self._screen.say(
            f"\n  {name} ended {how}. Its last lines, from {part.child.log}:\n{last}\n"
            f"  The rest goes on. To bring it back: python -m stack restart {name}\n"
        )

    async def _obey(self, name: str, verb: orders.Verb, order: Path) -> None:
        part = self._parts().get(name)
        if part is None:
            orders.answer(order, f"there is no {name}: the parts are {', '.join(self._parts())}")
            return
        self._down.add(name)
        try:
            if verb == "kill":
                part.kill()
            elif verb == "stop":
                await part.stop()
            else:
                await part.restart()
                self._down.discard(name)
        except StartError as error:
            orders.answer(order, str(error))
        else:
            self._screen.say(f"  {name}: {verb}")
            orders.answer(order)

    def _parts(self) -> dict[str, Server]:
        return {**self._servers.running, **self._services}

    async def _end(self) -> None:
        """Services first, so that what they hold still reaches the servers."""
        self._screen.say("  stopping")
        await asyncio.gather(*(service.stop() for service in self._services.values()))
        await asyncio.gather(*(server.stop() for server in self._servers.running.values()))
        # A start that was broken off may have left one that nobody was handed.
        _clear_away(self._settings.home)
        self._screen.say("  stopped")


async def _migrated(url: str) -> None:
    await migrate.database(url)


async def _together(*steps: Coroutine[None, None, None]) -> None:
    """Run steps side by side; the first to fail cancels the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except* (StartError, migrate.MigrationError, ClientError, OSError) as failures:
        raise failures.exceptions[0] from None
