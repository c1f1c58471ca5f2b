"""Deliveries in the platform database."""

from datetime import timedelta
from uuid import UUID

import asyncpg

from libs.common.postgres import guarded
from services.notifier.core.letters import Event
from services.notifier.handlers.notify import Claim

_SETTLED = "SELECT EXISTS (SELECT FROM deliveries WHERE event = $1 AND state IN ('sent', 'undeliverable'))"
_CLAIM = """
INSERT INTO deliveries AS held (event, recipient, project, kind, state) VALUES ($1, $2, $3, $4, 'claimed')
ON CONFLICT (event, recipient) DO UPDATE
SET state = 'claimed', attempts = held.attempts + 1, claimed_at = now(),
    unknown_attempts = held.unknown_attempts + (held.state = 'claimed')::integer
WHERE held.state = 'failed' OR (held.state = 'claimed' AND held.claimed_at < now() - $5::interval)
RETURNING attempts, unknown_attempts
"""
# The attempt keeps one whose claim ran out from settling another's.
_SETTLE = """
UPDATE deliveries SET state = $4, reason = $5, settled_at = now()
WHERE event = $1 AND recipient = $2 AND attempts = $3 AND state = 'claimed'
"""
_FORGET = "DELETE FROM deliveries WHERE created_at < now() - $1::interval"


class Deliveries:
    """The table `deliveries`; a database that cannot be reached is PLATFORM_UNAVAILABLE."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def settled(self, event: str) -> bool:
        """Whether nothing is left to do about an event."""
        with guarded():
            return bool(await self._pool.fetchval(_SETTLED, UUID(event)))

    async def claim(self, event: Event, recipient: str, duration_s: float) -> Claim | None:
        """Take the mail on, or None where another holds it or it is settled."""
        lasts = timedelta(seconds=duration_s)
        with guarded():
            row = await self._pool.fetchrow(_CLAIM, UUID(event.id), recipient, event.project, event.data.kind, lasts)
        return None if row is None else Claim(row["attempts"], row["unknown_attempts"] > 0)

    async def settle(self, event: Event, recipient: str, claim: Claim, state: str, reason: str = "") -> None:
        """Record what became of a claimed mail."""
        with guarded():
            await self._pool.execute(_SETTLE, UUID(event.id), recipient, claim.attempt, state, reason)

    async def forget(self, older_than_days: int) -> int:
        """Delete old deliveries and say how many."""
        with guarded():
            status = await self._pool.execute(_FORGET, timedelta(days=older_than_days))
        return int(status.rpartition(" ")[2])

    async def check(self) -> None:
        """Raise unless the table can be read."""
        with guarded():
            await self._pool.execute("SELECT FROM deliveries LIMIT 1")
