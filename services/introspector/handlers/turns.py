"""Taking turns: the same work, asked for by many at once, is done no more often than it has to be."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Self, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class Turns(Generic[Key, Result]):
    """At most one turn a key runs and one waits, and at most `limit` run over all keys.

    Who comes while a turn waits shares it. Nobody joins one that runs already: it may have seen what was true before
    the question. A caller that leaves cancels nothing, since others may wait for the same; the end of the context does.
    """

    def __init__(self, limit: int) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._running: dict[Key, asyncio.Task[Result]] = {}
        self._waiting: dict[Key, asyncio.Task[Result]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        turns = {*self._running.values(), *self._waiting.values()}
        for turn in turns:
            turn.cancel()
        await asyncio.gather(*turns, return_exceptions=True)

    async def take(self, key: Key, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result of a turn that starts after this call."""
        turn = self._waiting.get(key)
        if turn is None:
            turn = asyncio.create_task(self._turn(key, work, self._running.get(key)))
            self._waiting[key] = turn
            turn.add_done_callback(_notice)
        return await asyncio.shield(turn)

    async def _turn(
        self, key: Key, work: Callable[[], Awaitable[Result]], before: "asyncio.Task[Result] | None"
    ) -> Result:
        if before is not None:
            await asyncio.wait({before})
        async with self._slots:
            self._running[key] = self._waiting.pop(key)
            try:
                return await work()
            finally:
                del self._running[key]


def _notice(turn: "asyncio.Task[Result]") -> None:
    """Take note of a failure that every caller has left before: asyncio would complain."""
    if not turn.cancelled():
        turn.exception()
