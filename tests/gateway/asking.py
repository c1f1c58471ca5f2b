"""`POST /query` in one process: the handler over a real database, without keys, network or log."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from libs.common import dsn
from libs.common.dial import dial
from libs.common.ids import KeyId, ProjectId
from libs.common.logs import LogRecord
from services.gateway.adapters.databases import databases
from services.gateway.adapters.redis import shared
from services.gateway.core.catalog import Catalog
from services.gateway.handlers.query import Query
from services.gateway.handlers.running import Databases, Identity
from services.gateway.handlers.targets import Target
from services.introspector.adapters.catalog import Catalog as Introspector
from services.introspector.core.assemble import assemble

PROJECT = ProjectId(1)


class AnyKey:
    async def identify(self, api_key: str, project: int | None) -> Identity:
        assert api_key
        return Identity(ProjectId(project or PROJECT), KeyId("key"), "")


class OneTarget:
    def __init__(self, url: str, timeout_ms: int) -> None:
        parsed = dsn.parse(url)
        self._target = Target(parsed, (parsed.host,), 1, 5, timeout_ms)

    async def target(self, project: ProjectId) -> Target:
        assert project
        return self._target


class Looks:
    """Snapshots read from the database itself, as the introspector reads them; the first alone once `over`."""

    def __init__(self, url: str) -> None:
        self._dsn = dsn.parse(url)
        self._fingerprint = ""
        self._catalog: Catalog | None = None
        self.over = False

    async def current(self, project: ProjectId) -> Catalog:
        return self._catalog or await self.refresh(project, 0)

    async def refresh(self, project: ProjectId, newer_than: int) -> Catalog:
        assert project
        if self._catalog and self.over:
            return self._catalog
        connection = await dial(self._dsn, (self._dsn.host,))
        try:
            reading = await Introspector(connection).read(self._fingerprint)
        finally:
            await connection.close()
        if reading is not None:
            self._fingerprint = reading.origin.fingerprint
            self._catalog = Catalog(assemble(reading, newer_than + 1))
        assert self._catalog
        return self._catalog


class Records:
    def __init__(self) -> None:
        self.all: list[LogRecord] = []

    def add(self, record: LogRecord) -> None:
        self.all.append(record)


class Asking:
    def __init__(self, url: str, adapter: Databases) -> None:
        self.url = url
        self.looks = Looks(url)
        self.records = Records()
        self.query = Query(AnyKey(), self.looks, adapter, self.records)

    async def send(self, body: bytes) -> tuple[int, bytes]:
        response = await self.query(body, None, "request", "loopback")
        return response.status, response.body

    async def raw(self, operation: str, table: str, payload: str = "{}") -> tuple[int, str]:
        """Ask with a payload as JSON text, and get the answer's text: nothing is lost in Python's numbers."""
        names = f'"operation": {json.dumps(operation)}, "tableName": {json.dumps(table)}'
        status, body = await self.send(f'{{"projectId": 1, "apiKey": "k", {names}, "payload": {payload}}}'.encode())
        return status, body.decode()

    async def ask(self, operation: str, table: str, payload: Any) -> Any:
        """The answer, which must be a success."""
        status, body = await self.raw(operation, table, json.dumps(payload))
        assert status == 200, body
        return json.loads(body)

    async def data(self, operation: str, table: str, payload: Any) -> Any:
        return (await self.ask(operation, table, payload))["data"]

    async def error(self, operation: str, table: str, payload: Any) -> tuple[str, str]:
        """The error's code and message."""
        status, body = await self.raw(operation, table, json.dumps(payload))
        assert status >= 400, body
        answer = json.loads(body)
        assert answer["requestId"] == "request"
        return answer["errorCode"], answer["message"]

    async def value(self, sql: str, *arguments: Any) -> Any:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()

    async def execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


@asynccontextmanager
async def asking(url: str, valkey_url: str, *, timeout_ms: int = 10_000) -> AsyncIterator[Asking]:
    """Ask a database's tables."""
    async with shared(valkey_url) as redis, databases(OneTarget(url, timeout_ms), redis) as adapter:
        yield Asking(url, adapter)
