"""How much a change asks of those who call: by the contract, that is by name, with the reason in words."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from libs.common.changes import Level
from libs.common.schema import Column, Index
from services.introspector.core.structure import Constraint, Facts, Routine

_INTEGERS: Final = ("smallint", "integer", "bigint")
_FLOATS: Final = ("real", "double precision")
_SIZED: Final = re.compile(r"(character varying|character|bit varying|numeric)(?:\((\d+)(?:,(-?\d+))?\))?")


class Verdict(NamedTuple):
    """A level and its reason."""

    level: Level
    reason: str


def _breaking(reason: str) -> Verdict:
    return Verdict("breaking", reason)


def _dangerous(reason: str) -> Verdict:
    return Verdict("dangerous", reason)


def _safe(reason: str) -> Verdict:
    return Verdict("safe", reason)


GONE: Final = _breaking(
    "It is gone, or the project's database user may not see it any more: requests to it are refused."
)
SCHEMA_GONE: Final = _safe("It held nothing that requests could reach, or what it held is told by itself.")
RENAMED: Final = _breaking("Requests that use the old name are refused.")
NAME_ONLY: Final = _safe("No request names it.")
NEW: Final = _safe("No request could name it before.")
COMMENT: Final = _safe("Only its description is another.")
FOLLOWS: Final = _safe("Its definition only follows what was renamed.")
SEARCH_PATH: Final = _dangerous("A table named without its schema may now be another one.")
ENUM_GONE: Final = _safe("Requests do not name it; columns of its type are told by themselves.")
QUERY: Final = _dangerous("It has the same columns, but its query is another: so may be its rows.")


def hidden(name: str) -> Verdict:
    """A new table whose bare name meant another one, or the only one."""
    return _dangerous(
        f'Requests that name "{name}" without its schema meant another table: now they mean this one, or none.'
    )


def new_column(column: Column, *, view: bool) -> Verdict:
    """A column that appears."""
    if view or column.nullable or fills_itself(column):
        return _safe("Rows are answered with one more field; creating them does not need it.")
    return _breaking("It may not be null and has no default: creating a row without it is refused.")


GONE_COLUMN: Final = _breaking(
    "It is gone, or the project's database user may not see it any more: requests that name it are refused, and rows "
    "come without it."
)
RENAMED_COLUMN: Final = _breaking("Requests that use the old name are refused, and rows carry the new one.")


def fills_itself(column: Column) -> bool:
    """Whether a row can be created without a value for it."""
    return column.default is not None or bool(column.identity) or column.generated


def column_type(before: Column, after: Column) -> Verdict:
    """Another type, or the same by another name."""
    if before.enum != after.enum and before.type == after.type:
        return labels(before.enum, after.enum)
    if (before.kind, before.element_kind) != (after.kind, after.element_kind):
        return _breaking(
            "Values are of another sort: they are answered in another form, and those sent may be refused."
        )
    if _plain(before) == _plain(after) or _widened(_plain(before), _plain(after)):
        return _safe("Every value that it could hold, it can still hold.")
    return _dangerous("Values that it took before may be refused, cut or rounded.")


def _plain(column: Column) -> str:
    return column.base or column.type


def _widened(before: str, after: str) -> bool:
    for family in (_INTEGERS, _FLOATS):
        if before in family and after in family:
            return family.index(before) <= family.index(after)
    old, new = _SIZED.fullmatch(before), _SIZED.fullmatch(after)
    if after == "text":
        return old is not None and old[1] == "character varying"
    if old is None or new is None or old[1] != new[1]:
        return False
    if new[2] is None:
        # `character` alone is one character.
        return new[1] != "character"
    if old[2] is None:
        return False
    scale_before, scale_after = int(old[3] or 0), int(new[3] or 0)
    return scale_before <= scale_after and int(old[2]) - scale_before <= int(new[2]) - scale_after


def nullable(after: Column) -> Verdict:
    """Whether null may stand in it."""
    if after.nullable:
        return _dangerous("Rows may now be answered with null in it.")
    if fills_itself(after):
        return _dangerous("Writing null into it is refused.")
    return _breaking("Writing null into it, or creating a row without it, is refused.")


def default(before: Column, after: Column) -> Verdict:
    """What a row gets that is created without a value for it."""
    if before.generated and after.generated:
        return _dangerous("The database computes it in another way.")
    if before.default is None:
        return _safe("Creating a row without it sets it.")
    if after.default is None:
        if after.nullable or fills_itself(after):
            return _dangerous("Creating a row without it no longer sets it to this.")
        return _breaking("It may not be null and has no default any more: creating a row without it is refused.")
    if before.default.startswith("nextval(") and after.default.startswith("nextval("):
        return _safe("Its values still come from a sequence.")
    return _dangerous("Creating a row without it sets it to something else.")


def identity(after: Column) -> Verdict:
    """Whether the database numbers it."""
    if after.identity == "always":
        return _breaking("Sending a value for it is refused.")
    if after.identity or fills_itself(after):
        return _safe("Rows can be created with and without it.")
    return _breaking("The database numbers it no longer: creating a row without it is refused.")


def generated(after: Column) -> Verdict:
    """Whether the database computes it."""
    if after.generated:
        return _breaking("The database computes it: sending a value for it is refused.")
    return _dangerous("The database computes it no longer: it holds what is written.")


def labels(before: tuple[str, ...], after: tuple[str, ...]) -> Verdict:
    """An enum's labels."""
    gone = [label for label in before if label not in after]
    if gone:
        return _breaking(f"Requests that use {_listed(gone)} are refused.")
    if len(after) > len(before):
        return _dangerous("Rows may now be answered with a label that callers do not know.")
    return _dangerous("Its order is another: so is that of sorted rows, and what comparisons find.")


