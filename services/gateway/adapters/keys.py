"""Which API key is whose: from memory, then Redis, then Postgres; and how a key's end reaches every process.

A process reads the list of ended keys every `POLL_S`. While its last reading is younger than `STALE_AFTER_S` it
trusts its memory; after that it asks Redis or Postgres about each key again, and where neither knows, the key cannot
be verified. So `settle`, which waits longer than `STALE_AFTER_S`, returns only when no process takes an ended key.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

import msgspec
from prometheus_client import Counter
from redis.asyncio import Redis

from libs.common.errors import Code, DbifyError
from libs.common.ids import KeyId
from services.gateway.adapters.bounded import Bounded
from services.gateway.adapters.postgres.revocations import Ended
from services.gateway.adapters.redis import Shared, UnreachableError, raw
from services.gateway.core.credentials import API_KEY, digest, well_formed
from services.gateway.handlers.running import Identity

POLL_S: Final = 0.4
STALE_AFTER_S: Final = 1.0
# How long a key that was in use goes on being served while Postgres is down and Redis is not.
KNOWN_FOR_S: Final = 3600
_SHARE_EVERY_S = 60.0
_NOTE_USE_EVERY_S = 10.0
_UNKNOWN_FOR_S = 10.0
_MAX_KNOWN = 50_000
_MAX_UNKNOWN = 10_000
_MAX_SHARED_AT_ONCE = 500
_NEVER = float("inf")

_logger = logging.getLogger(__name__)
_unread = Counter("dbify_gateway_revocations_unread", "Readings of the list of ended keys that failed.")
_lookups = Counter("dbify_gateway_key_lookups", "Keys looked up outside of memory.", ["where"])
_unverifiable = Counter("dbify_gateway_keys_unverifiable", "Requests refused because no key could be checked.")


class Found(msgspec.Struct, frozen=True, array_like=True):
    """A key as Postgres and Redis know it; `ends_at` in seconds since 1970."""

    identity: Identity
    ends_at: float


class Records(Protocol):
    """Keys in Postgres."""

    async def find(self, key_hash: bytes) -> Found | None:
        """Whose key has this hash."""
        ...

    async def used(self, when: Mapping[KeyId, float]) -> None:
        """Note when keys were last used."""
        ...


class Revocations(Protocol):
    """The list of ended keys in Postgres."""

    async def first(self, age_s: float) -> int:
        """The id before the oldest entry younger than that."""
        ...

    async def after(self, last: int) -> list[Ended]:
        """What came after `last`, in order."""
        ...


class _Known:
    """A key in memory."""

    __slots__ = ("ends_at", "identity", "shared_at", "verified_at")

    def __init__(self, found: Found, verified_at: float) -> None:
        self.identity = found.identity
        self.ends_at = found.ends_at
        self.verified_at = verified_at
        self.shared_at = -_NEVER


class _Pending(NamedTuple):
    """What is to be written to Redis."""

    ends: dict[bytes, float]
    keys: dict[bytes, _Known]


class Keys:
    """`handlers.query.Keys`."""

    def __init__(self, records: Records, revocations: Revocations, shared: Shared) -> None:
        self._records = records
        self._revocations = revocations
        self._shared = shared
        self._known: Bounded[bytes, _Known] = Bounded(_MAX_KNOWN)
        self._unknown: Bounded[bytes, float] = Bounded(_MAX_UNKNOWN)
        # Ended keys stay here as long as Redis may still call them good.
        self._ended: dict[bytes, tuple[float, float]] = {}
        self._asking: dict[bytes, asyncio.Task[_Known | None]] = {}
        self._last: int | None = None
        self._read_at = -_NEVER
        self._pending = _Pending({}, {})
        self._used: dict[KeyId, float] = {}
        self._used_noted_at = time.monotonic()
        self._reading = asyncio.Lock()

    async def identify(self, api_key: str, project: int | None) -> Identity:
        """Whose key this is. INVALID_API_KEY, or KEY_UNVERIFIABLE where nobody can tell at the moment."""
        if not well_formed(API_KEY, api_key):
            raise refused()
        key_hash = digest(api_key)
        now = time.monotonic()
        known = self._known.get(key_hash)
        if known is None or now - max(self._read_at, known.verified_at) > STALE_AFTER_S:
            known = await self._verify(key_hash, now)
        wall = time.time()
        if known is None or known.ends_at <= wall or project not in {None, known.identity.project}:
            raise refused()
        if now - known.shared_at > _SHARE_EVERY_S:
            self._pending.keys[key_hash] = known
        self._used[known.identity.key] = wall
        return known.identity

    async def read(self) -> None:
        """Read what ended since the last time. PLATFORM_UNAVAILABLE."""
        async with self._reading:
            now = time.monotonic()
            if now - self._read_at > KNOWN_FOR_S or self._last is None:
                self._last = await self._revocations.first(KNOWN_FOR_S)
                self._known.clear()
            while ended := await self._revocations.after(self._last):
                for entry in ended:
                    self._end(entry, now)
                self._last = ended[-1].id
            self._read_at = now

    async def share(self) -> None:
        """Write what ended, and the keys in use, to Redis; and to Postgres when they were last used."""
        await self._share_ends()
        await self._share_keys()
        await self._note_use()

    async def settle(self) -> None:
        """Return when no process takes a key any more that has ended by now."""
        started = time.monotonic()
        try:
            await self.read()
        except DbifyError:
            pass  # The watcher goes on trying, and until it succeeds this process trusts nothing in its memory.
        else:
            await self._share_ends()
        # A little more than the limit, for clocks that tick apart.
        await asyncio.sleep(max(0.0, STALE_AFTER_S * 1.05 - (time.monotonic() - started)))

    async def watch(self, stop: asyncio.Event) -> None:
        """Read what ended every `POLL_S`, until `stop`."""
        while not stop.is_set():
            try:
                await self.read()
            except DbifyError:
                _unread.inc()
            except Exception:
                # Were this to end, no key would be served any more.
                _logger.exception("the list of ended keys could not be read")
            await _pause(stop)

    async def publish(self, stop: asyncio.Event) -> None:
        """Share every `POLL_S`, until `stop`; apart from `watch`, since a slow Redis must not make that late."""
        while not stop.is_set():
            try:
                await self.share()
            except Exception:
                _logger.exception("keys could not be shared")
            await _pause(stop)

    async def check(self) -> None:
        """For readiness: raises where this process has not read what ended, or too long ago to serve any key."""
        if time.monotonic() - self._read_at > KNOWN_FOR_S:
            raise DbifyError(Code.PLATFORM_UNAVAILABLE, "The list of ended keys has not been read.")

    def _end(self, entry: Ended, now: float) -> None:
        """A key ends: now or, after a rotation, at the end of its grace period."""
        before = self._ended.get(entry.key_hash, (_NEVER, 0.0))[0]
        ends_at = min(before, entry.ends_at)
        self._ended[entry.key_hash] = (ends_at, now)
        self._pending.ends[entry.key_hash] = ends_at
        known = self._known.get(entry.key_hash)
        if known is not None:
            known.ends_at = min(known.ends_at, ends_at)

    async def _verify(self, key_hash: bytes, now: float) -> _Known | None:
        if self._unknown.get(key_hash, -_NEVER) > now:
            return None
        task = self._asking.get(key_hash)
        if task is None:
            task = asyncio.create_task(self._ask(key_hash))
            self._asking[key_hash] = task
            task.add_done_callback(lambda _: self._asking.pop(key_hash, None))
        return await asyncio.shield(task)

    async def _ask(self, key_hash: bytes) -> _Known | None:
        """Look a key up. What is found counts as verified when the looking began."""
        began = time.monotonic()
        found = await self._from_redis(key_hash)
        if found is None:
            found = await self._from_postgres(key_hash)
        if found is None:
            self._known.pop(key_hash)
            self._unknown.put(key_hash, began + _UNKNOWN_FOR_S)
            return None
        known = _Known(found, began)
        # The end may have been read while the look-up, begun before, was under way.
        known.ends_at = min(known.ends_at, self._ended.get(key_hash, (_NEVER, 0.0))[0])
        before = self._known.get(key_hash)
        if before is not None:
            known.shared_at = before.shared_at
        self._known.put(key_hash, known)
        return known

    async def _from_redis(self, key_hash: bytes) -> Found | None:
        try:
            key, ends_at = await self._shared.call(lambda redis: redis.mget(_key(key_hash), _end(key_hash)))
        except UnreachableError:
            return None
        stored = raw(key)
        if stored is None:
            return None
        _lookups.labels("redis").inc()
        try:
            found = msgspec.msgpack.decode(stored, type=Found)
            return Found(found.identity, min(found.ends_at, float(ends_at) if ends_at is not None else _NEVER))
        except (msgspec.MsgspecError, ValueError):
            return None  # Written by another version: Postgres knows.

    async def _from_postgres(self, key_hash: bytes) -> Found | None:
        _lookups.labels("postgres").inc()
        try:
            return await self._records.find(key_hash)
        except DbifyError as error:
            _unverifiable.inc()
            message = "The key cannot be checked at the moment: try again."
            raise DbifyError(Code.KEY_UNVERIFIABLE, message) from error

    async def _share_ends(self) -> None:
        """Ends stay pending until Redis has taken them; a later end than the one there never replaces it."""
        ends = dict(self._pending.ends)
        if not ends:
            return

        async def write(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=False)
            for key_hash, ends_at in ends.items():
                pipeline.set(_end(key_hash), repr(ends_at), ex=2 * KNOWN_FOR_S)
            await pipeline.execute()

        try:
            await self._shared.call(write)
        except UnreachableError:
            return
        for key_hash, ends_at in ends.items():
            if self._pending.ends.get(key_hash) == ends_at:
                del self._pending.ends[key_hash]

    async def _share_keys(self) -> None:
        """Only what memory was told is good a moment ago is passed on."""
        now = time.monotonic()
        if not self._pending.keys or now - self._read_at > STALE_AFTER_S:
            self._pending.keys.clear()
            return
        keys = [self._pending.keys.popitem() for _ in range(min(len(self._pending.keys), _MAX_SHARED_AT_ONCE))]

        async def write(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=False)
            for key_hash, known in keys:
                found = msgspec.msgpack.encode(Found(known.identity, known.ends_at))
                pipeline.set(_key(key_hash), found, ex=KNOWN_FOR_S)
            await pipeline.execute()

        try:
            await self._shared.call(write)
        except UnreachableError:
            return  # The next use asks for it again.
        for _, known in keys:
            known.shared_at = now

    async def _note_use(self) -> None:
        now = time.monotonic()
        for key_hash in [key for key, (_, at) in self._ended.items() if now - at > 2 * KNOWN_FOR_S]:
            del self._ended[key_hash]
        if not self._used or now - self._used_noted_at < _NOTE_USE_EVERY_S:
            return
        used, self._used, self._used_noted_at = self._used, {}, now
        try:
            await self._records.used(used)
        except DbifyError:
            self._used = used | self._used


def refused() -> DbifyError:
    """The one answer for every key that is not taken, whatever is wrong with it."""
    return DbifyError(Code.INVALID_API_KEY, Code.INVALID_API_KEY.meaning)


def _key(key_hash: bytes) -> bytes:
    return b"dbify:key:" + key_hash.hex().encode()


def _end(key_hash: bytes) -> bytes:
    return b"dbify:end:" + key_hash.hex().encode()


async def _pause(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL_S):
            await stop.wait()
