"""The URL of a user's database, read by an allowlist.

A driver's own parser fills what is missing from the environment, opens files that the URL names, takes lists of hosts
and hands unknown keys to the server. So this one takes one host, an explicit user, password and database name, and a
few harmless parameters; anything else is refused by a message that says what to write instead. No message repeats any
part of the URL.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote_to_bytes

from libs.common.errors import Code, DbifyError

Tls = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]

DEFAULT_PORT = 5432
# Amazon RDS takes tokens of more than 1,000 characters as passwords; everything else is far shorter.
MAX_URL_CHARACTERS = 4096
# NAMEDATALEN - 1: PostgreSQL cuts longer names off, which would reach another database than the one written.
MAX_NAME_BYTES = 63
MAX_HOST_CHARACTERS = 253

FORM = "postgresql://user:password@host:5432/database"
_SCHEMES = ("postgresql://", "postgres://")
# `allow` means plain text first: trying TLS first is never worse for whoever wrote it.
_TLS: dict[str, Tls] = {
    "disable": "disable",
    "allow": "prefer",
    "prefer": "prefer",
    "require": "require",
    "verify-ca": "verify-ca",
    "verify-full": "verify-full",
}
# What else hosting companies and ORMs put into the URLs they hand out. All but `pgbouncer` changes nothing here.
_HARMLESS: dict[str, re.Pattern[str]] = {
    "application_name": re.compile(r".{0,200}"),
    "channel_binding": re.compile(r"disable|prefer|require"),
    "connect_timeout": re.compile(r"[0-9]{1,5}"),
    "connection_limit": re.compile(r"[0-9]{1,5}"),
    "gssencmode": re.compile(r"disable|prefer"),
    "pgbouncer": re.compile(r"true|false"),
    "pool_timeout": re.compile(r"[0-9]{1,5}"),
}
PARAMETERS = tuple(sorted(("sslmode", *_HARMLESS)))

_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# A host whose last label is a number is an IPv4 address in one of the forms that resolvers take (WHATWG URL, 3.5).
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Dsn:
    """One database on one server, with nothing left for a driver to fill in.

    Attributes:
        host: A lower-case ASCII name, or an address in its canonical form, IPv6 without brackets.
        tls: `prefer` where the URL names no `sslmode`: encrypted wherever the server can, unverified, and plain text
            only where it cannot. `require` encrypts without verifying, as libpq does; `verify-full` verifies the
            certificate and the host's name against the system's authorities.
        pooled: The URL says `pgbouncer=true`: session state and named prepared statements cannot be relied on.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    tls: Tls = "prefer"
    pooled: bool = False


def parse(text: str) -> Dsn:
    """The database that a URL names.

    Raises:
        DbifyError: INVALID_DATABASE_URL, saying what to write instead and repeating nothing of the URL.
    """
    authority, path, query = _parts(text)
    user, password, host_and_port = _authority(authority)
    host, port = _host_and_port(host_and_port)
    parameters = dict(_parameters(query))
    return Dsn(
        host=_host(host),
        port=_port(port),
        user=_name("user name", user),
        password=_password(password),
        database=_name("database name", path),
        tls=_tls(parameters.get("sslmode", "prefer")),
        pooled=parameters.get("pgbouncer") == "true",
    )


def _refused(message: str) -> DbifyError:
    return DbifyError(Code.INVALID_DATABASE_URL, message)


def _parts(text: str) -> tuple[str, str, str]:
    """Authority, path and query, still percent-encoded."""
    if len(text) > MAX_URL_CHARACTERS:
        raise _refused(f"The database URL is longer than {MAX_URL_CHARACTERS} characters.")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise _refused("The database URL holds a space or a control character: percent-encode it, a space as %20.")
    scheme = next((scheme for scheme in _SCHEMES if text.startswith(scheme)), None)
    if scheme is None:
        raise _refused(f"The database URL must start with postgresql:// or postgres://, as in {FORM}.")
    rest = text.removeprefix(scheme)
    if "#" in rest:
        raise _refused("The database URL holds a `#`: in a user name or password, write it as %23.")
    if "\\" in rest:
        raise _refused("The database URL holds a backslash: in a user name or password, write it as %5C.")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    if not slash or not path:
        raise _refused(f"The database URL must name the database after the host: {FORM}.")
    if "/" in path:
        raise _refused("The database URL has more than one part in its path: write a `/` in the name as %2F.")
    return authority, path, query


