"""Makes the demo database."""

from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from stack.demo import rows

NAME = "dbify_demo"


def url_of(admin_url: str, name: str, password: str) -> str:
    """The URL of the demo database `name` on the server of `admin_url`, as the role of that name, its owner."""
    parts = urlsplit(admin_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{name}:{quote(password, safe='')}@{host}", path=f"/{name}"))


async def is_there(url: str) -> bool:
    """Whether the database can be logged in to."""
    try:
        connection = await asyncpg.connect(url)
    except (asyncpg.InvalidCatalogNameError, asyncpg.InvalidAuthorizationSpecificationError):
        return False
    await connection.close()
    return True


async def make(admin_url: str, name: str, password: str) -> str:
    """Make the database anew, with an ordinary role as its owner, and fill it; its URL.

    Args:
        admin_url: As a user who may make roles and databases.
        name: Of the database and the role: one of our own making, since what has it is dropped.
        password: The role's: letters, digits, - and _.

    Raises:
        asyncpg.PostgresError: If the user of `admin_url` may not.
    """
    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.execute(f"DROP ROLE IF EXISTS {name}")
        await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        await admin.execute(f"GRANT {name} TO CURRENT_USER")
        await admin.execute(f"CREATE DATABASE {name} OWNER {name}")
    finally:
        await admin.close()
    url = url_of(admin_url, name, password)
    await fill(url)
    return url


async def fill(url: str) -> None:
    """Make the tables and their rows, in one transaction, and the planner's statistics."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute((Path(__file__).parent / "schema.sql").read_text())
            for table in rows.everything():
                await connection.copy_records_to_table(
                    table.table, schema_name=table.schema, columns=table.columns, records=table.rows
                )
            # Rows that name their id leave the sequence behind.
            for name in ("Project", "User"):
                await connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('\"{name}\"', 'id'), max(id)) FROM \"{name}\""  # noqa: S608
                )
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
