"""Turns: shared while they wait, never joined once they run."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.introspector.handlers.turns import Turns


class Work:
    """Work that counts its runs and ends when it is told to."""

    def __init__(self) -> None:
        self.started = 0
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.started += 1
        number = self.started
        self.begun.set()
        await self.go.wait()
        return number


async def test_those_who_come_while_a_turn_runs_share_the_next_one() -> None:
    work = Work()
    async with Turns[str, int](4) as turns:
        first = asyncio.create_task(turns.take("a", work))
        await work.begun.wait()
        later = [asyncio.create_task(turns.take("a", work)) for _ in range(20)]
        await asyncio.sleep(0)
        work.go.set()
        assert await first == 1
        assert set(await asyncio.gather(*later)) == {2}
        assert work.started == 2


async def test_those_who_come_at_once_share_the_first_turn() -> None:
    work = Work()
    work.go.set()
    async with Turns[str, int](4) as turns:
        assert set(await asyncio.gather(*(turns.take("a", work) for _ in range(20)))) == {1}


async def test_other_keys_run_beside_it_up_to_the_limit() -> None:
    running: set[str] = set()
    most = 0

    def work(key: str) -> Callable[[], Awaitable[str]]:
        async def run() -> str:
            nonlocal most
            running.add(key)
            most = max(most, len(running))
            await asyncio.sleep(0)
            running.remove(key)
            return key

        return run

    keys = [f"project {number}" for number in range(30)]
    async with Turns[str, str](3) as turns:
        assert await asyncio.gather(*(turns.take(key, work(key)) for key in keys)) == keys
    assert most == 3


async def test_a_caller_that_leaves_takes_the_turn_from_nobody() -> None:
    work = Work()
    async with Turns[str, int](1) as turns:
        leaver, stayer = (asyncio.create_task(turns.take("a", work)) for _ in range(2))
        await work.begun.wait()
        leaver.cancel()
        await asyncio.wait({leaver})
        work.go.set()
        assert await stayer == 1


async def test_a_turn_that_fails_fails_for_its_callers_alone() -> None:
    async def fail() -> int:
        raise ValueError("no")

    work = Work()
    work.go.set()
    async with Turns[str, int](1) as turns:
        with pytest.raises(ValueError, match="no"):
            await turns.take("a", fail)
        assert await turns.take("a", work) == 1


async def test_the_end_cancels_what_runs_and_what_waits() -> None:
    work = Work()
    async with Turns[str, int](1) as turns:
        first = asyncio.create_task(turns.take("a", work))
        await work.begun.wait()
        second = asyncio.create_task(turns.take("a", work))
        await asyncio.sleep(0)
    await asyncio.wait({first, second})
    assert first.cancelled()
    assert second.cancelled()
