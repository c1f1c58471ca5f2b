"""A dictionary that forgets its oldest entry rather than grow without end."""

from typing import Generic, TypeVar, overload

Key = TypeVar("Key")
Value = TypeVar("Value")


class Bounded(Generic[Key, Value]):
    """At most `capacity` entries; the one put first goes first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: dict[Key, Value] = {}

    @overload
    def get(self, key: Key) -> Value | None: ...
    @overload
    def get(self, key: Key, default: Value) -> Value: ...
    def get(self, key: Key, default: Value | None = None) -> Value | None:
        """The entry, or the default."""
        return self._entries.get(key, default)

    def put(self, key: Key, value: Value) -> None:
        """Add or replace an entry; it counts as the newest."""
        self._entries.pop(key, None)
        if len(self._entries) >= self._capacity:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = value

    def pop(self, key: Key) -> Value | None:
        """Remove an entry, if it is there."""
        return self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
