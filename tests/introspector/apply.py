"""A structure after changes: what a diff says, done to what was before, knowing nothing of what came after."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from libs.common.changes import Change
from libs.common.schema import Column, Index
from services.introspector.core.renames import Renames, with_new_names
from services.introspector.core.structure import (
    Constraint,
    Facts,
    Relation,
    Routine,
    Signature,
    Structure,
    identity,
    shown,
    shown_function,
)

Name = tuple[str, str]
Part = TypeVar("Part", bound=msgspec.Struct)


def apply(changes: Sequence[Change], before: Structure) -> Structure:
    """The structure after the changes. Names hold no dots here."""
    renamed = with_new_names(before, _renames(changes, before))
    found = _Mutable(renamed)
    for change in sorted(changes, key=lambda it: not it.kind.endswith(".renamed")):
        noun, verb = change.kind.split(".")
        if verb != "renamed" or noun in {"constraint", "index"}:
            getattr(found, f"{noun}_{verb}" if hasattr(found, f"{noun}_{verb}") else noun)(change)
    return found.structure()


def _renames(changes: Sequence[Change], before: Structure) -> Renames:
    def of(kind: str) -> dict[str, str]:
        return {str(it.before): str(it.after) for it in changes if it.kind == kind}

    schemas = of("schema.renamed")
    relations = {**of("table.renamed"), **of("view.renamed")}
    columns: dict[Name, dict[str, str]] = {}
    new_tables = {_name(new): _name(old) for old, new in relations.items()}

    def home(name: Name) -> Name:
        return schemas.get(name[0], name[0]), name[1]

    by_home = {home(name): name for name in before.relations}
    for it in changes:
        if it.kind == "column.renamed" and it.table:
            table = _name(it.table)
            place = new_tables.get(table, by_home.get(table, table))
            columns.setdefault(place, {})[str(it.before)] = str(it.after)

    def moved(names: Mapping[Name, Any], own: Mapping[str, str]) -> dict[Name, Name]:
        found = {name: _name(own[shown(name)]) if shown(name) in own else home(name) for name in names}
        return {old: new for old, new in found.items() if old != new}

    names = Renames(schemas, moved(before.relations, relations), columns, moved(before.enums, of("enum.renamed")), {})
    own = of("function.renamed")
    functions = {}
    for signature in before.functions:
        types = tuple(_typed(it, names) for it in signature.types)
        schema, name = home((signature.schema, signature.name))
        functions[signature] = Signature(schema, name, types)
        if shown_function(signature) in own:
            functions[signature] = _signature(own[shown_function(signature)])
    return names._replace(functions={old: new for old, new in functions.items() if old != new})


def _typed(type_: str, names: Renames) -> str:
    """A type's name as it is now."""
    enum = with_new_names(
        Structure(
            frozenset(),
            (),
            {},
            {},
            {Signature("", "", ()): Routine((), type_, returns_set=False, volatility="volatile")},
        ),
        names,
    )
    (routine,) = enum.functions.values()
    return routine.returns


def _name(text: str) -> Name:
    schema, _, name = text.partition(".")
    return schema, name


def _signature(text: str) -> Signature:
    """No type here has a comma."""
    name, _, types = text.removesuffix(")").partition("(")
    return Signature(*_name(name), tuple(filter(None, types.split(", "))))


def _snake(text: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), text)


def _fields(value: Any) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    found = {_snake(key): entry for key, entry in built.items()}
    if "target" in found:
        found["target"] = list(_name(found["target"]))
    if "arguments" in found:
        found["arguments"] = [{_snake(key): entry for key, entry in it.items()} for it in found["arguments"]]
    return found


def _restored(type_: type[Part], value: Any, **more: Any) -> Part:
    return msgspec.convert({**_fields(value), **more}, type_)


class _Mutable:
    def __init__(self, found: Structure) -> None:
        self.schemas = set(found.schemas)
        self.search_path = found.search_path
        self.relations = {
            name: Relation(it.facts, dict(it.columns), dict(it.constraints), dict(it.indexes))
            for name, it in found.relations.items()
        }
        self.enums = dict(found.enums)
        self.functions = dict(found.functions)

    def structure(self) -> Structure:
        return Structure(frozenset(self.schemas), self.search_path, self.relations, self.enums, self.functions)

    def schema(self, it: Change) -> None:
        if it.after is None:
            self.schemas.remove(it.name)
        else:
            self.schemas.add(it.name)

    def search_path_altered(self, it: Change) -> None:
        self.search_path = tuple(msgspec.convert(it.after, list[str]))

    def table(self, it: Change) -> None:
        name = _name(it.name)
        if it.after is None:
            del self.relations[name]
            return
        if it.before is not None:
            relation = self.relations[name]
            fields = {
                key: tuple(value) if isinstance(value, list) else value for key, value in _fields(it.after).items()
            }
            self.relations[name] = relation._replace(facts=replace(relation.facts, **fields))
            return
        found = _fields(it.after)
        columns = [_restored(Column, entry, number=0) for entry in found.pop("columns", [])]
        constraints = [_restored(Constraint, entry) for entry in found.pop("constraints", [])]
        indexes = [_restored(Index, entry) for entry in found.pop("indexes", [])]
        self.relations[name] = Relation(
            msgspec.convert(found, Facts),
            {entry.name: entry for entry in columns},
            {identity(entry): entry for entry in constraints},
            {entry.name: entry for entry in indexes},
        )

    view = table

    def column(self, it: Change) -> None:
        columns: dict[str, Column] = self._of(it).columns  # type: ignore[assignment]  # made above
        if it.after is None:
            del columns[it.name]
        elif it.before is None:
            columns[it.name] = _restored(Column, it.after, number=0)
        else:
            fields = _fields(it.after)
            fields = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
            columns[it.name] = replace(columns[it.name], **fields)

    def constraint(self, it: Change) -> None:
        constraints: dict[Name, Constraint] = self._of(it).constraints  # type: ignore[assignment]  # made above
        if it.kind.endswith("renamed"):
            was = next(entry for entry in constraints.values() if entry.name == it.before)
            del constraints[identity(was)]
            now = replace(was, name=it.name)
            constraints[identity(now)] = now
            return
        if it.before is not None:
            del constraints[identity(_restored(Constraint, it.before))]
        if it.after is not None:
            now = _restored(Constraint, it.after)
            constraints[identity(now)] = now

    def index(self, it: Change) -> None:
        indexes: dict[str, Index] = self._of(it).indexes  # type: ignore[assignment]  # made above
        if it.kind.endswith("renamed"):
            indexes[it.name] = replace(indexes.pop(str(it.before)), name=it.name)
        elif it.after is None:
            del indexes[it.name]
        else:
            indexes[it.name] = _restored(Index, it.after)

    def enum(self, it: Change) -> None:
        if it.after is None:
            del self.enums[_name(it.name)]
        else:
            self.enums[_name(it.name)] = tuple(_fields(it.after)["labels"])

    def function(self, it: Change) -> None:
        signature = _signature(it.name)
        if it.after is None:
            del self.functions[signature]
        else:
            self.functions[signature] = _restored(Routine, it.after)

    def _of(self, it: Change) -> Relation:
        assert it.table
        return self.relations[_name(it.table)]
