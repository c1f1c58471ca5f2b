"""What a hostile URL leads to, from its text to the network, on a machine baited with credentials of its own."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from libs.common import dsn
from libs.common.addresses import Guard
from libs.common.dial import dial
from libs.common.errors import Code, DbifyError
from tests.common.hostile_dsns import HOSTILE_URLS, INSIDE

BAIT = "bait-of-this-machine"


class Seen:
    """Connections made and files opened, by anything in this process, while it listens."""

    def __init__(self) -> None:
        self.listening = False
        self.events: list[tuple[str, str]] = []
        sys.addaudithook(self._hear)  # for good: a hook cannot be taken away

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.listening:
            return
        if event == "socket.connect":
            self.events.append((event, str(arguments[1])))
        elif event == "open" and BAIT in str(arguments[0]):
            self.events.append((event, str(arguments[0])))


_seen = Seen()


@pytest.fixture
def seen() -> Iterator[Seen]:
    _seen.events.clear()
    _seen.listening = True
    yield _seen
    _seen.listening = False


@pytest.fixture
async def listener() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port of this machine, and what anybody sends to it."""
    received: list[bytes] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(64 * 1024))
        writer.close()

    server = await asyncio.start_server(record, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], received
    server.close()
    await server.wait_closed()


@pytest.fixture
def bait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: tuple[int, list[bytes]]) -> Path:
    """Credentials everywhere that libpq and drivers look for them, leading to the listener."""
    home = tmp_path / BAIT
    (home / ".postgresql").mkdir(parents=True)
    for name in ("root.crt", "root.crl", "postgresql.crt", "postgresql.key"):
        (home / ".postgresql" / name).write_text(BAIT)
    (home / ".pgpass").write_text(f"*:*:*:*:{BAIT}\n")
    (home / ".pgpass").chmod(0o600)
    (home / ".pg_service.conf").write_text(f"[bait]\nhost=127.0.0.1\nport={listener[0]}\npassword={BAIT}\n")
    for name, value in {
        "HOME": str(home),
        "PGHOST": "127.0.0.1",
        "PGHOSTADDR": "127.0.0.1",
        "PGPORT": str(listener[0]),
        "PGUSER": BAIT,
        "PGPASSWORD": BAIT,
        "PGDATABASE": BAIT,
        "PGPASSFILE": str(home / ".pgpass"),
        "PGSERVICE": "bait",
        "PGSERVICEFILE": str(home / ".pg_service.conf"),
        "PGSSLMODE": "disable",
        "PGSSLCERT": str(home / ".postgresql" / "postgresql.crt"),
        "PGSSLKEY": str(home / ".postgresql" / "postgresql.key"),
        "PGSSLROOTCERT": str(home / ".postgresql" / "root.crt"),
        "PGSSLCRL": str(home / ".postgresql" / "root.crl"),
        "PGSSLNEGOTIATION": "direct",
        "PGSSLMINPROTOCOLVERSION": "TLSv1",
        "PGTARGETSESSIONATTRS": "standby",
        "PGKRBSRVNAME": BAIT,
        "PGGSSLIB": BAIT,
        "PGOPTIONS": f"-c application_name={BAIT}",
        "PGAPPNAME": BAIT,
    }.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's DNS, which answers with addresses inside."""
    real = socket.getaddrinfo

    def answer(host: str, port: int, *arguments: Any, **options: Any) -> Any:
        if host in INSIDE:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in INSIDE[host]]
        return real(host, port, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


async def use(url: str, guard: Guard) -> None:
    """What registering a database does first."""
    database = dsn.parse(url)
    addresses = await guard.resolve(database.host, database.port)
    connection = await dial(database, addresses, timeout_s=2)
    await connection.close()


def test_there_are_more_than_two_hundred_and_none_twice() -> None:
    assert len(HOSTILE_URLS) == len(set(HOSTILE_URLS)) > 200


@pytest.mark.parametrize("url", HOSTILE_URLS, ids=lambda url: ascii(url)[1:60])
@pytest.mark.usefixtures("bait", "names")
async def test_a_hostile_url_connects_to_nothing(url: str, seen: Seen, listener: tuple[int, list[bytes]]) -> None:
    with pytest.raises(DbifyError) as raised:
        await use(url, Guard())
    assert raised.value.code in {Code.INVALID_DATABASE_URL, Code.ADDRESS_FORBIDDEN}
    assert seen.events == []
    assert listener[1] == []


@pytest.mark.usefixtures("bait")
@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require", "verify-full"])
async def test_a_login_uses_the_url_alone(sslmode: str, seen: Seen, listener: tuple[int, list[bytes]]) -> None:
    with pytest.raises(DbifyError):
        await use(f"postgresql://own:secret@127.0.0.1:{listener[0]}/app?sslmode={sslmode}", Guard.parse("127.0.0.1"))
    assert {event for event in seen.events if event[0] == "open"} == set()
    assert {address for event, address in seen.events if event == "socket.connect"} == {str(("127.0.0.1", listener[0]))}
    assert listener[1]
    assert all(BAIT.encode() not in data for data in listener[1])
    if sslmode == "disable":
        assert b"\0user\0own\0database\0app\0" in listener[1][0]


async def test_a_driver_left_to_itself_would_take_the_bait(
    bait: Path, seen: Seen, listener: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGGSSLIB", "PGSSLNEGOTIATION", "PGPASSWORD"):
        monkeypatch.delenv(name)
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await asyncpg.connect(timeout=5)
    assert BAIT.encode() in listener[1][0]
    assert ("open", str(bait / ".pgpass")) in seen.events
