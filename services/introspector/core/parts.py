"""What differs in a table's constraints and indexes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from msgspec.structs import replace

from libs.common.changes import Change
from libs.common.schema import Index
from services.introspector.core import levels
from services.introspector.core.levels import Verdict
from services.introspector.core.structure import Constraint, describe

Key = TypeVar("Key")
Entry = TypeVar("Entry")
Rule = TypeVar("Rule", bound=Constraint | Index)


def pairs(before: Mapping[Key, Entry], after: Mapping[Key, Entry]) -> list[tuple[Key, Entry | None, Entry | None]]:
    """What each name stands for before and after, in an order of its own."""
    return [(name, before.get(name), after.get(name)) for name in dict.fromkeys((*before, *after))]


def parts(table: str, noun: str, before: Mapping[Key, Rule], after: Mapping[Key, Rule]) -> Iterator[Change]:
    """Constraints or indexes: those that differ in their name alone were renamed."""
    gone = [was for name, was in before.items() if name not in after]
    come = [now for name, now in after.items() if name not in before]
    for was, now in _twins(gone, come):
        gone.remove(was)
        come.remove(now)
        yield _part(f"{noun}.renamed", table, now.name, was.name, now.name, levels.NAME_ONLY)
    for was in gone:
        verdict = levels.lost_constraint(was) if isinstance(was, Constraint) else levels.LOST_INDEX
        yield _part(f"{noun}.dropped", table, was.name, describe(was), None, verdict)
    for now in come:
        verdict = levels.new_constraint(now) if isinstance(now, Constraint) else levels.new_index(now)
        yield _part(f"{noun}.added", table, now.name, None, describe(now), verdict)
    for name, was in before.items():
        if name in after and was != after[name]:
            yield from _altered_part(table, noun, was, after[name])


def _altered_part(table: str, noun: str, was: Rule, now: Rule) -> Iterator[Change]:
    """A primary key may change its name too, being known by its type."""
    if was.name != now.name:
        yield _part(f"{noun}.renamed", table, now.name, was.name, now.name, levels.NAME_ONLY)
        was = replace(was, name=now.name)
    if was != now:
        fields = {field: None for field in now.__struct_fields__ if getattr(was, field) != getattr(now, field)}
        verdict = levels.constraint_fact(fields, now) if isinstance(now, Constraint) else levels.ALTERED_INDEX
        yield _part(f"{noun}.altered", table, now.name, describe(was), describe(now), verdict)


def _part(kind: str, table: str, name: str, before: object, after: object, verdict: Verdict) -> Change:
    return Change(kind, name, table, None, before, after, *verdict)


def _twins(gone: Iterable[Rule], come: Iterable[Rule]) -> list[tuple[Rule, Rule]]:
    """Of those that are gone and those that are new, the pairs that differ in nothing but the name."""
    unnamed: dict[Rule, list[Rule]] = {}
    for was in gone:
        unnamed.setdefault(replace(was, name=""), []).append(was)
    return [(unnamed[key].pop(0), now) for now in come if unnamed.get(key := replace(now, name=""))]
