"""How many connections each gateway process may hold to a project's database: one budget for the whole fleet.

A process leases a slot in Redis for each connection and renews it while the connection lives, so that the slots of a
process that died come free by themselves. Every process may have one connection whatever the others hold, for a project
that it cannot serve at all is worse than a budget overdrawn by one. While Redis is down a process keeps what it has.
"""

import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final, cast

from redis.asyncio import Redis

from libs.common.ids import ProjectId
from services.gateway.adapters.redis import Shared, UnreachableError

LEASE_S: Final = 30.0
_LEASE_MS: Final = str(int(LEASE_S * 1000))
RENEW_EVERY_S: Final = 8.0
# What a process may open to one database while Redis is down: two, so that one slow statement does not stop a project.
WITHOUT_REDIS: Final = 2
# For all projects together; a file descriptor each, of the 1,024 that a process has by default.
MAX_CONNECTIONS: Final = 800

# Scores are when a slot comes free, by Redis' own clock.
_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if ARGV[4] ~= '0' and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
    return 0
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
_RENEW: Final = """
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for i = 2, #ARGV do
    redis.call('ZADD', KEYS[1], ends, ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""


class Leases:
    """The slots that this process holds, by project."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._process = secrets.token_hex(6)
        self._made = 0
        self._used: defaultdict[ProjectId, set[str]] = defaultdict(set)
        # Given back while Redis was down: still leased there as far as anybody knows.
        self._spare: defaultdict[ProjectId, set[str]] = defaultdict(set)

    async def take(self, project: ProjectId, budget: int) -> str | None:
        """A slot for one more connection, or None where the budget is used up."""
        used = self._used[project]
        if sum(map(len, self._used.values())) >= MAX_CONNECTIONS:
            return None
        spare = self._spare.get(project)
        if spare:
            slot = spare.pop()
        else:
            self._made += 1
            slot = f"{self._process}/{self._made}"
            # Counted before it is asked for, so that two who ask at once do not both count as the first.
            others = len(used)
            used.add(slot)
            if not await self._granted(project, slot, budget, others):
                used.discard(slot)
                return None
        used.add(slot)
        return slot

    async def give(self, project: ProjectId, slot: str) -> None:
        """The connection is closed."""
        self._used[project].discard(slot)
        try:
            await self._shared.call(lambda redis: redis.zrem(_key(project), slot))
        except UnreachableError:
            self._spare[project].add(slot)

    async def renew(self) -> None:
        """Hold on to what is used, and give back what could not be given back before."""
        for project in [*self._spare]:
            for slot in self._spare.pop(project):
                await self.give(project, slot)
        for project in [*self._used]:
            slots = self._used[project]
            if not slots:
                del self._used[project]
                continue
            try:
                await self._shared.call(_script(_RENEW, project, (_LEASE_MS, *slots)))
            except UnreachableError:
                return

    async def _granted(self, project: ProjectId, slot: str, budget: int, others: int) -> bool:
        arguments = (slot, str(budget), _LEASE_MS, str(others))
        try:
            return bool(await self._shared.call(_script(_TAKE, project, arguments)))
        except UnreachableError:
            return others < WITHOUT_REDIS


def _key(project: ProjectId) -> str:
    return f"dbify:connections:{project}"


def _script(script: str, project: ProjectId, arguments: tuple[str, ...]) -> Callable[[Redis], Awaitable[object]]:
    """A call of a script. The client's type says that it may also answer at once, which the asyncio one does not."""
    return lambda redis: cast("Awaitable[object]", redis.eval(script, 1, _key(project), *arguments))
