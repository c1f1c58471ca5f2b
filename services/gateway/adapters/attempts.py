"""How often somebody may try: counted in Redis for all processes, in memory while that is down."""

import time
from typing import Final, NamedTuple

from redis.asyncio import Redis

from libs.common.errors import Code, DbifyError
from services.gateway.adapters.bounded import Bounded
from services.gateway.adapters.redis import Shared, UnreachableError


class Limit(NamedTuple):
    """At most `most` attempts in a window of `window_s`."""

    most: int
    window_s: int


LIMITS: Final = {"login": Limit(10, 300), "signup": Limit(100, 3600)}
_MAX_COUNTED = 10_000


class _Window(NamedTuple):
    tries: int
    ends_at: float


class Attempts:
    """`handlers.accounts.Attempts`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._windows: Bounded[str, _Window] = Bounded(_MAX_COUNTED)

    async def count(self, kind: str, who: str) -> None:
        """Count an attempt before it is made, so that many at once do not slip through. RATE_LIMITED."""
        limit = LIMITS[kind]
        name = _name(kind, who)
        try:
            count, left_s = await self._in_redis(name, limit)
        except UnreachableError:
            count, left_s = self._in_memory(name, limit)
        if count > limit.most:
            message = f"Too many attempts: try again in {left_s} seconds."
            raise DbifyError(Code.RATE_LIMITED, message, {"retryAfterSeconds": left_s})

    async def forget(self, kind: str, who: str) -> None:
        """It succeeded: start counting anew."""
        name = _name(kind, who)
        self._windows.pop(name)
        try:
            await self._shared.call(lambda redis: redis.delete(name))
        except UnreachableError:
            return

    async def _in_redis(self, name: str, limit: Limit) -> tuple[int, int]:
        async def write(redis: Redis) -> tuple[int, int]:
            pipeline = redis.pipeline(transaction=True)
            pipeline.set(name, 0, ex=limit.window_s, nx=True)
            pipeline.incr(name)
            pipeline.ttl(name)
            _, count, left_s = await pipeline.execute()
            return count, max(1, left_s)

        return await self._shared.call(write)

    def _in_memory(self, name: str, limit: Limit) -> tuple[int, int]:
        now = time.monotonic()
        window = self._windows.get(name)
        if window is None or window.ends_at <= now:
            window = _Window(0, now + limit.window_s)
        window = window._replace(tries=window.tries + 1)
        self._windows.put(name, window)
        return window.tries, max(1, int(window.ends_at - now))


def _name(kind: str, who: str) -> str:
    return f"dbify:attempts:{kind}:{who}"
