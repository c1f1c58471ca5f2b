"""Connections to users' databases: to a checked address, with everything bounded, whatever the server does.

Every field is handed to the driver, since it would read what is missing from the environment, .pgpass and
~/.postgresql. The driver runs on a loop of our own (`Dialler`), which gives it the right name for TLS though it dials
an address, and puts a meter on what the server sends: a server of a stranger's choosing may send without end, declare
messages of a gigabyte, or ask for a billion rounds of hashing.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, NoReturn, cast

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from libs.common.dsn import Dsn, Tls
from libs.common.errors import Code, DbifyError
from libs.common.metering import Dialler, Meter

DIAL_TIMEOUT_S = 10.0
OLDEST_MAJOR = 13
# What may arrive between two calls of `Connection.allow`.
DEFAULT_BYTES = 256 * 1024 * 1024

# Makes rows look the same whatever the server, the database or the role has set; all but the last two are PostgreSQL's
# own defaults. `jit` costs a small query hundreds of milliseconds where the planner misjudges it.
SESSION: Mapping[str, str] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "client_min_messages": "error",
    "jit": "off",
}
# The ones that every version of PgBouncer takes, and keeps with the client.
_POOLER_TAKES = frozenset({"TimeZone", "DateStyle", "application_name", "standard_conforming_strings"})
# protocol_violation is PgBouncer's "unsupported startup parameter"; the others are servers that lack a setting.
_SETTING_REFUSED = frozenset({"08P01", "42704", "22023"})
_LOGIN_REFUSED = ("28", "3D", "42501")
# `dial` bounds the whole itself.
_NO_TIMEOUT = 24 * 3600.0
_SSL_REQUEST_REFUSED = b"N"


# Generic in the stubs alone.
if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection


class Connection(_Connection):
    """A connection to a user's database.

    Attributes:
        pooled: A pooler stands between: only a transaction keeps to one session, and no setting is kept beyond it.
    """

    __slots__ = ("_meter", "pooled")
    _meter: Meter
    pooled: bool

    def metered(self, meter: Meter, *, pooled: bool) -> None:
        """Take over the meter that counted the login."""
        self._meter = meter
        self.pooled = pooled

    def allow(self, size_bytes: int) -> None:
        """Let this much arrive from now on; the connection is dropped at the first byte more."""
        self._meter.allow(size_bytes)


async def dial(
    dsn: Dsn,
    addresses: Sequence[str],
    *,
    timeout_s: float = DIAL_TIMEOUT_S,
    settings: Mapping[str, str] | None = None,
    command_timeout_s: float | None = 60,
) -> Connection:
    """Connect to the first of the addresses that answers, and log in.

    Args:
        dsn: Who logs in where; its host is the name for TLS and is not resolved.
        addresses: Addresses that a `Guard` has checked.
        timeout_s: Bounds all of it, over all addresses and attempts.
        settings: Server settings on top of `SESSION`; left out where a pooler refuses them (see `Connection.pooled`).
        command_timeout_s: The driver's default bound for a statement on this connection.

    Raises:
        DbifyError: DATABASE_UNAVAILABLE, DATABASE_REFUSED_LOGIN or DATABASE_UNSUPPORTED.
    """
    wanted = {**SESSION, **(settings or {})}
    attempt = _Attempt(dsn, command_timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            connection = await attempt.first(addresses, timeout_s, wanted)
    except TimeoutError:
        raise DbifyError(
            Code.DATABASE_UNAVAILABLE,
            f"The database did not answer within {timeout_s:g} s: check the host and port, and its firewall.",
        ) from None
    if connection.get_server_version().major < OLDEST_MAJOR:
        connection.terminate()
        raise DbifyError(Code.DATABASE_UNSUPPORTED, f"The server is older than PostgreSQL {OLDEST_MAJOR}.")
    return connection


class _PlainTextError(Exception):
    """TLS did not come about, and the DSN permits doing without."""


class _SettingsError(Exception):
    """The server or a pooler refused a startup parameter."""


class _Attempt:
    """One dial: the ways to reach the server, tried in order."""

    def __init__(self, dsn: Dsn, command_timeout_s: float | None) -> None:
        self._dsn = dsn
        self._command_timeout_s = command_timeout_s

    async def first(self, addresses: Sequence[str], timeout_s: float, settings: Mapping[str, str]) -> Connection:
        """The first address that takes a TCP connection decides; one that is silent leaves time for the others."""
        failure: DbifyError | None = None
        for position, address in enumerate(addresses):
            try:
                async with asyncio.timeout(timeout_s / (len(addresses) - position + 1) if len(addresses) > 1 else None):
                    return await self._with_fewer_settings(address, settings)
            except (OSError, TimeoutError) as error:
                failure = _unreachable(error)
        raise failure or DbifyError(Code.DATABASE_UNAVAILABLE, "The database's host has no address.")

    async def _with_fewer_settings(self, address: str, settings: Mapping[str, str]) -> Connection:
        pooler_takes = {name: value for name, value in settings.items() if name in _POOLER_TAKES}
        if not self._dsn.pooled:
            try:
                return await self._with_or_without_tls(address, settings, pooled=False)
            except _SettingsError:
                pass
        try:
            return await self._with_or_without_tls(address, pooler_takes, pooled=True)
        except _SettingsError:
            pass
        try:
            return await self._with_or_without_tls(address, {}, pooled=True)
        except _SettingsError:
            # PgBouncer gives an unknown user or database the same SQLSTATE as an unknown parameter.
            raise _refused_login("08P01") from None

    async def _with_or_without_tls(self, address: str, settings: Mapping[str, str], *, pooled: bool) -> Connection:
        tls = self._dsn.tls
        try:
            return await self._login(address, settings, tls, pooled=pooled)
        except _PlainTextError:
            return await self._login(address, settings, "disable", pooled=pooled)

    async def _login(self, address: str, settings: Mapping[str, str], tls: Tls, *, pooled: bool) -> Connection:
        dsn = self._dsn
        dialler = Dialler(asyncio.get_running_loop(), dsn.host)
        try:
            connection = await asyncpg.connect(
                host=address,
                port=dsn.port,
                user=dsn.user,
                password=dsn.password,
                database=dsn.database,
                ssl=_context(tls) if tls != "disable" else False,
                direct_tls=False,
                server_settings=dict(settings),
                target_session_attrs=SessionAttribute.any,
                krbsrvname="postgres",
                gsslib="gssapi",
                timeout=_NO_TIMEOUT,
                command_timeout=self._command_timeout_s,
                # Whoever holds the connection keeps its prepared statements.
                statement_cache_size=0,
                connection_class=Connection,
                loop=cast("asyncio.AbstractEventLoop", dialler),
            )
        except BaseException as error:
            dialler.abort()
            if isinstance(error, Exception):
                _explain(error, dialler.meter, tls)
            raise
        connection.metered(dialler.meter, pooled=pooled)
        connection.allow(DEFAULT_BYTES)
        return connection


def _explain(error: Exception, meter: Meter, tls: Tls) -> NoReturn:
    """Raise what a failed login means."""
    if meter.error is not None:
        raise _not_postgres() from None
    if isinstance(error, asyncpg.PostgresError):
        _explain_answer(error, meter, tls)
    if isinstance(error, (ssl.SSLError, ConnectionError)) and meter.answer_to_ssl:
        _explain_tls(error, meter, tls)
    if isinstance(error, (OSError, TimeoutError)):
        raise error
    if isinstance(error, asyncpg.InterfaceError):
        raise DbifyError(
            Code.DATABASE_UNSUPPORTED, "The server asks for a way of logging in other than a password."
        ) from None
    # The driver reads whatever the server sent, and fails in as many ways as there are kinds of nonsense.
    raise _not_postgres() from None


def _explain_answer(error: asyncpg.PostgresError, meter: Meter, tls: Tls) -> NoReturn:
    if isinstance(error, asyncpg.ConnectionDoesNotExistError):
        raise DbifyError(
            Code.DATABASE_UNAVAILABLE, "The database closed the connection during the login: try again."
        ) from None
    state = error.sqlstate or ""
    if state in _SETTING_REFUSED:
        raise _SettingsError from None
    if tls == "prefer" and state == "28000" and meter.answer_to_ssl == b"S":
        # pg_hba.conf has entries for plain text alone.
        raise _PlainTextError from None
    if state.startswith(_LOGIN_REFUSED):
        raise _refused_login(state) from None
    reason = "takes no more connections" if state == "53300" else "refused the connection"
    raise DbifyError(
        Code.DATABASE_UNAVAILABLE, f"The database {reason} at the moment: try again.", {"sqlstate": state}
    ) from None


def _explain_tls(error: Exception, meter: Meter, tls: Tls) -> NoReturn:
    """Raise what it means that TLS did not come about."""
    if meter.answer_to_ssl not in {b"S", b"N", b"E"}:
        raise _not_postgres() from None
    if tls == "prefer":
        raise _PlainTextError from None
    if isinstance(error, ssl.SSLCertVerificationError):
        message = (
            "The database's certificate does not stand up to sslmode=verify-ca or verify-full: its authority is not "
            "known here, or it is for another host. sslmode=require encrypts without that check."
        )
    elif meter.answer_to_ssl == _SSL_REQUEST_REFUSED:
        message = "The database does not offer TLS, which the sslmode in its URL demands."
    else:
        message = "The database and this client could not agree on TLS."
    raise DbifyError(Code.DATABASE_UNAVAILABLE, message) from None


def _refused_login(state: str) -> DbifyError:
    return DbifyError(
        Code.DATABASE_REFUSED_LOGIN,
        "The database refused the login: check the user, the password and the database's name in its URL.",
        {"sqlstate": state},
    )


def _not_postgres() -> DbifyError:
    return DbifyError(
        Code.DATABASE_UNSUPPORTED, "The server does not speak PostgreSQL's protocol: check the host and the port."
    )


def _unreachable(error: Exception) -> DbifyError:
    reason = "refused the connection" if isinstance(error, ConnectionRefusedError) else "could not be reached"
    return DbifyError(
        Code.DATABASE_UNAVAILABLE,
        f"The database {reason}: check the host and port, and that it runs and lets this service in.",
    )


@cache
def _context(tls: Tls) -> ssl.SSLContext:
    """What verifies the server, by libpq's rules, with the system's authorities and no file of a user's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = tls == "verify-full"
    if tls in {"verify-ca", "verify-full"}:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.verify_mode = ssl.CERT_NONE
    if ssl.HAS_ALPN:
        context.set_alpn_protocols(["postgresql"])
    return context
