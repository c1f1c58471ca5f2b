"""A project's own API described: OpenAPI, and types for TypeScript and Python."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Final, Protocol

from libs.common.ids import ProjectId
from libs.common.rpc import Owner
from services.gateway.core.declarations import Language, declarations
from services.gateway.core.openapi import Named, document
from services.gateway.handlers.running import Schemas
from services.gateway.handlers.saved import SavedQueries

# A description of 1,500 tables has 14 MB.
_KEPT: Final = 8


class Owners(Protocol):
    """Whose project it is, and what it is called."""

    async def owner(self, project: ProjectId) -> Owner | None:
        """Its owner with the project's name."""
        ...


class Documents:
    """Descriptions, made once for each version of the schema and of the saved queries."""

    def __init__(self, schemas: Schemas, saved: SavedQueries, owners: Owners) -> None:
        self._schemas = schemas
        self._saved = saved
        self._owners = owners
        self._kept: dict[Hashable, bytes] = {}

    async def openapi(self, project: ProjectId, url: str) -> bytes:
        """The project's API as OpenAPI 3.1.

        Args:
            project: The project.
            url: Where the gateway is reached.
        """
        schema = (await self._schemas.current(project)).schema
        saved = await self._saved.all(project)
        owner = await self._owners.owner(project)
        name = owner.project_name if owner else f"Project {project}"
        version = tuple((query.id, query.version) for query in saved)
        queries = [Named(query.name, query.definition) for query in saved]
        key = ("openapi", project, schema.database, schema.version, version, name, url)
        return await self._made(key, lambda: document(schema, project, name, queries, url))

    async def types(self, project: ProjectId, language: Language) -> bytes:
        """The project's tables as types."""
        schema = (await self._schemas.current(project)).schema
        key = (language, project, schema.database, schema.version)
        return await self._made(key, lambda: declarations(schema, language).encode())

    async def _made(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        found = self._kept.pop(key, None)
        if found is None:
            # Half a second for 1,500 tables: others are served meanwhile.
            found = await asyncio.to_thread(make)
        self._kept[key] = found
        while len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        return found
