import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from libs.common import postgres
from libs.common.events import KeyRevoked
from libs.common.ids import ProjectId, new_id
from services.notifier.adapters.postgres import Deliveries
from services.notifier.core.letters import Event
from services.notifier.handlers.notify import Claim

TO = "ada@example.com"


@pytest.fixture
async def pool(platform_database: str) -> AsyncIterator[asyncpg.Pool]:
    async with postgres.platform(platform_database, "notifier") as opened:
        yield opened


@pytest.fixture
def deliveries(pool: asyncpg.Pool) -> Deliveries:
    return Deliveries(pool)


@pytest.fixture
def revoked() -> Event:
    return Event(new_id(), ProjectId(4), "2026-11-25T10:11:12Z", 7, KeyRevoked("k1"))


async def test_of_many_who_want_a_mail_one_gets_it(deliveries: Deliveries, revoked: Event) -> None:
    claims = await asyncio.gather(*(deliveries.claim(revoked, TO, 45) for _ in range(20)))
    assert [claim for claim in claims if claim] == [Claim(1, may_repeat=False)]


async def test_a_failed_mail_is_free_again_without_being_a_repeat(deliveries: Deliveries, revoked: Event) -> None:
    claim = await deliveries.claim(revoked, TO, 45)
    assert claim
    await deliveries.settle(revoked, TO, claim, "failed", "full")
    assert not await deliveries.settled(revoked.id)
    assert await deliveries.claim(revoked, TO, 45) == Claim(2, may_repeat=False)


async def test_a_claim_that_ran_out_is_taken_over_as_a_possible_repeat(deliveries: Deliveries, revoked: Event) -> None:
    lost = await deliveries.claim(revoked, TO, 45)
    assert lost
    taken = await deliveries.claim(revoked, TO, 0)
    assert taken == Claim(2, may_repeat=True)
    await deliveries.settle(revoked, TO, lost, "failed", "too late")
    assert await deliveries.claim(revoked, TO, 45) is None
    await deliveries.settle(revoked, TO, taken, "sent")
    assert await deliveries.settled(revoked.id)
    assert await deliveries.claim(revoked, TO, 0) is None


async def test_only_what_is_older_than_asked_is_forgotten(
    deliveries: Deliveries, revoked: Event, pool: asyncpg.Pool
) -> None:
    assert await deliveries.claim(revoked, TO, 45)
    assert await deliveries.forget(90) == 0
    await pool.execute("UPDATE deliveries SET created_at = now() - interval '91 days'")
    assert await deliveries.forget(90) == 1