def _authority(authority: str) -> tuple[str, str, str]:
    """User, password and host with port, still percent-encoded."""
    credentials, at, host_and_port = authority.partition("@")
    if "@" in host_and_port:
        raise _refused("The database URL holds more than one `@`: in a user name or password, write it as %40.")
    user, colon, password = credentials.partition(":")
    if not at or not user:
        raise _refused(f"The database URL must name the user: {FORM}.")
    if not colon or not password:
        raise _refused(f"The database URL must hold the user's password: {FORM}.")
    return user, password, host_and_port


def _host_and_port(text: str) -> tuple[str, str]:
    """The host, IPv6 still in its brackets, and the port's digits."""
    if "," in text:
        raise _refused("The database URL names several hosts: name the one to use, such as the primary.")
    bracketed = re.fullmatch(r"(\[[^\[\]]*\])(?::(.*))?", text)
    if bracketed:
        host, port = bracketed.groups()
    else:
        host, colon, port = text.partition(":")
        port = port if colon else None
    return host, str(DEFAULT_PORT) if port is None else port


def _host(host: str) -> str:
    if host.startswith("["):
        return _ipv6(host[1:-1])
    if not host or "%" in host:
        raise _refused("The database URL must name a host: sockets and local paths cannot be used.")
    if any(character in host for character in "[]:"):
        raise _refused(
            "The database URL's host cannot be read: write an IPv6 address in brackets, as in [2001:db8::1]."
        )
    try:
        # Also folds full-width digits and dots to ASCII, so the checks below see what a resolver would.
        ascii_host = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise _refused("The database URL's host is not a valid name.") from None
    return _name_or_ipv4(ascii_host)


def _name_or_ipv4(host: str) -> str:
    if host.endswith("."):
        raise _refused("The database URL's host ends in a dot: leave the dot out.")
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise _refused("Write an IPv4 address as four decimal numbers, as in 203.0.113.7.") from None
    if len(host) > MAX_HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused("The database URL's host is not a valid name.")
    return host


def _ipv6(text: str) -> str:
    if "%" in text:
        raise _refused("The database URL's host has a zone: only addresses without one can be used.")
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise _refused("The brackets in the database URL must hold an IPv6 address, as in [2001:db8::1].") from None


def _port(text: str) -> int:
    # Python takes digits of every script and underscores as a number: hence the pattern first.
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65536:  # noqa: PLR2004 - the range of a TCP port
        raise _refused("The database URL's port must be a number from 1 to 65535.")
    return int(text)


def _name(what: str, encoded: str) -> str:
    name = _decoded(what, encoded)
    if len(name.encode()) > MAX_NAME_BYTES:
        raise _refused(f"The {what} in the database URL is longer than the {MAX_NAME_BYTES} bytes PostgreSQL allows.")
    return name


def _password(encoded: str) -> str:
    return _decoded("password", encoded)


def _decoded(what: str, encoded: str) -> str:
    """Percent-decoded, once: `%2541` is `%41`."""
    if _ESCAPE.search(encoded):
        raise _refused(f"The {what} in the database URL holds a `%` that starts no escape: write it as %25.")
    try:
        text = unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        raise _refused(f"The {what} in the database URL is not UTF-8 once its escapes are read.") from None
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):  # noqa: PLR2004 - C0 and DEL
        raise _refused(f"The {what} in the database URL holds a control character.")
    return text


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for pair in query.split("&") if query else ():
        encoded, equals, value = pair.partition("=")
        key, value = _decoded("parameters", encoded), _decoded("parameters", value)
        pattern = _HARMLESS.get(key)
        if key != "sslmode" and pattern is None:
            raise _refused(
                f"The database URL has a parameter that cannot be used here. These can: {', '.join(PARAMETERS)}."
            )
        if key in seen:
            raise _refused(f"The database URL gives the parameter `{key}` twice.")
        if not equals or (pattern is not None and not pattern.fullmatch(value)):
            raise _refused(f"The database URL's parameter `{key}` has a value that it does not take.")
        seen.add(key)
        yield key, value


def _tls(sslmode: str) -> Tls:
    tls = _TLS.get(sslmode)
    if tls is None:
        raise _refused(f"The database URL's `sslmode` must be one of: {', '.join(_TLS)}.")
    return tls
