"""How changes are told, and whom to ask about."""

import msgspec

from libs.common.changes import Change, Impact, KeyImpact
from libs.common.events import MAX_CHANGES_BYTES
from libs.common.ids import ProjectId
from libs.common.logs import ColumnUse
from libs.common.schema import Column, Database, Enum, Schema, Table
from services.introspector.core.telling import Question, Told, announcement, fitting, question

MOOD = Column(3, "mood", "app.mood", "enum", nullable=False, enum=("ok",))
COLUMNS = (
    Column(1, "id", "integer", "integer", nullable=False),
    Column(2, "name", "text", "text", nullable=True),
    MOOD,
)
BEFORE = Schema(
    1, 1, Database("1", 1, 5, "shop", 180004), ("public",), ("app", "public"),
    (Table(1, "app", "note", "table", COLUMNS), Table(2, "public", "customer", "table", COLUMNS)),
    (Enum(9, "app", "mood", ("ok",)),), (),
)  # fmt: skip


def change(kind: str, table: str | None, column: str | None = None, **more: object) -> Change:
    usual = {
        "kind": kind, "name": column or table or "", "table": table, "column": column, "before": None, "after": None,
        "level": "breaking", "reason": "Because.",
    }  # fmt: skip
    return msgspec.convert({**usual, **more}, Change)


def test_a_dropped_column_is_asked_about_by_its_table() -> None:
    asked = question([change("column.dropped", "public.customer", "name")], BEFORE)
    assert asked == Question((), (ColumnUse("public.customer", "name"),))


def test_what_was_renamed_is_asked_about_under_its_old_name() -> None:
    changes = [
        change("table.renamed", "public.client", before="public.customer", after="public.client"),
        change("column.renamed", "app.note", "title", before="name", after="title"),
        change("column.altered", "app.note", "title", before={"type": "text"}, after={"type": "integer"}),
    ]
    assert question(changes, BEFORE) == Question(("public.customer",), (ColumnUse("app.note", "name"),))


def test_a_renamed_schema_concerns_all_its_tables() -> None:
    renamed = change("schema.renamed", None, name="notes", before="app", after="notes")
    dropped = change("column.dropped", "notes.note", "name")
    assert question([renamed, dropped], BEFORE) == Question(("app.note",), ())


def test_an_enum_concerns_the_columns_of_its_type() -> None:
    asked = question([change("enum.altered", None, name="app.mood")], BEFORE)
    assert asked.columns == (ColumnUse("app.note", "mood"), ColumnUse("public.customer", "mood"))


def test_a_constraint_concerns_its_columns_or_else_its_table() -> None:
    unique = change("constraint.dropped", "app.note", before={"type": "unique", "columns": ["name"]})
    check = change("constraint.added", "app.note", after={"type": "check"}, level="dangerous")
    assert question([unique], BEFORE) == Question((), (ColumnUse("app.note", "name"),))
    assert question([check], BEFORE) == Question(("app.note",), ())


def test_what_is_safe_or_new_concerns_nobody() -> None:
    index = change("index.added", "app.note", after={"columns": ["name"]}, level="safe")
    column = change("column.added", "app.note", "city")
    table = change("table.added", "app.t", level="dangerous")
    assert question([index, column, table], BEFORE) == Question((), ())


def test_an_event_is_no_larger_than_it_may_be_and_says_how_much_there_is() -> None:
    changes = tuple(change("column.dropped", f"public.table_{number}", "name") for number in range(2_000))
    keys = tuple(KeyImpact(f"key {number}", "a name", 1, 1, "2026-11-25T10:11:12Z") for number in range(100))
    event = announcement(ProjectId(7), Told(1, 2, changes, Impact(keys=keys)))
    assert 60_000 < len(msgspec.json.encode(event)) <= MAX_CHANGES_BYTES
    assert event.total_changes == 2_000
    assert event.changes == changes[: len(event.changes)]
    assert event.link == "/v1/projects/7/changes/2"


def test_a_long_description_gives_way_to_other_changes() -> None:
    table = change("table.dropped", "public.wide", before={"columns": ["x" * 100] * 100})
    column = change("column.dropped", "public.customer", "name")
    assert fitting([table, column], 10_000) == (msgspec.structs.replace(table, before=None), column)
