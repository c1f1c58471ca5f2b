"""Any two schemas: what the diff says, done to the one, gives the other."""

from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from libs.common.changes import LEVELS
from libs.common.schema import (
    FORMAT,
    Argument,
    Check,
    Column,
    Database,
    Enum,
    ForeignKey,
    Function,
    Index,
    Schema,
    Table,
    Unique,
)
from services.introspector.core.diff import diff
from services.introspector.core.structure import structure
from tests.introspector.apply import apply

SAME: Final = Database("71", 1, 5, "shop", 180004)
OTHER: Final = Database("72", 1, 5, "shop", 180004)
SCHEMAS: Final = ("public", "app", "Odd one")
TABLES: Final = ("customer", "order", 'Quo"te', "item")
COLUMNS: Final = ("id", "name", "Full Name", "price", "select")
LABELS: Final = ("sad", "ok", "glad")
TYPES: Final = (
    ("integer", "integer"), ("bigint", "integer"), ("text", "text"), ("character varying(20)", "text"),
    ("numeric(10,2)", "number"), ("app.mood", "enum"), ('"Odd one".mood[]', "array"),
)  # fmt: skip
DEFAULTS: Final = (None, "0", "'ok'::app.mood", "nextval('app.customer_id_seq'::regclass)", "lower(name)")


# Shrinking two schemas takes minutes and says little more than the failure does.
QUICKLY: Final = (Phase.explicit, Phase.reuse, Phase.generate)
Value = TypeVar("Value")


def _pick(values: tuple[Value, ...], min_size: int = 0) -> st.SearchStrategy[tuple[Value, ...]]:
    return st.lists(st.sampled_from(values), unique=True, min_size=min_size).map(tuple)


@st.composite
def columns(draw: st.DrawFn) -> tuple[Column, ...]:
    names = draw(_pick(COLUMNS, min_size=1))
    numbers = draw(st.permutations(range(1, 7)))
    return tuple(draw(_column(name, number)) for name, number in zip(names, numbers, strict=False))


@st.composite
def _column(draw: st.DrawFn, name: str, number: int) -> Column:
    type_, kind = draw(st.sampled_from(TYPES))
    element: dict[str, Any] = {"element": type_.removesuffix("[]"), "element_kind": "enum"} if kind == "array" else {}
    return Column(
        number, name, type_, kind, draw(st.booleans()),  # type: ignore[arg-type]  # the kinds above are some
        enum=draw(st.sampled_from([(), LABELS, LABELS[:2]])) if "mood" in type_ else (),
        default=draw(st.sampled_from(DEFAULTS)), identity=draw(st.sampled_from(["", "", "always"])),
        generated=draw(st.booleans()), **element,
    )  # fmt: skip


@st.composite
def table(draw: st.DrawFn, schema: str, name: str, oid: int) -> Table:
    found = draw(columns())
    names = tuple(column.name for column in found)
    key = draw(st.one_of(st.just(()), _pick(names, min_size=1)))
    unique = draw(_pick(names, min_size=1))
    made = f"CREATE UNIQUE INDEX x ON {schema}.{name} USING btree ({', '.join(unique)})"
    indexes = [Index("u", unique, unique=True, definition=made)] if draw(st.booleans()) else []
    uniques = (Unique("u", unique),) if indexes else ()
    if key:
        indexes.append(
            Index(
                draw(st.sampled_from(["t_pkey", "key"])),
                key,
                unique=True,
                definition=f"... USING btree ({', '.join(key)})",
            )
        )
    made = f"CREATE INDEX i ON t USING btree ({', '.join(unique)})"
    indexes += [Index(index, unique, unique=False, definition=made) for index in draw(_pick(("i", "j")))]
    keys = draw(_pick(("fk1", "fk2")))
    return Table(
        oid, schema, name, draw(st.sampled_from(["table", "view", "partitioned"])), found, key, uniques,
        tuple(ForeignKey(it, names[:1], draw(st.sampled_from(SCHEMAS)), draw(st.sampled_from(TABLES)), ("id",),
                         draw(st.sampled_from(["", "cascade"]))) for it in keys),
        tuple(Check(it, f"({names[0]} > 0)") for it in draw(_pick(("c1", "c2")))),
        tuple(indexes), draw(st.sampled_from([(), ("insert",)])), draw(st.booleans()), draw(st.integers(-1, 9)),
        draw(st.sampled_from(["", "SELECT id FROM app.customer"])), draw(st.sampled_from(["", "A remark"])),
    )  # fmt: skip


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    names = draw(_pick(SCHEMAS, min_size=1))
    oids = iter(draw(st.permutations(range(100, 108))))
    tables = draw(_pick(tuple((schema, name) for schema in names for name in TABLES)))
    enums = [Enum(next(oids), schema, "mood", draw(st.sampled_from([LABELS, LABELS[:2], LABELS[::-1]])))
             for schema in draw(_pick(names))]  # fmt: skip
    functions = [
        Function(oid, draw(st.sampled_from(names)), name, draw(st.sampled_from([
            (), (Argument("a", "app.mood", "enum", optional=False),),
            (Argument("", "integer", "integer", optional=True),),
        ])), "app.mood", returns_set=False, volatility=draw(st.sampled_from(["stable", "volatile"])))
        for oid, name in zip(draw(st.permutations(range(200, 203))), draw(_pick(("add", "work"))), strict=False)
    ]  # fmt: skip
    return Schema(
        FORMAT, 1, draw(st.sampled_from([SAME, SAME, SAME, OTHER])), draw(_pick(names)), names,
        tuple(draw(table(schema, name, next(oids))) for schema, name in tables[:4]),
        tuple(enums), tuple(functions),
        schema_oids=tuple(draw(st.permutations(range(1, 5)))[: len(names)]),
    )  # fmt: skip


@settings(max_examples=150, phases=QUICKLY, deadline=None, suppress_health_check=list(HealthCheck))
@given(schemas(), schemas())
def test_the_changes_done_to_one_schema_give_the_other(before: Schema, after: Schema) -> None:
    changes = diff(before, after)
    assert apply(changes, structure(before)) == structure(after)
    assert bool(changes) == (structure(before) != structure(after))
    assert [it.level for it in changes] == sorted((it.level for it in changes), key=LEVELS.index)
    assert all(it.reason.endswith(".") for it in changes)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(schemas())
def test_nothing_is_told_where_nothing_changed(schema: Schema) -> None:
    assert diff(schema, schema) == ()
