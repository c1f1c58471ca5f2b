"""Answers of saved queries, kept for as long as they say: in Redis for every process, in memory for when it is down.

A process first looks into its own memory, so that what is asked a thousand times a second is not fetched as often.
"""

import time
from collections import OrderedDict
from typing import Final, NamedTuple

import msgspec

from services.gateway.adapters.redis import Shared, UnreachableError, raw
from services.gateway.handlers.running import Result

CAPACITY_BYTES: Final = 32 * 1024 * 1024
# What is larger is asked anew each time.
LARGEST_BYTES: Final = 1024 * 1024
# Of an entry besides its data.
_OVERHEAD_BYTES: Final = 500


class _Kept(NamedTuple):
    result: Result
    until: float

    @property
    def size_bytes(self) -> int:
        return len(self.result.data) + _OVERHEAD_BYTES


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    result: Result
    until: float


class Results:
    """`handlers.run.Results`."""

    def __init__(self, shared: Shared, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self._shared = shared
        self._capacity_bytes = capacity_bytes
        self._size_bytes = 0
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    async def get(self, key: bytes) -> Result | None:
        """What was kept and has not run out; it took the database no time."""
        kept = self._kept.get(key)
        if kept is None or kept.until <= time.time():
            kept = await self._from_redis(key)
        if kept is None or kept.until <= time.time():
            return None
        return msgspec.structs.replace(kept.result, database_us=0)

    async def put(self, key: bytes, result: Result, seconds: int) -> None:
        """Keep an answer, unless it is large."""
        if len(result.data) > LARGEST_BYTES:
            return
        kept = _Kept(result, time.time() + seconds)
        self._hold(key, kept)
        stored = msgspec.msgpack.encode(_Stored(*kept))
        try:
            await self._shared.call(lambda redis: redis.set(_name(key), stored, ex=seconds))
        except UnreachableError:
            return

    async def _from_redis(self, key: bytes) -> _Kept | None:
        try:
            stored = raw(await self._shared.call(lambda redis: redis.get(_name(key))))
            if stored is None:
                return None
            found = msgspec.msgpack.decode(stored, type=_Stored)
        except (UnreachableError, msgspec.MsgspecError):
            return None
        kept = _Kept(found.result, found.until)
        self._hold(key, kept)
        return kept

    def _hold(self, key: bytes, kept: _Kept) -> None:
        before = self._kept.pop(key, None)
        self._size_bytes += kept.size_bytes - (before.size_bytes if before else 0)
        self._kept[key] = kept
        while self._size_bytes > self._capacity_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._size_bytes -= oldest.size_bytes


def _name(key: bytes) -> str:
    return f"dbify:result:{key.hex()}"
