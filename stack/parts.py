"""The parts of a local stack: which servers and services there are, and what each service is told."""

import asyncio
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import psutil

from libs.common.access import SERVICES
from stack import children
from stack.children import Child
from stack.embedded import HOST, Nats, Postgres, Server, Valkey
from stack.nats_config import USERS, Passwords
from stack.settings import Memory, Settings

ROOT = Path(__file__).resolve().parent.parent
PLATFORM = "dbify"
_PRIVATE = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
# What a service is told beside its own tuning; a secret reaches only those who need it.
TOLD: dict[str, tuple[str, ...]] = {
    "gateway": (
        "DATABASE_URL", "NATS_URL", "REDIS_URL", "MASTER_KEY", "SIGNING_KEY", "ALLOW_NETWORKS", "SPOOL_DIR", "HOST",
        "PORT", "PUBLIC_URL",
    ),
    "introspector": ("DATABASE_URL", "NATS_URL", "MASTER_KEY", "ALLOW_NETWORKS", "HEALTH_PORT"),
    "logger": ("NATS_URL", "CLICKHOUSE_URL", "HEALTH_PORT"),
    "notifier": ("DATABASE_URL", "NATS_URL", "MAIL_URL", "MAIL_FROM", "HEALTH_PORT", "PUBLIC_URL"),
    "search": ("DATABASE_URL", "NATS_URL", "HEALTH_PORT"),
}  # fmt: skip
_KNOWN = {f"DBIFY_{name}" for names in TOLD.values() for name in names}
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Service(Server):
    """One of our own processes: `python -m services.NAME`."""

    def __init__(self, home: Path, name: str, service: str, environ: Mapping[str, str], port: int) -> None:
        super().__init__(home, name, port)
        self.service = service
        self._environ = environ

    async def start(self) -> None:
        """Start it and wait until `/readyz` says yes."""
        await self._start()

    def _spawn(self) -> Child:
        command = [sys.executable, "-m", f"services.{self.service}"]
        return children.spawn(self.home, self.name, command, environ=self._environ, cwd=ROOT)

    async def _answers(self) -> bool:
        return self._listens() and await asyncio.to_thread(is_ready, self.port)

    def _listens(self) -> bool:
        """Whether this very process listens: several gateways share a port, and any of them may answer."""
        if self.child is None:
            return False
        try:
            sockets = psutil.Process(self.child.process.pid).net_connections("tcp")
        except psutil.Error:
            return False
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == self.port for one in sockets)


def is_ready(port: int) -> bool:
    """Whether `/readyz` on this port answers 200."""
    try:
        with _opener.open(f"http://{HOST}:{port}/readyz", timeout=3) as response:
            return bool(response.status == 200)  # noqa: PLR2004
    except (OSError, ValueError):
        return False


class Servers:
    """The embedded servers, and the URLs of those that are used, embedded or not."""

    def __init__(self, settings: Settings, memory: Memory) -> None:
        self._settings = settings
        self._memory = memory
        self.running: dict[str, Server] = {}

    def given(self, variable: str) -> str:
        """A server's URL where the environment names one."""
        return self._settings.environ.get(variable, "")

    async def postgres(self) -> None:
        """Start Postgres, and make the platform's database in it."""
        memory = self._memory
        server = await Postgres.start(
            self._settings.home, port=memory.port("postgres"), password=memory.get("postgresPassword")
        )
        self.running["postgres"] = server
        if not await server.has_database(PLATFORM):
            await server.execute(
                f"DROP ROLE IF EXISTS {PLATFORM}",
                f"CREATE ROLE {PLATFORM} LOGIN PASSWORD '{memory.get('platformPassword')}'",
                f"CREATE DATABASE {PLATFORM} OWNER {PLATFORM}",
            )

    async def nats(self) -> None:
        """Start NATS."""
        passwords = Passwords({user: self._memory.get(f"nats.{user}") for user in USERS})
        self.running["nats"] = await Nats.start(
            self._settings.home, port=self._memory.port("nats"), passwords=passwords
        )

    async def valkey(self) -> None:
        """Start Valkey."""
        self.running["valkey"] = await Valkey.start(
            self._settings.home, port=self._memory.port("valkey"), password=self._memory.get("valkeyPassword")
        )

    @property
    def database_url(self) -> str:
        """The platform's database."""
        server = self.running.get("postgres")
        if isinstance(server, Postgres):
            return server.url(PLATFORM, PLATFORM, self._memory.get("platformPassword"))
        return self.given("DBIFY_DATABASE_URL")

    @property
    def admin_database_url(self) -> str:
        """A database whose user may make roles and databases, as far as we know."""
        server = self.running.get("postgres")
        return server.url() if isinstance(server, Postgres) else self.given("DBIFY_DATABASE_URL")

    def nats_url(self, user: str) -> str:
        """NATS as a user. A server of the environment's has one URL for all."""
        server = self.running.get("nats")
        return server.url(user) if isinstance(server, Nats) else self.given("DBIFY_NATS_URL")

    @property
    def redis_url(self) -> str:
        """Valkey, or the environment's Redis."""
        server = self.running.get("valkey")
        return server.url() if isinstance(server, Valkey) else self.given("DBIFY_REDIS_URL")


def services(settings: Settings, memory: Memory, servers: Servers) -> list[Service]:
    """Every process of ours that there is code for."""
    found = []
    for service in SERVICES:
        if service in missing():
            continue
        count = settings.gateways if service == "gateway" else 1
        for number in range(1, count + 1):
            name = service if count == 1 else f"{service}-{number}"
            port = settings.port if service == "gateway" else memory.port(service)
            environ = _environ(settings, memory, servers, service, port)
            found.append(Service(settings.home, name, service, environ, port))
    return found


def missing() -> list[str]:
    """The services that there is no code for yet."""
    return [service for service in SERVICES if not (ROOT / "services" / service / "main.py").exists()]


def _environ(settings: Settings, memory: Memory, servers: Servers, service: str, port: int) -> dict[str, str]:
    home = settings.home
    defaults = {
        "DATABASE_URL": servers.database_url,
        "NATS_URL": servers.nats_url(service),
        "REDIS_URL": servers.redis_url,
        "CLICKHOUSE_URL": f"chdb://{home / 'clickhouse'}",
        "MAIL_URL": f"file://{home / 'mail'}",
        "MAIL_FROM": "Dbify <dbify@dbify.localhost>",
        "MASTER_KEY": memory.get("masterKey"),
        "SIGNING_KEY": memory.get("signingKey"),
        "ALLOW_NETWORKS": _PRIVATE,
        "PUBLIC_URL": settings.url,
        "HOST": HOST,
    }
    own = {"PORT": str(port), "HEALTH_PORT": str(port), "SPOOL_DIR": str(home / "spool")}
    told = {f"DBIFY_{key}": value for key, value in defaults.items()}
    told |= {key: settings.environ[key] for key in told if key in settings.environ}
    told |= {f"DBIFY_{key}": value for key, value in own.items()}
    wanted = {f"DBIFY_{key}" for key in TOLD[service]}
    rest = {key: value for key, value in settings.environ.items() if key not in _KNOWN}
    return rest | {key: value for key, value in told.items() if key in wanted} | {"PYTHONUNBUFFERED": "1"}
