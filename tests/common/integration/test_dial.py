import asyncio
import base64
import datetime as dt
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from libs.common import dial as dialling
from libs.common.dial import SESSION, Connection, dial
from libs.common.dsn import Dsn, Tls, parse
from libs.common.errors import Code, DbifyError
from stack.embedded import Postgres, free_port
from tests.common.strange_servers import (
    AUTHENTICATED,
    READY,
    Behaviour,
    endless,
    failure,
    front,
    greeting,
    login,
    message,
    saying,
    serving,
    startup,
)
from tests.common.waiting import until

HERE = ("127.0.0.1",)
NOTICE = message(b"N", "SNOTICE", "C00000", "M" + "spam" * 200, end=b"\0")


async def code_of(dsn: Dsn, *, timeout_s: float = 5) -> Code:
    """What dialling fails with."""
    with pytest.raises(DbifyError) as raised:
        await dial(dsn, HERE, timeout_s=timeout_s)
    assert "word" not in raised.value.message.split()
    assert "127.0.0.1" not in raised.value.message
    return raised.value.code


async def test_a_session_looks_the_same_whatever_the_role_has_set(database: str, cluster: Postgres) -> None:
    role = f"r_{database[-12:]}"
    await cluster.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'word'",
        f"ALTER ROLE {role} SET timezone = 'Asia/Tokyo'",
        f"ALTER ROLE {role} SET intervalstyle = 'sql_standard'",
        f"ALTER ROLE {role} SET bytea_output = 'escape'",
        f"ALTER ROLE {role} SET standard_conforming_strings = 'off'",
    )
    dsn = parse(cluster.url(database.rsplit("/", 1)[1], user=role, password="word"))
    connection = await dial(dsn, HERE, settings={"statement_timeout": "1234"})
    try:
        wanted = {**SESSION, "statement_timeout": "1234ms"}
        shown = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in wanted}
        assert shown == wanted
        assert not connection.pooled
    finally:
        await connection.close()
        await cluster.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"password": "wrong"}, Code.DATABASE_REFUSED_LOGIN),
        ({"user": "nobody"}, Code.DATABASE_REFUSED_LOGIN),
        ({"database": "nothing"}, Code.DATABASE_REFUSED_LOGIN),
        ({"tls": "require"}, Code.DATABASE_UNAVAILABLE),
        ({"tls": "verify-full"}, Code.DATABASE_UNAVAILABLE),
    ],
)
async def test_a_refused_login_says_so(change: dict[str, str], code: Code, cluster: Postgres) -> None:
    dsn = parse(cluster.url())
    fields = {name: getattr(dsn, name) for name in ("host", "port", "user", "password", "database", "tls")}
    assert await code_of(Dsn(**{**fields, **change})) is code


async def test_a_port_where_nothing_listens_is_unavailable() -> None:
    assert await code_of(login(free_port())) is Code.DATABASE_UNAVAILABLE


async def test_an_address_that_does_not_answer_leaves_time_for_the_next(cluster: Postgres) -> None:
    dsn = parse(cluster.url())
    connection = await dial(dsn, ("127.0.0.2", "127.0.0.1"), timeout_s=5)
    await connection.close()


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.Event().wait()


