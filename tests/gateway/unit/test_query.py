"""What the handler adds to its stages: their order, the retry on a newer schema, and a record of every request."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from libs.common.dsn import parse
from libs.common.errors import Code, DbifyError
from libs.common.ids import KeyId, ProjectId
from libs.common.logs import LogRecord
from libs.common.schema import Schema, Table
from services.gateway.core.catalog import Catalog
from services.gateway.core.plan import Plan
from services.gateway.handlers.query import Query, Response
from services.gateway.handlers.running import Identity, Isolation, Result, Session
from services.gateway.handlers.targets import Target
from tests.gateway.tables import BOOK, LOG, schema


class Keys:
    async def identify(self, api_key: str, project: int | None) -> Identity:
        if api_key != "good":
            raise DbifyError(Code.INVALID_API_KEY, "The API key is not valid.")
        return Identity(ProjectId(project or 4), KeyId("key"), "reader")


class Schemas:
    """Serves the first schema until it is asked for a newer one."""

    def __init__(self, *schemas: Schema) -> None:
        self.catalogs = [Catalog(each) for each in schemas]
        self.looks = 0

    async def current(self, project: ProjectId) -> Catalog:
        assert project
        return self.catalogs[0]

    async def refresh(self, project: ProjectId, newer_than: int) -> Catalog:
        assert project
        assert newer_than == self.catalogs[0].version
        self.looks += 1
        return self.catalogs[-1]


class Databases:
    """Answers or raises what it is given, in order, the last again and again."""

    def __init__(self, *outcomes: Result | Exception) -> None:
        self.outcomes = list(outcomes)
        self.plans: list[Plan] = []

    async def run(self, project: ProjectId, plan: Plan, role: str = "") -> Result:
        assert project == 4
        assert role == "reader"
        self.plans.append(plan)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def target(self, project: ProjectId) -> Target:
        assert project == 4
        return Target(parse("postgresql://u:p@h/d"), (), 1, 1, 1000)

    @asynccontextmanager
    async def transaction(
        self, project: ProjectId, *, isolation: Isolation = "read committed", read_only: bool = False
    ) -> AsyncIterator[Session]:
        raise NotImplementedError(project, isolation, read_only)
        yield  # type: ignore[unreachable]  # it makes this a generator


class Requests:
    def __init__(self) -> None:
        self.records: list[LogRecord] = []

    def add(self, record: LogRecord) -> None:
        self.records.append(record)


class Gateway:
    def __init__(self, databases: Databases, *schemas: Schema) -> None:
        self.databases = databases
        self.schemas = Schemas(*(schemas or (schema(BOOK),)))
        self.requests = Requests()
        self.query = Query(Keys(), self.schemas, self.databases, self.requests)

    async def ask(self, **fields: Any) -> Response:
        body = {"projectId": 4, "apiKey": "good", "operation": "read", "tableName": "book", **fields}
        return await self.query(json.dumps(body).encode(), None, "request-1", "private")

    async def code(self, **fields: Any) -> str:
        response = await self.ask(**fields)
        return str(json.loads(response.body).get("errorCode", ""))


ROW = Result(b'[{"id":1}]', None, 1, 1_234)


def newer(*tables: Table) -> Schema:
    return msgspec.structs.replace(schema(*tables), version=2)


async def test_an_answer_carries_data_headers_and_a_record() -> None:
    gateway = Gateway(Databases(Result(b'[{"id":1}]', 7, 1, 1_234)))
    response = await gateway.ask(payload={"where": {"title": "x"}, "count": True})
    assert response.status == 200
    assert response.body == b'{"data":[{"id":1}],"count":7}'
    headers = dict(response.headers)
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Request-Id"] == "request-1"
    assert headers["Server-Timing"].endswith("db;dur=1.23")
    (record,) = gateway.requests.records
    assert record.request_id == "request-1"
    assert (record.project, record.key, record.role) == (4, "key", "reader")
    assert (record.operation, record.table, record.columns) == ("read", "public.book", ("title",))
    assert (record.status, record.error, record.rows, record.database_us) == (200, "", 1, 1_234)
    assert record.size_bytes == len(response.body)
    assert record.client == "private"
    assert record.duration_us >= 0
    assert record.time_us > 1_700_000_000_000_000


async def test_without_rows_only_the_count_is_answered() -> None:
    response = await Gateway(Databases(Result(b"", 3, 3, 1))).ask(
        operation="delete", payload={"all": True, "select": False}
    )
    assert response.body == b'{"count":3}'


async def test_a_wrong_key_goes_before_a_wrong_table_and_a_malformed_body_before_both() -> None:
    gateway = Gateway(Databases(ROW))
    assert await gateway.code(apiKey="bad", tableName="nowhere", operation="fly", extra=1) == "INVALID_API_KEY"
    assert json.loads((await gateway.query(b"{", None, "r", "public")).body)["errorCode"] == "INVALID_JSON"
    assert [(record.status, record.error) for record in gateway.requests.records] == [
        (401, "INVALID_API_KEY"),
        (400, "INVALID_JSON"),
    ]
    assert gateway.databases.plans == []


async def test_a_failing_request_is_recorded_with_what_is_known_of_it() -> None:
    gateway = Gateway(Databases(ROW))
    await gateway.ask(payload={"titel": 1})
    (record,) = gateway.requests.records
    assert (record.status, record.error, record.table, record.operation) == (
        400,
        "COLUMN_NOT_FOUND",
        "public.book",
        "read",
    )


async def test_a_table_that_is_new_is_found_by_a_second_look() -> None:
    gateway = Gateway(Databases(ROW), schema(BOOK), newer(BOOK, LOG))
    assert (await gateway.ask(tableName="log")).status == 200
    assert gateway.schemas.looks == 1


async def test_a_table_that_does_not_exist_is_looked_for_once() -> None:
    gateway = Gateway(Databases(ROW))
    assert await gateway.code(tableName="log") == "TABLE_NOT_FOUND"
    assert gateway.schemas.looks == 1


@pytest.mark.parametrize("operation", ["read", "delete"])
async def test_a_schema_that_changed_is_read_again_and_the_statement_planned_anew(operation: str) -> None:
    changed = DbifyError(Code.SCHEMA_CHANGED, "The schema changed.")
    gateway = Gateway(Databases(changed, ROW), schema(BOOK), newer(BOOK))
    response = await gateway.ask(operation=operation, payload={"where": {"id": 1}})
    assert response.status == 200
    assert len(gateway.databases.plans) == 2


async def test_a_second_change_or_an_unchanged_schema_is_answered() -> None:
    changed = DbifyError(Code.SCHEMA_CHANGED, "The schema changed.")
    again = Gateway(Databases(changed), schema(BOOK), newer(BOOK))
    assert await again.code() == "SCHEMA_CHANGED"
    assert len(again.databases.plans) == 2
    unchanged = Gateway(Databases(changed))
    assert await unchanged.code() == "SCHEMA_CHANGED"
    assert len(unchanged.databases.plans) == 1


async def test_a_defect_is_answered_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    gateway = Gateway(Databases(RuntimeError("the secret reason")))
    response = await gateway.ask()
    assert response.status == 500
    assert b"secret" not in response.body
    assert json.loads(response.body)["requestId"] == "request-1"
    assert "the secret reason" in caplog.text
    assert gateway.requests.records[0].error == "INTERNAL_ERROR"


async def test_a_client_that_leaves_is_recorded() -> None:
    class Slow(Databases):
        async def run(self, project: ProjectId, plan: Plan, role: str = "") -> Result:
            assert role == "reader"
            started.set()
            await asyncio.Event().wait()
            return await super().run(project, plan)

    started = asyncio.Event()
    gateway = Gateway(Slow(ROW))
    asking = asyncio.create_task(gateway.ask())
    await started.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert gateway.requests.records[0].status == 499


def hostile() -> Iterator[bytes]:
    """Bodies that nest, in every position, what does not belong there."""
    nested = b"[" * 900 + b"]" * 900
    deep = b'{"a":' * 400 + b"1" + b"}" * 400
    values = (
        b"null",
        b"true",
        b"-0",
        b"1e999",
        b"1" * 400,
        b"1e-9999999999999999999",
        b'""',
        b'"\\u0000"',
        b'"%s"',
        b"[]",
        b"{}",
        b"[null]",
        b'{"":""}',
        b'{"equals":{}}',
        b'{"in":[[[[]]]]}',
        b'{"not":{"not":{"not":null}}}',
        b'{"path":["a"],"equals":1}',
        b'"\'; drop table book; --"',
        b'{"isNull":"x"}',
        b'{"increment":{}}',
        b'{"mode":1}',
        b'"' + b"x" * 5_000 + b'"',
        nested,
        deep,
    )
    places = (
        b"%b",
        b'{"id":%b}',
        b'{"meta":%b}',
        b'{"tags":%b}',
        b'{"AND":%b}',
        b'{"OR":[%b]}',
        b'{"NOT":%b}',
        b'{"where":%b}',
        b'{"where":{"title":%b}}',
        b'{"select":%b}',
        b'{"orderBy":%b}',
        b'{"orderBy":{"id":%b}}',
        b'{"limit":%b}',
        b'{"offset":%b}',
        b'{"count":%b}',
        b'{"data":%b}',
        b'{"data":[%b]}',
        b'{"data":{"meta":%b}}',
        b'{"data":[{"tags":%b},{"id":%b}]}',
        b'{"where":{"id":1},"data":%b}',
        b'{"where":{"id":1},"data":{"sold":%b}}',
        b'{"all":%b}',
        b'{"where":{"id":1},"select":%b}',
    )
    for operation in (b"read", b"create", b"update", b"delete"):
        for place in places:
            for value in values:
                payload = place.replace(b"%b", value)
                yield b'{"projectId":4,"apiKey":"good","operation":"%b","tableName":"book","payload":%b}' % (
                    operation,
                    payload,
                )
    for field in (b"projectId", b"apiKey", b"operation", b"tableName", b"payload", b"other"):
        for value in values:
            yield b'{"projectId":4,"apiKey":"good","operation":"read","tableName":"book","%b":%b}' % (field, value)
            yield value


async def test_no_hostile_body_meets_a_defect() -> None:
    gateway = Gateway(Databases(ROW))
    bodies = 0
    for body in hostile():
        response = await gateway.query(body, None, "r", "public")
        assert response.status in (200, 400, 401, 404, 413, 422), (body[:300], response.body)
        assert json.loads(response.body)
        bodies += 1
    assert bodies > 2_000
    assert len(gateway.requests.records) == bodies
