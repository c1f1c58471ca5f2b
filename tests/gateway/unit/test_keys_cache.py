"""The races between looking a key up and its end, which no real database can be made to lose on purpose."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import pytest
from redis.asyncio import Redis

from libs.common.errors import Code, DbifyError
from libs.common.ids import KeyId, ProjectId
from services.gateway.adapters.keys import STALE_AFTER_S, Found, Keys
from services.gateway.adapters.postgres.revocations import Ended
from services.gateway.adapters.redis import Shared, UnreachableError
from services.gateway.core.credentials import API_KEY, compose, digest
from services.gateway.handlers.running import Identity
from tests.common.waiting import until

T = TypeVar("T")
KEY = compose(API_KEY, "k" * 32)
IDENTITY = Identity(ProjectId(4), KeyId("key"), "")
_NEVER = float("inf")


class NoRedis(Shared):
    """As if Redis were down."""

    def __init__(self) -> None:
        pass

    async def call(self, operation: Callable[[Redis], Awaitable[T]]) -> T:
        del operation
        raise UnreachableError


class Platform:
    """Keys and ended keys in memory; `gate` holds up look-ups that have read already."""

    def __init__(self) -> None:
        self.found: Found | None = Found(IDENTITY, _NEVER)
        self.ended: list[Ended] = []
        self.gate: asyncio.Event | None = None
        self.looked_up = 0
        self.down = False

    async def find(self, key_hash: bytes) -> Found | None:
        assert key_hash == digest(KEY)
        self._check()
        self.looked_up += 1
        found = self.found
        if self.gate is not None:
            await self.gate.wait()
        return found

    async def used(self, when: Mapping[KeyId, float]) -> None:
        pass

    async def first(self, age_s: float) -> int:
        self._check()
        return 0 if age_s else -1

    async def after(self, last: int) -> list[Ended]:
        self._check()
        return [entry for entry in self.ended if entry.id > last]

    def _check(self) -> None:
        if self.down:
            raise DbifyError(Code.PLATFORM_UNAVAILABLE, "down")


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
async def keys(platform: Platform) -> Keys:
    made = Keys(platform, platform, NoRedis())
    await made.read()
    return made


async def _refused(keys: Keys, code: Code = Code.INVALID_API_KEY, project: int | None = None) -> None:
    with pytest.raises(DbifyError) as caught:
        await keys.identify(KEY, project)
    assert caught.value.code is code


async def test_a_known_key_costs_no_second_look_up(keys: Keys, platform: Platform) -> None:
    for _ in range(3):
        assert await keys.identify(KEY, 4) == IDENTITY
    assert platform.looked_up == 1


async def test_many_at_once_share_one_look_up(keys: Keys, platform: Platform) -> None:
    await asyncio.gather(*(keys.identify(KEY, None) for _ in range(50)))
    assert platform.looked_up == 1


async def test_a_key_that_ends_while_it_is_looked_up_is_not_taken_afterwards(keys: Keys, platform: Platform) -> None:
    platform.gate = asyncio.Event()
    asking = asyncio.create_task(keys.identify(KEY, None))
    await until(lambda: platform.looked_up == 1)
    platform.ended.append(Ended(1, digest(KEY), 0.0))
    await keys.read()
    platform.gate.set()
    with pytest.raises(DbifyError):
        await asking
    await _refused(keys)


async def test_a_grace_period_ends_by_itself(keys: Keys, platform: Platform) -> None:
    assert await keys.identify(KEY, None) == IDENTITY
    platform.ended.append(Ended(1, digest(KEY), time.time() + 0.2))
    await keys.read()
    assert await keys.identify(KEY, None) == IDENTITY
    await asyncio.sleep(0.25)
    await _refused(keys)


async def test_an_earlier_end_is_never_put_off(keys: Keys, platform: Platform) -> None:
    assert await keys.identify(KEY, None) == IDENTITY
    platform.ended += [Ended(1, digest(KEY), 0.0), Ended(2, digest(KEY), time.time() + 60)]
    await keys.read()
    await _refused(keys)


async def test_memory_is_not_trusted_longer_than_a_second_without_reading(keys: Keys, platform: Platform) -> None:
    assert await keys.identify(KEY, None) == IDENTITY
    platform.down = True
    await asyncio.sleep(STALE_AFTER_S + 0.1)
    await _refused(keys, Code.KEY_UNVERIFIABLE)
    platform.down = False
    assert await keys.identify(KEY, None) == IDENTITY
    platform.down = True
    assert await keys.identify(KEY, None) == IDENTITY, "verified a moment ago"


async def test_an_unknown_key_is_remembered_for_a_while(keys: Keys, platform: Platform) -> None:
    platform.found = None
    for _ in range(3):
        await _refused(keys)
    assert platform.looked_up == 1


async def test_a_key_of_another_project_is_refused(keys: Keys) -> None:
    await _refused(keys, project=5)


async def test_settling_takes_longer_than_memory_is_trusted(keys: Keys) -> None:
    began = time.monotonic()
    await keys.settle()
    assert STALE_AFTER_S < time.monotonic() - began < 3
