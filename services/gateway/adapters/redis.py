"""What gateway processes share in Redis or Valkey. It may be down: then each process does without."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import redis.asyncio as client
from prometheus_client import Counter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

TIMEOUT_S: Final = 0.5
# After a failure nobody asks again for this long, so that a Redis that hangs does not slow every request.
COOLDOWN_S: Final = 1.0
_CONNECTIONS = 32

_failures = Counter("dbify_gateway_redis_failures", "Calls to Redis that failed.")

T = TypeVar("T")


class UnreachableError(Exception):
    """Redis did not answer, or was not asked because it just did not."""


class Shared:
    """Redis with a deadline on every call."""

    def __init__(self, connection: client.Redis) -> None:
        self._connection = connection
        self._closed_until = 0.0

    async def call(self, operation: Callable[[client.Redis], Awaitable[T]]) -> T:
        """What Redis answers.

        Raises:
            UnreachableError: If it does not.
        """
        if time.monotonic() < self._closed_until:
            raise UnreachableError
        try:
            return await operation(self._connection)
        except (RedisError, OSError, TimeoutError) as error:
            _failures.inc()
            self._closed_until = time.monotonic() + COOLDOWN_S
            raise UnreachableError from error

    async def check(self) -> None:
        """For readiness: raises where Redis is down."""
        await self.call(lambda connection: connection.ping())


def raw(value: bytes | str | None) -> bytes | None:
    """A value as it is stored; the client's types leave open whether it decodes."""
    return value.encode() if isinstance(value, str) else value


@asynccontextmanager
async def shared(url: str) -> AsyncIterator[Shared]:
    """Redis at `url`, connected to when first asked."""
    pool = client.BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=TIMEOUT_S,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),  # once: a connection of before a restart is found broken only by using it
    )
    async with client.Redis(connection_pool=pool) as connection:
        try:
            yield Shared(connection)
        finally:
            await pool.disconnect()
