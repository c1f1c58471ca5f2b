"""Whether a target answers rightly: nothing is measured that is not, for speed is easy without."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import asyncpg

from bench.targets import Missing, Target, send

WORKLOADS = {"a": "read by key", "b": "filtered list", "c": "create", "d": "update", "e": "embed"}
_CUSTOMER, _ORDER = 3, 5
_MADE = {"customer_id": 1003, "status": "paid", "total": 12.34}
_EXPECTED = {
    "a": ("SELECT row_to_json(c) FROM customer c WHERE id = $1", _CUSTOMER),
    "b": (
        """SELECT json_agg(row_to_json(t)) FROM (
            SELECT * FROM "order" WHERE customer_id = $1 AND status = 'paid' ORDER BY created_at DESC LIMIT 20
        ) t""",
        _CUSTOMER,
    ),
    "c": ('SELECT row_to_json(o) FROM "order" o ORDER BY id DESC OFFSET $1 LIMIT 1', 0),
    "d": ('SELECT row_to_json(o) FROM "order" o WHERE id = $1', _ORDER),
    "e": (
        """SELECT row_to_json(x) FROM (
            SELECT o.*, row_to_json(c) AS customer,
                (SELECT json_agg(i ORDER BY id) FROM order_item i WHERE i.order_id = o.id) AS items
            FROM "order" o JOIN customer c ON c.id = o.customer_id WHERE o.id = $1
        ) x""",
        _ORDER,
    ),
}  # fmt: skip


class Request(NamedTuple):
    """What is sent, and the status it must have."""

    method: str
    path: str
    body: object
    status: int


_REST = {
    "a": Request("GET", f"/customers/{_CUSTOMER}", None, 200),
    "b": Request("GET", f"/orders?customer_id={_CUSTOMER}&status=paid&limit=20", None, 200),
    "c": Request("POST", "/orders", _MADE, 201),
    "d": Request("PATCH", f"/orders/{_ORDER}", {"total": 56.78}, 200),
    "e": Request("GET", f"/orders/{_ORDER}/full", None, 200),
}
_LIST = {"where": {"customer_id": _CUSTOMER, "status": "paid"}, "orderBy": {"created_at": "desc"}, "limit": 20}
_EMBED = {"where": {"id": _ORDER}, "include": {"customer": True, "order_item": True}}
_QUERY: Mapping[str, tuple[str, str, object]] = {
    "a": ("read", "customer", {"id": _CUSTOMER}),
    "b": ("read", "order", _LIST),
    "c": ("create", "order", {"data": _MADE}),
    "d": ("update", "order", {"where": {"id": _ORDER}, "data": {"total": 56.78}}),
    "e": ("read", "order", _EMBED),
}
# Until the query language has `include`, the gateway answers one of these.
_NOT_YET = {"UNKNOWN_FIELD", "INVALID_REQUEST", "UNKNOWN_OPERATION"}


class WrongAnswer(Exception):  # noqa: N818 - a finding, not a failure of ours
    """A target answers something else than the database holds."""


async def check(target: Target, workload: str, connection: asyncpg.Connection) -> None:
    """Send one request of the workload and compare status and body with what the database says itself.

    Raises:
        WrongAnswer: If they differ.
        Missing: If the gateway's language does not have the operation yet.
    """
    request = _query(target, workload) if target.script == "dbify" else _REST[workload]
    status, answer = send(request.method, f"{target.url}{request.path}", request.body)
    if workload == "e" and isinstance(answer, dict) and answer.get("errorCode") in _NOT_YET:
        raise Missing(f"{target.name}: the query language has no `include` yet ({answer['errorCode']})")
    if status != request.status:
        raise WrongAnswer(f"{target.name}, {WORKLOADS[workload]}: status {status}, not {request.status}: {answer}")
    expected = json.loads(await connection.fetchval(*_EXPECTED[workload]))
    if plain(_rows(target, workload, answer)) != plain(expected):
        raise WrongAnswer(f"{target.name}, {WORKLOADS[workload]}: {answer}\nbut the database holds {expected}")


def _query(target: Target, workload: str) -> Request:
    operation, table, payload = _QUERY[workload]
    known = {"projectId": int(target.environ["PROJECT"]), "apiKey": target.environ["KEY"]}
    return Request("POST", "/query", {**known, "operation": operation, "tableName": table, "payload": payload}, 200)


def _rows(target: Target, workload: str, answer: Any) -> object:
    """The rows alone: the gateway wraps them, in a list for reads and updates."""
    if target.script != "dbify":
        return answer
    rows = answer["data"]
    return rows[0] if workload in "ade" else rows


def plain(value: object) -> object:
    """A row as values: targets write numbers, times and names in different ways."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    named = {("items" if key == "order_item" else key): _value(key, one) for key, one in value.items()}
    if isinstance(named.get("items"), list):
        named["items"].sort(key=lambda item: item["id"])
    return named


def _value(key: str, value: Any) -> Any:
    if key in {"total", "price"}:
        return Decimal(str(value))
    if key == "created_at":
        return datetime.fromisoformat(value)
    return plain(value)
