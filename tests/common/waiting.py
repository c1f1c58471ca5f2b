"""Waiting for a fact."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable


async def until(fact: Callable[[], bool | Awaitable[bool]], within_s: float = 20) -> None:
    """Return as soon as the fact holds; TimeoutError if it does not in time."""
    async with asyncio.timeout(within_s):
        while True:
            holds = fact()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            await asyncio.sleep(0.02)
