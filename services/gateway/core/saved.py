"""Saved queries: SQL with named, typed parameters, judged when it is saved and bound when it is run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from libs.common.errors import Code, DbifyError
from libs.common.schema import Column, Kind
from services.gateway.core import savedsql, types
from services.gateway.core.json import Json, Object, decode, shown
from services.gateway.core.names import suggestion
from services.gateway.core.payload import only
from services.gateway.core.plan import Plan
from services.gateway.core.template import NAME, Template, invalid, template
from services.gateway.core.values import Values

if TYPE_CHECKING:
    from services.gateway.core.statement import Argument

MAX_CACHE_S: Final = 86_400


class Type(msgspec.Struct, frozen=True, omit_defaults=True):
    """A type as the database describes it; see `libs.common.schema.Column` for the fields."""

    sql: str
    kind: Kind
    base: str = ""
    element: str = ""
    element_kind: Kind = "other"
    enum: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """A column of this type, by which values are encoded and described."""
        return Column(
            0, name, self.sql, self.kind, nullable=True,
            element=self.element, element_kind=self.element_kind, enum=self.enum, base=self.base,
        )  # fmt: skip


class Field(msgspec.Struct, frozen=True):
    """A column of a query's answer."""

    name: str
    type: Type


class Described(NamedTuple):
    """What the database says of a statement: its parameters' types in their order, and its columns."""

    parameters: tuple[Type, ...]
    fields: tuple[Field, ...]


class Declared(msgspec.Struct, frozen=True):
    """A parameter as its author declares it.

    Attributes:
        type: SQL, or "" for the type that the database infers.
        required: None where that hangs on whether there is a default.
        default: A JSON value; null is none.
    """

    name: str
    type: str = ""
    required: bool | None = None
    default: Json = None
    description: str = ""


class Asked(msgspec.Struct, frozen=True):
    """A query as its author sends it."""

    name: str
    sql: str
    parameters: tuple[Declared, ...] = ()
    write: bool = False
    cache_s: int = 0
    description: str = ""


class Parameter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parameter as it is known once its query was checked.

    Attributes:
        default: JSON text, "" where there is none.
        value: The default as it is bound.
        declared_type: The type that its author gave, "" where the database inferred it.
    """

    name: str
    type: Type
    required: bool = True
    default: str = ""
    value: str | None = None
    description: str = ""
    declared_type: str = ""


class Definition(msgspec.Struct, frozen=True):
    """One version of a saved query, with the statement that runs it.

    Attributes:
        parameters: In the order of their numbers in `statement`.
        fields: The columns of its answer; empty where it gives no rows.
        statement: As `Plan.sql`; where the query only reads, its last parameter is the most rows that are read.
    """

    sql: str
    write: bool
    cache_s: int
    parameters: tuple[Parameter, ...]
    fields: tuple[Field, ...]
    statement: str
    description: str = ""

    def asked(self, name: str) -> Asked:
        """The query as its author could send it again."""
        parameters = tuple(
            Declared(
                each.name, each.declared_type, each.required,
                decode(each.default.encode()) if each.default else None, each.description,
            )
            for each in self.parameters
        )  # fmt: skip
        return Asked(name, self.sql, parameters, self.write, self.cache_s, self.description)


class Draft:
    """A query that is being saved: `inferring` goes to the database, and what that says makes it `defined`.

    Raises:
        DbifyError: INVALID_QUERY.
    """

    def __init__(self, asked: Asked) -> None:
        if asked.write and asked.cache_s:
            raise invalid("The answer of a query that may write is not kept: leave out cacheSeconds.")
        self._asked = asked
        self._template = template(asked.sql)
        self._names = tuple(dict.fromkeys(self._template.names))
        self._declared = _declarations(asked.parameters, self._names)
        self._types = {name: savedsql.type_sql(each.type) for name, each in self._declared.items() if each.type}
        self._checked = savedsql.check(self.inferring, self.origin, write=asked.write)

    @property
    def inferring(self) -> str:
        """The SQL by which the database infers the types that are not declared."""
        return self._template.render(self._bare)

    def origin(self, position: int) -> int:
        """Where in the author's SQL a character of `inferring` comes from, counting from 0."""
        return self._template.origin(self._bare, position)

    def defined(self, described: Described) -> Definition:
        """The query with the types that the database found for `inferring`."""
        parameters = tuple(
            _parameter(self._declared.get(name, Declared(name)), type_)
            for name, type_ in zip(self._names, described.parameters, strict=True)
        )
        _check_fields(described.fields)
        asked = self._asked
        statement = _statement(self._template, self._names, parameters, write=asked.write)
        fields = described.fields if self._checked.rows else ()
        return Definition(asked.sql, asked.write, asked.cache_s, parameters, fields, statement, asked.description)

    def _bare(self, name: str) -> str:
        number = f"${self._names.index(name) + 1}"
        return f"({number}::{self._types[name]})" if name in self._types else number