async def hang_after_startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await startup(reader, writer)
    await asyncio.Event().wait()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte at a time, of a message that never ends."""
    await startup(reader, writer)
    writer.write(b"N" + struct.pack("!l", 100_000))
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("tls", ["disable", "prefer", "require", "verify-full"])
@pytest.mark.parametrize("behave", [hang, hang_after_startup, drip])
async def test_a_server_that_never_gets_there_is_given_up_in_time(behave: Behaviour, tls: Tls) -> None:
    async with serving(behave) as port:
        began = time.monotonic()
        assert await code_of(login(port, tls), timeout_s=0.3) is Code.DATABASE_UNAVAILABLE
        assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "behave",
    [
        saying(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
        saying(b"SSH-2.0-OpenSSH_9.6\r\n"),
        saying(b"-ERR unknown command\r\n"),
        saying(b"\x00" * 64),
        saying(b"\xff" * 64),
    ],
    ids=["http", "ssh", "redis", "zeros", "ones"],
)
@pytest.mark.parametrize("tls", ["disable", "prefer", "require"])
async def test_a_server_of_another_kind_is_told_apart(behave: Behaviour, tls: Tls) -> None:
    async with serving(behave) as port:
        assert await code_of(login(port, tls)) is Code.DATABASE_UNSUPPORTED


def sasl(rounds: str) -> bytes:
    """A challenge that asks for so many rounds of hashing."""
    return b"R" + struct.pack("!ll", 8 + len(rounds), 11) + rounds.encode()


_SASL = b"R" + struct.pack("!ll", 23, 10) + b"SCRAM-SHA-256\0\0"
_SALT = base64.b64encode(b"salt" * 4).decode()


@pytest.mark.parametrize(
    "behave",
    [
        endless(NOTICE),
        endless(message(b"S", "x" * 500, "y" * 500)),
        endless(b"\0" * 65536),
        endless(b"x" * 65536, first=b"N" + struct.pack("!l", 2**31 - 1)),
        endless((b"N" + struct.pack("!l", 5) + b"\0") * 1000),
        greeting(b"N" + struct.pack("!l", -1)),
        greeting(b"R" + struct.pack("!ll", 8, 7)),  # Kerberos, with a credential of this machine
        greeting(b"R" + struct.pack("!ll", 8, 9)),
        greeting(b"R" + struct.pack("!l", 4)),
        greeting(_SASL, sasl(f"r=x,s={_SALT},i=2147483647")),
        greeting(_SASL, sasl(f"r=x,s={_SALT},i={'9' * 4000}")),
        greeting(_SASL, sasl("r=x")),
        greeting(AUTHENTICATED, READY),
        greeting(AUTHENTICATED, message(b"S", "server_version", "none of your business"), READY),
        greeting(AUTHENTICATED, message(b"S", "client_encoding", "nonsense"), READY),
    ],
    ids=[
        "notices", "settings", "zeros", "a gigabyte", "empty notices", "negative", "kerberos", "sspi", "short",
        "rounds", "digits", "no rounds", "no version", "odd version", "odd encoding",
    ],
)  # fmt: skip
@pytest.mark.parametrize("tls", ["disable", "prefer"])
async def test_a_server_that_makes_no_sense_is_dropped_early(behave: Behaviour, tls: Tls) -> None:
    async with serving(behave) as port:
        before = psutil.Process().memory_info().rss
        began = time.monotonic()
        assert await code_of(login(port, tls)) is Code.DATABASE_UNSUPPORTED
        assert time.monotonic() - began < 2
        assert psutil.Process().memory_info().rss - before < 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("behave", "code"),
    [
        (greeting(failure("28P01")), Code.DATABASE_REFUSED_LOGIN),
        (greeting(failure("28000", 'no entry for host "10.0.0.1"')), Code.DATABASE_REFUSED_LOGIN),
        (greeting(failure("42501")), Code.DATABASE_REFUSED_LOGIN),
        (greeting(failure("08P01", "no such database")), Code.DATABASE_REFUSED_LOGIN),
        (greeting(failure("53300", "too many clients")), Code.DATABASE_UNAVAILABLE),
        (greeting(failure("57P03", "starting up")), Code.DATABASE_UNAVAILABLE),
        (greeting(failure("XX000", "word")), Code.DATABASE_UNAVAILABLE),
        (greeting(AUTHENTICATED, message(b"S", "server_version", "12.22"), READY), Code.DATABASE_UNSUPPORTED),
        (greeting(AUTHENTICATED, message(b"S", "server_version", "1.18.0/bouncer"), READY), Code.DATABASE_UNSUPPORTED),
    ],
)
@pytest.mark.parametrize("tls", ["disable", "prefer"])
async def test_what_the_server_says_is_told_in_our_words(behave: Behaviour, code: Code, tls: Tls) -> None:
    async with serving(behave) as port:
        assert await code_of(login(port, tls)) is code


async def test_a_flood_after_the_login_is_dropped_at_the_allowance(cluster: Postgres) -> None:
    connection = await dial(parse(cluster.url()), HERE)
    connection.allow(1024 * 1024)
    assert len(await connection.fetchval("SELECT repeat('x', 500000)")) == 500_000
    connection.allow(1024 * 1024)
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await connection.fetch("SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
    assert connection.is_closed()


def unsupported(body: bytes) -> bytes | None:
    """PgBouncer, which knows a few parameters and refuses the first of the rest."""
    known = {b"user", b"database", b"client_encoding", b"TimeZone", b"DateStyle", b"application_name"}
    names = set(body[4:].split(b"\0")[0:-2:2])
    return (
        failure("08P01", "unsupported startup parameter") if names - known - {b"standard_conforming_strings"} else None
    )


def no_parameters(body: bytes) -> bytes | None:
    """A pooler that takes none at all."""
    return failure("08P01", "unsupported startup parameter") if b"TimeZone" in body else None


@pytest.mark.parametrize(("refuse", "zone"), [(unsupported, "UTC"), (no_parameters, None)])
async def test_a_pooler_gets_only_the_parameters_it_takes(refuse: object, zone: str | None, cluster: Postgres) -> None:
    real = parse(cluster.url())
    async with serving(front(cluster.port, refuse=refuse)) as port:  # type: ignore[arg-type] # one of the two above
        dsn = Dsn("db.example", port, real.user, real.password, real.database)
        connection = await dial(dsn, HERE, settings={"statement_timeout": "1000"})
        assert connection.pooled
        assert await connection.fetchval("SHOW statement_timeout") == "0"
        if zone:
            assert await connection.fetchval("SHOW timezone") == zone
        await connection.close()


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A certificate for db.example with its key, which this machine trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db.example")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("db.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    dialling._context.cache_clear()
    yield path
    dialling._context.cache_clear()


async def encrypted(connection: Connection) -> bool:
    """Whether the statement in question travels encrypted, and can be cancelled so."""
    with pytest.raises(TimeoutError):
        await connection.execute("SELECT pg_sleep(60)", timeout=0.1)
    assert await connection.fetchval("SELECT 1") == 1
    return connection._protocol.is_ssl  # type: ignore[attr-defined,no-any-return] # unknown to the stubs


@pytest.mark.parametrize(
    ("tls", "host", "outcome"),
    [
        ("disable", "db.example", False),
        ("prefer", "db.example", True),
        ("prefer", "other.example", True),
        ("require", "other.example", True),
        ("verify-ca", "other.example", True),
        ("verify-full", "db.example", True),
        ("verify-full", "other.example", None),
    ],
)
async def test_the_certificate_is_checked_for_the_name_and_not_for_the_address(
    tls: Tls, host: str, outcome: object, certificate: Path, cluster: Postgres
) -> None:
    real = parse(cluster.url())
    async with serving(front(cluster.port, tls=certificate)) as port:
        dsn = Dsn(host, port, real.user, real.password, real.database, tls)
        if outcome is None:
            assert await code_of(dsn) is Code.DATABASE_UNAVAILABLE
            return
        connection = await dial(dsn, HERE)
        assert await encrypted(connection) is outcome
        connection.terminate()


@pytest.mark.parametrize(
    ("tls", "code"), [("verify-ca", Code.DATABASE_UNAVAILABLE), ("verify-full", Code.DATABASE_UNAVAILABLE)]
)
async def test_an_unknown_authority_is_refused_where_the_url_asks_for_a_check(
    tls: Tls, code: Code, certificate: Path, cluster: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    dialling._context.cache_clear()
    async with serving(front(cluster.port, tls=certificate)) as port:
        assert await code_of(login(port, tls)) is code


def connected(port: int) -> bool:
    """Whether this process, as a client, has a connection to the port."""
    connections = psutil.Process().net_connections("tcp")
    return any(c.raddr[1:] == (port,) and c.status == psutil.CONN_ESTABLISHED for c in connections)


async def test_a_dial_that_is_cancelled_leaves_nothing_open() -> None:
    async with serving(hang_after_startup) as port:
        task = asyncio.create_task(dial(login(port), HERE))
        await until(lambda: connected(port))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not connected(port))
