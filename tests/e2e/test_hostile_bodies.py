"""Whatever is sent: an answer of the documented form, no defect of ours, no row of another project."""

import http.client
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from libs.common.errors import Code
from tests.asking import Caller
from tests.running import RunningStack

EXAMPLES, BODIES_EACH = 2_000, 10
SECRET = "row-of-another-project"
STATUSES = {code.status for code in Code} - {500, 502} | {200}
GROWTH_BYTES = 150 * 1024 * 1024

NAMES = [
    "Project", "User", "customer", "order", "review", "id", "email", "title", "password", "name", "price", "status",
    "attributes", "tags", "created_at", "public", "private_note",
]  # fmt: skip
SQL = [
    "' OR 1=1 --", '"; DROP TABLE "Project"; --', "$1", "1; SELECT pg_sleep(9)", "\\'; --", "public.Project",
    'private"."note', "pg_catalog.pg_authid", "%s", "{{7*7}}", "id) OR (1=1", "../../etc/passwd", "\x00", "\ud800",
]  # fmt: skip
WORDS = [
    "where", "data", "select", "orderBy", "limit", "offset", "count", "AND", "OR", "NOT", "equals", "not", "in",
    "notIn", "lt", "gte", "contains", "startsWith", "like", "ilike", "regex", "mode", "isNull", "has", "hasSome",
    "isEmpty", "path", "increment", "multiply", "all", "sort", "nulls", "stringifyNumeric", "include", "ifVersion",
]  # fmt: skip

hostile_text = st.one_of(st.sampled_from(NAMES + SQL + WORDS), st.text(max_size=12))
numbers = st.one_of(
    st.integers(),
    st.integers(-5, 150),
    st.floats(),
    st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**400, 1e308, -0.0]),
)
leaves = st.one_of(st.none(), st.booleans(), numbers, hostile_text)
values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(hostile_text, inner, max_size=4)),
    max_leaves=10,
)
columns = st.sampled_from(NAMES)
tests = st.one_of(values, st.dictionaries(st.sampled_from(WORDS), values, max_size=3))
conditions = st.recursive(
    st.dictionaries(st.one_of(columns, hostile_text), tests, max_size=3),
    lambda inner: st.one_of(
        st.fixed_dictionaries({}, optional={"AND": st.lists(inner, max_size=3), "OR": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"NOT": inner}),
    ),
    max_leaves=6,
)
payloads = st.one_of(
    values,
    st.fixed_dictionaries(
        {},
        optional={
            "where": st.one_of(conditions, values),
            "data": st.one_of(
                values,
                st.dictionaries(columns, values, max_size=4),
                st.lists(st.dictionaries(columns, values), max_size=3),
            ),
            "select": st.one_of(st.lists(columns, max_size=4), values),
            "orderBy": st.one_of(st.dictionaries(columns, st.sampled_from(["asc", "desc", "up"]), max_size=2), values),
            "limit": st.one_of(st.integers(-1, 1_001), values),
            "offset": values,
            "count": values,
            "stringifyNumeric": values,
        },
    ),
)
operations = st.one_of(st.sampled_from(["read", "create", "update", "delete"]), hostile_text)
requests = st.one_of(
    st.fixed_dictionaries(
        {"operation": operations, "tableName": st.one_of(columns, hostile_text), "payload": payloads}
    ),
    st.fixed_dictionaries(
        {},
        optional={"operation": values, "tableName": values, "payload": values, "projectId": values, "apiKey": values},
    ),
    values,
)
raw = st.one_of(
    st.binary(max_size=60), st.sampled_from([b"", b"{", b"[" * 5000, b'{"a":' * 900, b"\xef\xbb\xbf{}", b"NaN"])
)


class Target:
    """A project under attack, and one next to it."""

    def __init__(self, stack: RunningStack, caller: Caller) -> None:
        self.caller = caller
        self.gateways = [part for part in stack.parts() if part.startswith("gateway")]
        self.stack = stack
        self.connection = http.client.HTTPConnection(urlsplit(caller.url).netloc, timeout=30)

    def memory(self) -> dict[int, int]:
        """Resident bytes of each gateway process."""
        found = {}
        for part in self.gateways:
            process = self.stack.process(part)
            assert process is not None, f"{part} is gone"
            found[process.pid] = psutil.Process(process.pid).memory_info().rss
        return found

    def attack(self, body: Any) -> None:
        """Send a body, with the project's key where it is an object that has none, and look at the answer."""
        if isinstance(body, dict):
            body = {"projectId": self.caller.project, "apiKey": self.caller.demo["apiKey"], **body}
        data = body if isinstance(body, bytes) else encoded(body)
        self.connection.request("POST", "/query", data)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status in STATUSES, (answer.status, text[:300], data[:300])
        # A regular expression can be made to run until its time is over; nothing else is down or slow.
        assert answer.status not in (503, 504) or b"regex" in data, (answer.status, text[:300], data[:300])
        assert SECRET.encode() not in text
        if answer.status != 200:
            error = json.loads(text)
            assert error.keys() == {"errorCode", "message", "details", "requestId"}
            assert Code[error["errorCode"]].status == answer.status


def encoded(body: Any) -> bytes:
    """As JSON, with what Python alone would write: NaN, lone surrogates."""
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")


@pytest.fixture
async def target(stack: RunningStack, database: str) -> AsyncIterator[Target]:
    connection = await asyncpg.connect(database)
    await connection.execute(f"CREATE TABLE private_note (id int PRIMARY KEY, text text DEFAULT '{SECRET}')")
    await connection.execute("INSERT INTO private_note SELECT generate_series(1, 10)")
    await connection.close()
    caller = Caller(stack.demo)
    caller.register("Next door", database)
    target = Target(stack, caller)
    yield target
    target.connection.close()


@pytest.mark.timeout(900)
def test_20000_hostile_bodies_find_no_defect(target: Target) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(st.lists(st.one_of(requests, requests, requests, raw), min_size=BODIES_EACH, max_size=BODIES_EACH))
    def attack(bodies: list[Any]) -> None:
        for body in bodies:
            target.attack(body)

    for _ in range(500):
        target.attack({"operation": "read", "tableName": "Project", "payload": {"limit": 5}})
    before = target.memory()
    attack()
    after = target.memory()
    assert after.keys() == before.keys(), "a gateway process was replaced"
    for pid, size in after.items():
        assert size - before[pid] < GROWTH_BYTES