def relation_fact(field: str, before: Facts, after: Facts) -> Verdict:
    """A fact about a table or view as a whole."""
    if field == "row_security":
        if after.row_security:
            return _dangerous("Policies now decide which rows are read and written; without one, none is.")
        return _dangerous("Policies no longer hide rows: more of them may be read and written.")
    if field == "writable":
        gone = [name for name in before.writable if name not in after.writable]
        return _breaking(f"It no longer takes {_listed(gone)}.") if gone else _safe("It takes more than before.")
    if field == "kind":
        return _dangerous(f"It was a {before.kind} and is a {after.kind} under the same name: its rows are others.")
    return QUERY if field == "definition" else COMMENT


def new_constraint(constraint: Constraint) -> Verdict:
    """A rule that rows keep from now on."""
    match constraint.type:
        case "primaryKey":
            return _dangerous("Rows are now told apart by it: one that repeats a key, or has none, is refused.")
        case "unique":
            return _dangerous("Rows that repeat a value are refused.")
        case "foreignKey":
            return _dangerous("Rows that refer to none are refused, and so is deleting one that is referred to.")
        case _:
            return _dangerous("Rows that do not meet it are refused.")


def lost_constraint(constraint: Constraint) -> Verdict:
    """A rule that rows keep no longer."""
    match constraint.type:
        case "primaryKey":
            return _breaking("Rows have no key any more: `onConflict` on it is refused, and rows may repeat.")
        case "unique":
            return _breaking("`onConflict` on its columns is refused, and values may repeat.")
        case "foreignKey":
            return _breaking("The relation is gone: requests that include it are refused.")
        case _:
            return _safe("More rows are taken than before.")


def constraint_fact(fields: Mapping[str, object], after: Constraint) -> Verdict:
    """A rule of the same name that is another."""
    if after.type == "check" or not fields.keys() & {"columns", "target", "target_columns"}:
        return _dangerous("Rows that were taken may be refused, or other rows change with them.")
    if after.type == "foreignKey":
        return _breaking("The relation leads elsewhere.")
    return _breaking("It is over other columns: `onConflict` on the old ones is refused.")


def new_index(index: Index) -> Verdict:
    """An index that appears."""
    if index.unique:
        return _dangerous("Rows that repeat what it covers are refused.")
    return _safe("It changes no answer.")


LOST_INDEX: Final = _dangerous("Reads that it served may become slow.")
ALTERED_INDEX: Final = _dangerous("Reads that it served may become slow, or rows be refused that it did not cover.")


def function_fact(before: Routine, after: Routine) -> Verdict:
    """A function of the same name and argument types that is another."""
    required = [it.optional for it in after.arguments]
    if [it.name for it in before.arguments] != [it.name for it in after.arguments]:
        return _breaking("Its arguments have other names: calls that use the old ones are refused.")
    if (before.returns, before.returns_set, before.procedure) != (after.returns, after.returns_set, after.procedure):
        return _breaking("It answers something of another form.")
    if any(was.optional and not now for was, now in zip(before.arguments, required, strict=False)):
        return _breaking("An argument that could be left out has to be given.")
    if before.volatility != after.volatility:
        return _dangerous("It may be evaluated more or less often.")
    if [it.optional for it in before.arguments] != required:
        return _safe("An argument can be left out.")
    return COMMENT if before.arguments == after.arguments else FOLLOWS


def _listed(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
