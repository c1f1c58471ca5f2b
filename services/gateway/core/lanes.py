"""Reads by a unique key that may travel together: which they are, and the statement that answers many at once.

Requests share a lane where everything but the key's value is the same: the compiled statement and every other bound
value. Each answer is found by its position, so nobody has to know what makes two keys equal (citext, numeric, char(n),
collations). A key joins only where it is certain to be a value of its type: one bad value would fail them all.
"""

# ruff: noqa: S608  # Names are quoted from the snapshot, and values are parameters: no text of a request is in the SQL.

import re
from collections.abc import Callable, Iterator
from typing import Final

from libs.common.schema import Column
from services.gateway.core import types
from services.gateway.core.catalog import Relation
from services.gateway.core.conditions import And, Node, Test
from services.gateway.core.json import Path
from services.gateway.core.payload import Read
from services.gateway.core.rows import relation_sql, rows
from services.gateway.core.statement import Encode, Lane, Parameters, Slot
from services.gateway.core.where import Scope, where

# Longer rows are read alone, so that a batch stays far below what one answer may have.
MAX_SHARED_BYTES: Final = 32 * 1024
_LONGEST_KEY: Final = 1024

Accepts = Callable[[str], object]


def _form(pattern: str) -> Accepts:
    return re.compile(pattern, re.ASCII).fullmatch


# Values that each type is certain to take, as `values.Values` writes them; others may be right too, and go alone.
_FORMS: Final[dict[str, Accepts]] = {
    "smallint": _form(r"-?[0-9]{1,4}"),
    "integer": _form(r"-?[0-9]{1,9}"),
    "bigint": _form(r"-?[0-9]{1,18}"),
    "numeric": _form(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?"),
    "uuid": _form(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
}
_TEXTS: Final = frozenset({"text", "character varying", "bpchar", "citext"})


def lane(shape: Read, relation: Relation, slots: tuple[Slot, ...]) -> Lane | None:
    """How this read's requests travel together; None where they do not.

    Only tables themselves: what a view or a foreign table does with many keys at once is anybody's guess, and under row
    security a policy's function sees rows that another request asked for.

    Args:
        shape: A read that names one row at most.
        relation: What is read.
        slots: The parameters of the statement that reads it alone.
    """
    if relation.table.kind != "table" or relation.table.row_security or shape.count:
        return None
    for test in _equalities(shape.where):
        accepts = _accepts(relation.columns[test.column])
        if accepts is not None and frozenset({test.column}) in relation.keys:
            position = next(number for number, slot in enumerate(slots) if slot.path == test.operand)
            return Lane(_sql(shape, relation, test.operand), position, accepts)
    return None


def _equalities(node: Node) -> Iterator[Test]:
    for test in node.parts if isinstance(node, And) else (node,):
        if isinstance(test, Test) and test.operator == "equals" and not test.insensitive and not test.inside:
            yield test


def _accepts(column: Column) -> Accepts | None:
    name = types.base(column)
    if types.local(name) in _TEXTS and column.kind == "text":
        return _short
    return _FORMS.get(name)


def _short(key: str) -> bool:
    return len(key) <= _LONGEST_KEY


def _sql(shape: Read, relation: Relation, key: Path) -> str:
    """One row with an array: each key's row as JSON, '' where there is none, NULL where it is to be read alone.

    OFFSET 0 keeps the planner from anything but one look-up a key, and from rendering a row twice.
    """
    scope = Scope(relation, "t", _Shared(key))
    condition, listed = where(shape.where, scope), rows(shape.output, scope)
    found = f"{relation_sql(relation)} AS t WHERE {condition}"
    row = (
        f"SELECT row_to_json(t.*)::text AS json FROM {found} OFFSET 0"
        if listed.whole
        else f"SELECT {listed.json} AS json FROM (SELECT {listed.columns} FROM {found}) AS r OFFSET 0"
    )
    return (
        f"SELECT array_agg(CASE WHEN a.json IS NULL THEN '' WHEN octet_length(a.json) <= {MAX_SHARED_BYTES} "
        f"THEN a.json END ORDER BY k.position) AS data "
        f"FROM unnest($1::text[]) WITH ORDINALITY AS k(key, position) LEFT JOIN LATERAL ({row}) AS a ON TRUE"
    )


class _Shared(Parameters):
    """The parameters after the first, which is the keys'."""

    def __init__(self, key: Path) -> None:
        super().__init__()
        self._key = key

    def text(self, path: Path, encode: Encode) -> str:
        return "k.key" if path == self._key else super().text(path, encode)

    def _add(self, path: Path, encode: Encode) -> int:
        return super()._add(path, encode) + 1
