"""Brings the platform database and the NATS streams to what this version of the code needs. Safe to run again."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import nats
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from libs.common.access import ADMIN, inbox
from libs.common.streams import CONSUMERS, STREAMS
from stack.embedded import program

SERVICES = Path(__file__).resolve().parent.parent / "services"
# The logger's numbered files are ClickHouse's, and its own to run.
OWNERS = ("gateway", "introspector", "notifier", "search")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class MigrationError(Exception):
    """A migration did not go through; the message has what dbmate or the server said."""


async def database(url: str) -> list[str]:
    """Apply every service's migrations, each in a schema of its own; the names of the files applied.

    Raises:
        MigrationError: If one fails: those before it stay applied.
    """
    applied: list[str] = []
    for service in OWNERS:
        if any((SERVICES / service / "migrations").glob("*.sql")):
            applied += await _dbmate(service, url)
    return applied


async def _dbmate(service: str, url: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        program("dbmate"),
        "--env", "DBIFY_MIGRATE_URL",
        "--env-file", os.devnull,
        "--migrations-dir", str(SERVICES / service / "migrations"),
        "--migrations-table", f"{service}.schema_migrations",
        "--migration-lock", "--no-dump-schema", "--wait",
        "migrate",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "DBIFY_MIGRATE_URL": _in_schema(url, service)},
    )  # fmt: skip
    output, _ = await process.communicate()
    lines = output.decode(errors="replace").splitlines()
    if process.returncode:
        raise MigrationError(f"the {service}'s migrations: " + "\n".join(lines[-10:]))
    return [f"{service}/{line.split(': ')[1]}" for line in lines if line.startswith("Applied: ")]


def _in_schema(url: str, schema: str) -> str:
    """The URL as dbmate takes it: unqualified names land in `schema`, which dbmate makes if it is not there.

    dbmate insists on TLS unless it is told otherwise; a server on this machine has none.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.hostname in _LOOPBACK:
        query.setdefault("sslmode", "disable")
    query["search_path"] = schema
    return urlunsplit(parts._replace(query=urlencode(query)))


async def streams(url: str) -> None:
    """Make or update every stream and consumer of `libs.common.streams`; `url` is the admin's."""
    connection = await nats.connect(url, inbox_prefix=inbox(ADMIN).encode(), connect_timeout=10)
    try:
        jetstream = connection.jetstream(timeout=30)
        for stream in STREAMS:
            await _stream(jetstream, stream)
        for consumer in CONSUMERS:
            await jetstream.add_consumer(consumer.stream, consumer.config())
    finally:
        await connection.close()


async def _stream(jetstream: JetStreamContext, stream: StreamConfig) -> None:
    try:
        await jetstream.stream_info(str(stream.name))
    except NotFoundError:
        await jetstream.add_stream(stream)
    else:
        await jetstream.update_stream(stream)


async def everything(environ: Mapping[str, str]) -> list[str]:
    """Migrate the servers that the environment names, as a Job in a cluster does.

    Raises:
        MigrationError: If a variable is missing, or a migration fails.
    """
    missing = [name for name in ("DBIFY_DATABASE_URL", "DBIFY_NATS_URL") if not environ.get(name)]
    if missing:
        raise MigrationError(f"set {' and '.join(missing)}: the platform database, and NATS as the user {ADMIN}")
    applied = await database(environ["DBIFY_DATABASE_URL"])
    await streams(environ["DBIFY_NATS_URL"])
    return applied
