"""ASGI 3's types (asgi.readthedocs.io): the edge, where messages are still mappings of anything."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of this name, which is in lower case."""
    headers: Headers = scope["headers"]
    for given, value in headers:
        if given == name:
            return value
    return None
