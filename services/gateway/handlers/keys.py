"""A project's API keys: made, listed, replaced and ended."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from libs.common.errors import Code, DbifyError
from libs.common.ids import KeyId, ProjectId, new_id
from services.gateway.core.credentials import API_KEY, digest, is_id, shown
from services.gateway.core.pages import Page, Paging, cut
from services.gateway.handlers.credentials import new_credential

MAX_KEYS = 1_000
MAX_GRACE = timedelta(days=90)


class Key(msgspec.Struct, frozen=True):
    """An API key as its owner sees it later: never the key itself.

    Attributes:
        prefix: Its shown beginning.
        role: "" is read-write.
        expires_at: The end of its grace period, where it was rotated.
    """

    id: KeyId
    name: str
    prefix: str
    role: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


class Records(Protocol):
    """Where keys are kept. Each write announces itself as an event, in the same transaction."""

    async def add(self, project: ProjectId, key: Key, key_hash: bytes, limit: int) -> bool:
        """Keep a key; False where the project has `limit` already."""
        ...

    async def list(self, project: ProjectId, paging: Paging) -> list[Key]:
        """Up to one more than a page of the keys that work."""
        ...

    async def replace(
        self, project: ProjectId, old: KeyId, new_id: KeyId, new_prefix: str, new_hash: bytes, expires_at: datetime
    ) -> Key | None:
        """Keep the new key, and let the old one end; None where there is no old one."""
        ...

    async def end(self, project: ProjectId, key: KeyId) -> bool:
        """Revoke a key; False where there is no such one."""
        ...


class ApiKeys:
    """The use cases of keys; the caller has made sure whose project it is.

    Args:
        records: Where they are kept.
        settle: Waits until every process has seen the end of a key.
    """

    def __init__(self, records: Records, settle: Callable[[], Awaitable[None]]) -> None:
        self._records = records
        self._settle = settle

    async def create(self, project: ProjectId, name: str) -> tuple[Key, str]:
        """A new read-write key, and its text, which is shown this once."""
        text = new_credential(API_KEY)
        key = Key(KeyId(new_id()), name, shown(text), "", datetime.now(UTC), None, None)
        if not await self._records.add(project, key, digest(text), MAX_KEYS):
            message = f"A project may have {MAX_KEYS} keys: revoke one that is no longer used."
            raise DbifyError(Code.INVALID_REQUEST, message, {"limit": MAX_KEYS})
        return key, text

    async def list(self, project: ProjectId, paging: Paging) -> Page[Key]:
        """The keys that work, newest first."""
        paging.check(is_id)
        return cut(await self._records.list(project, paging), paging, lambda key: key.id)

    async def rotate(self, project: ProjectId, key: str, grace_s: int) -> tuple[Key, str]:
        """A new key of the same name and role; the old one works for `grace_s` more seconds."""
        if not 0 <= grace_s <= MAX_GRACE.total_seconds():
            message = f"graceSeconds goes from 0 to {int(MAX_GRACE.total_seconds())}."
            raise DbifyError(Code.INVALID_REQUEST, message, {"field": "graceSeconds"})
        text = new_credential(API_KEY)
        expires_at = datetime.now(UTC) + timedelta(seconds=grace_s)
        made = None
        if is_id(key):
            made = await self._records.replace(
                project, KeyId(key), KeyId(new_id()), shown(text), digest(text), expires_at
            )
        if made is None:
            raise _not_found(key)
        await self._settle()
        return made, text

    async def revoke(self, project: ProjectId, key: str) -> None:
        """End a key; it has stopped working in every process when this answers."""
        if not is_id(key) or not await self._records.end(project, KeyId(key)):
            raise _not_found(key)
        await self._settle()


def _not_found(key: str) -> DbifyError:
    return DbifyError(Code.KEY_NOT_FOUND, "The project has no such key.", {"key": key[:64]})
