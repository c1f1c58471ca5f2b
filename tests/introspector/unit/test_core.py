"""From rows to a schema, and from one snapshot to the next."""

import msgspec
import pytest
from msgspec.structs import replace

from libs.common import schema
from libs.common.errors import Code, DbifyError
from libs.common.schema import Database, Kind, Schema, pack, unpack
from services.introspector.core import limits
from services.introspector.core.assemble import Origin, Reading, assemble
from services.introspector.core.diff import diff
from services.introspector.core.kinds import Types
from services.introspector.core.rows import Rows, TypeRow
from services.introspector.core.versions import Snapshot, following

DATABASE = Database("71", 1, 5, "shop", 180004)


def reading(*entries: tuple[str, object], fingerprint: str = "f1", database: Database = DATABASE) -> Reading:
    rows = Rows()
    for tag, entry in entries:
        rows.add(tag, msgspec.json.encode(entry).decode())
    return Reading(Origin(database, ("public",), fingerprint), rows)


def relation(oid: int, name: str, *, rows: int = -1, kind: str = "r") -> tuple[str, object]:
    return "relation", [oid, "public", name, kind, 28, False, rows, "", ""]


def columns(table: int, *names: str) -> tuple[str, object]:
    entries = [[number, name, 23, "integer", True, None, "", False, ""] for number, name in enumerate(names, 1)]
    return "columns", [table, entries]


INTEGER = ("type", [23, "b", "int4", 0, 0, "", False, None, None])
CUSTOMER = (relation(10, "customer"), columns(10, "id", "name"), INTEGER)


def test_tables_come_in_the_order_of_their_names_whatever_order_they_were_sent_in() -> None:
    schema = assemble(
        reading(relation(2, "b"), relation(3, "B"), relation(1, "a"), ("schema", ["z", 2]), ("schema", ["a", 1])), 4
    )
    assert [table.name for table in schema.tables] == ["B", "a", "b"]
    assert schema.schemas == ("a", "z")
    assert schema.version == 4


def test_a_key_over_a_column_that_may_not_be_seen_is_left_out() -> None:
    constraints = ("constraints", [10, [
        ["pk", "p", [1, 9], 0, None, None],
        ["fk", "f", [1], 99, [1], None],
        ["fk_far_column", "f", [1], 10, [9], None],
        ["fk_itself", "f", [2], 10, [1], None],
    ]])  # fmt: skip
    indexes = ("indexes", [10, [["pk", [1, 9], True, False, "..."], ["u", [9], True, True, "..."]]])
    (table,) = assemble(reading(*CUSTOMER, constraints, indexes), 1).tables
    assert table.primary_key == ()
    assert table.uniques == ()
    assert [key.name for key in table.foreign_keys] == ["fk_itself"]
    assert table.indexes[0].columns == ("id", None)


@pytest.mark.parametrize(
    ("rows", "kind", "element_kind"),
    [
        ([[1, "b", "int4", 0, 0, "", False, None, None]], "integer", "other"),
        ([[1, "b", "hstore", 0, 0, "", False, None, None]], "other", "other"),
        ([[1, "d", "d", 0, 2, "x", False, None, None],
          [2, "b", "citext", 0, 0, "", False, None, None]], "text", "other"),
        ([[1, "b", "_x", 2, 0, "", False, None, None], [2, "e", "x", 0, 0, "", False, None, ["a"]]], "array", "enum"),
        ([[1, "d", "d", 0, 3, "x[]", False, None, None], [3, "b", "_x", 2, 0, "", False, None, None],
          [2, "b", "uuid", 0, 0, "", False, None, None]], "array", "uuid"),
        ([[1, "m", "int4multirange", 0, 0, "", False, None, None]], "range", "other"),
        ([[1, "p", "anyelement", 0, 0, "", False, None, None]], "other", "other"),
        ([], "other", "other"),
    ],
)  # fmt: skip
def test_a_type_resolves_to_its_kind(rows: list[object], kind: Kind, element_kind: Kind) -> None:
    types = Types({row.oid: row for row in msgspec.convert(rows, list[TypeRow])})
    resolved = types.resolve(1, "whatever")
    assert (resolved.kind, resolved.element_kind) == (kind, element_kind)


def test_types_that_lead_in_a_circle_end_as_unknown() -> None:
    rows = [[1, "d", "a", 0, 2, "b", False, None, None], [2, "b", "_b", 1, 0, "", False, None, None]]
    assert Types({row.oid: row for row in msgspec.convert(rows, list[TypeRow])}).resolve(1, "a").kind == "array"


