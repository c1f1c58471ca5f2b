"""Lists in pages: `limit` and `after` in, a page and the next cursor out."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from libs.common.errors import Code, DbifyError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

Item = TypeVar("Item")


class Paging(msgspec.Struct, frozen=True):
    """Which page: at most `limit` items that stand behind the one with the id `after`."""

    limit: int = DEFAULT_LIMIT
    after: str | None = None

    def check(self, is_cursor: Callable[[str], bool]) -> None:
        """Refuse a limit out of bounds and an `after` that no list answered. INVALID_REQUEST."""
        if not 1 <= self.limit <= MAX_LIMIT:
            message = f"limit is {self.limit}; it goes from 1 to {MAX_LIMIT}."
            raise DbifyError(Code.INVALID_REQUEST, message, {"parameter": "limit"})
        if self.after is not None and not is_cursor(self.after):
            message = "after is not a nextCursor of this list."
            raise DbifyError(Code.INVALID_REQUEST, message, {"parameter": "after"})


class Page(msgspec.Struct, Generic[Item], frozen=True, rename="camel"):
    """A page of a list; `next_cursor` is null on the last one."""

    data: list[Item]
    next_cursor: str | None


def cut(items: Sequence[Item], paging: Paging, cursor: Callable[[Item], str]) -> Page[Item]:
    """The page out of up to `limit + 1` items: the one too many says that there are more."""
    data = list(items[: paging.limit])
    return Page(data, cursor(data[-1]) if len(items) > paging.limit else None)
