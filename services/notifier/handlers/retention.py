"""What the notifier forgets: deliveries older than any event that could still be delivered again."""

import asyncio
import logging
from typing import Protocol

from libs.common.errors import DbifyError

KEEP_DAYS = 90
_EVERY_S = 3600.0
_log = logging.getLogger(__name__)


class Deliveries(Protocol):
    """What became of each mail."""

    async def forget(self, older_than_days: int) -> int:
        """Delete old deliveries and say how many."""


async def forget(deliveries: Deliveries, stop: asyncio.Event) -> None:
    """Forget old deliveries once an hour until `stop` is set; the recipients' addresses go with them."""
    while not stop.is_set():
        try:
            await deliveries.forget(KEEP_DAYS)
        except DbifyError as error:
            _log.warning("Old deliveries are kept for now: %s", error.message)
        try:
            async with asyncio.timeout(_EVERY_S):
                await stop.wait()
        except TimeoutError:
            continue