def _declarations(parameters: Sequence[Declared], names: Sequence[str]) -> Mapping[str, Declared]:
    declared = {parameter.name: parameter for parameter in parameters}
    if len(declared) != len(parameters):
        raise invalid("Two parameters are declared under one name.")
    for name in declared:
        if not NAME.fullmatch(name):
            raise invalid("A parameter's name has letters, digits and _, and starts with no digit.")
        if name not in names:
            raise invalid(
                f'The parameter "{shown(name)}" does not stand in the SQL: write {{{{{shown(name)}}}}} there.'
            )
    return declared


def _check_fields(fields: Sequence[Field]) -> None:
    names = [field.name for field in fields]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f'Two columns are called "{shown(name)}": give one another name with AS.')


def _statement(found: Template, names: Sequence[str], parameters: Sequence[Parameter], *, write: bool) -> str:
    numbers = {name: f"${position + 1}::text" for position, name in enumerate(names)}
    casts = {each.name: types.cast(each.type.column(each.name), numbers[each.name]) for each in parameters}
    checked = savedsql.check(found.render(lambda name: f"({casts[name]})"), int, write=write)
    limit = f"${len(names) + 1}::text::bigint"
    return savedsql.writing(checked) if write else savedsql.reading(checked, limit)


def _parameter(declared: Declared, type_: Type) -> Parameter:
    required = declared.default is None if declared.required is None else declared.required
    if declared.default is None:
        return Parameter(declared.name, type_, required, description=declared.description, declared_type=declared.type)
    value = Values(type_.column(declared.name)).value(declared.default)
    default = msgspec.json.encode(declared.default).decode()
    return Parameter(declared.name, type_, required, default, value, declared.description, declared.type)


def plan(name: str, definition: Definition, params: Object, max_rows: int) -> Plan:
    """A run of a query as one statement.

    Raises:
        DbifyError: UNKNOWN_FIELD, INVALID_REQUEST where a parameter is missing, INVALID_VALUE.
    """
    only(params, [parameter.name for parameter in definition.parameters], f'The query "{name}"')
    arguments: list[Argument] = [_bound(name, parameter, params) for parameter in definition.parameters]
    if not definition.write:
        arguments.append(str(max_rows + 1))
    return Plan(definition.statement, tuple(arguments), definition.write, f"queries/{name}", ())


def _bound(name: str, parameter: Parameter, params: Object) -> str | None:
    if parameter.name in params:
        return Values(parameter.type.column(parameter.name)).value(params[parameter.name])
    if parameter.required and not parameter.default:
        raise DbifyError(
            Code.INVALID_REQUEST,
            f'The query "{name}" needs the parameter "{parameter.name}" ({parameter.type.sql}).',
            {"parameter": parameter.name, "type": parameter.type.sql},
        )
    return parameter.value


def not_found(name: str, known: Sequence[str]) -> DbifyError:
    """There is no query of this name."""
    return DbifyError(
        Code.QUERY_NOT_FOUND, f'No saved query "{shown(name)}".{suggestion(name, known)}', {"query": shown(name)}
    )