@pytest.mark.parametrize(
    ("limit", "value", "entries"),
    [
        ("MAX_TABLES", 1, (relation(1, "a"), relation(2, "b"))),
        ("MAX_COLUMNS", 2, (columns(1, "a", "b"), columns(2, "c"))),
        ("MAX_BYTES", 20, (relation(1, "a name of some length"),)),
    ],
)
def test_more_than_a_snapshot_may_hold_is_refused(
    limit: str, value: int, entries: tuple[tuple[str, object], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, limit, value)
    with pytest.raises(DbifyError) as refusal:
        reading(*entries)
    assert refusal.value.code is Code.SCHEMA_TOO_LARGE


def test_an_enum_that_many_columns_repeat_is_counted_in_each(monkeypatch: pytest.MonkeyPatch) -> None:
    mood = ("type", [50, "e", "mood", 0, 0, "", False, None, ["x" * 60] * 1000])
    entries = [[number, f"c{number}", 50, "mood", True, None, "", False, ""] for number in range(1, 21)]
    found = reading(relation(1, "t"), ("columns", [1, entries]), mood)
    assert assemble(found, 1).tables
    monkeypatch.setattr(schema, "MAX_BYTES", 1_000_000)
    with pytest.raises(DbifyError) as refusal:
        assemble(found, 1)
    assert refusal.value.code is Code.SCHEMA_TOO_LARGE


def test_a_snapshot_that_nobody_could_unpack_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MAX_BYTES", 1_000)
    with pytest.raises(DbifyError) as refusal:
        following(None, reading(*(("enum", [number, "public", "e" * 50, None]) for number in range(20))), 1)
    assert refusal.value.code is Code.SCHEMA_TOO_LARGE


@pytest.mark.parametrize(("tag", "text"), [("table", "[]"), ("relation", "[1]"), ("type", "{"), ("columns", "[1, 2]")])
def test_what_no_catalog_says_is_refused(tag: str, text: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        Rows().add(tag, text)


def _schema() -> Schema:
    return assemble(reading(*CUSTOMER), 1)


def test_version_fingerprint_and_estimates_are_no_change() -> None:
    before = _schema()
    tables = tuple(replace(table, estimated_rows=99) for table in before.tables)
    assert diff(before, replace(before, version=5, fingerprint="other", tables=tables)) == ()


@pytest.mark.parametrize(
    "after",
    [
        assemble(reading(relation(10, "customer"), columns(10, "id", "full_name"), INTEGER), 1),
        assemble(reading(relation(10, "customers"), columns(10, "id", "name"), INTEGER), 1),
        assemble(reading(*CUSTOMER, ("enum", [7, "public", "mood", ["ok"]])), 1),
        assemble(reading(*CUSTOMER, ("schema", ["public", 2200])), 1),
    ],
)
def test_everything_else_is(after: Schema) -> None:
    assert diff(_schema(), after)


def test_the_first_snapshot_is_version_1() -> None:
    first = following(None, reading(*CUSTOMER), 3).snapshot
    assert first == Snapshot(1, 3, "f1", pack(_schema()))


def test_the_same_structure_keeps_its_version_and_takes_what_is_new() -> None:
    first = following(None, reading(*CUSTOMER), 1).snapshot
    again = following(first, reading(relation(10, "customer", rows=500), *CUSTOMER[1:], fingerprint="f2"), 2).snapshot
    assert (again.version, again.database_version, again.fingerprint) == (1, 2, "f2")
    assert unpack(again.packed).tables[0].estimated_rows == 500


def test_another_structure_is_the_next_version() -> None:
    first = following(None, reading(*CUSTOMER), 1).snapshot
    second, changes = following(first, reading(*CUSTOMER, relation(11, "order"), fingerprint="f2"), 1)
    assert second.version == unpack(second.packed).version == 2
    assert [(change.kind, change.table) for change in changes] == [("table.added", "public.order")]


def test_a_snapshot_that_can_no_longer_be_read_is_replaced_by_the_next_version() -> None:
    step = following(Snapshot(6, 1, "f1", b"of an older format"), reading(*CUSTOMER), 1)
    assert (step.snapshot.version, step.changes) == (7, ())


@pytest.mark.parametrize(
    "database",
    [replace(DATABASE, timeline=2), replace(DATABASE, server_version=180005), replace(DATABASE, system="72", oid=9)],
)
def test_a_failover_an_upgrade_and_a_move_by_themselves_are_no_version(database: Database) -> None:
    first = following(None, reading(*CUSTOMER), 1).snapshot
    step = following(first, reading(*CUSTOMER, database=database, fingerprint="f2"), 2)
    assert (step.snapshot.version, step.changes) == (1, ())
    assert unpack(step.snapshot.packed).database == database
