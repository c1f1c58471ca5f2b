"""The platform database: a service's own schema in it, reached through a small pool."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from libs.common.errors import Code, DbifyError

_CONNECT_TIMEOUT_S = 5
_COMMAND_TIMEOUT_S = 10

_DOWN = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, crashed, or the statement was cancelled
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,  # a former primary during a failover
)


@asynccontextmanager
async def platform(url: str, schema: str, *, max_size: int = 8) -> AsyncIterator[asyncpg.Pool]:
    """A pool on the platform database that opens connections when they are needed, so it may be down at the start.

    Args:
        url: The database's URL.
        schema: The service's schema, which is all of its search path.
        max_size: The most connections that it opens.
    """
    pool = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=max_size,
        timeout=_CONNECT_TIMEOUT_S,
        command_timeout=_COMMAND_TIMEOUT_S,
        server_settings={"search_path": schema, "application_name": f"dbify-{schema}"},
    )
    async with pool:
        yield pool


@contextmanager
def guarded() -> Iterator[None]:
    """Turn the ways in which the platform database can be down or out of reach into PLATFORM_UNAVAILABLE."""
    try:
        yield
    except _DOWN as error:
        raise _unavailable() from error
    except asyncpg.InterfaceError as error:
        # asyncpg has one class for misuse and for connections that were closed underneath.
        if "clos" in str(error):
            raise _unavailable() from error
        raise


def _unavailable() -> DbifyError:
    return DbifyError(Code.PLATFORM_UNAVAILABLE, "Dbify's own database cannot be reached. Try again in a moment.")
