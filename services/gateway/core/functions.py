"""Calls of the database's own functions as statements."""

# ruff: noqa: S608  # Names are quoted from the snapshot, and values are parameters: no text of a request is in the SQL.

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from libs.common.errors import Code, DbifyError, Detail
from libs.common.kinds import kind_of_sql
from libs.common.schema import Argument, Column, Function, Schema
from services.gateway.core import types
from services.gateway.core.json import Json, Object, described, shown
from services.gateway.core.names import suggestion
from services.gateway.core.payload import only
from services.gateway.core.plan import Plan
from services.gateway.core.statement import MAX_RESULT_BYTES, quoted
from services.gateway.core.values import Values

_FIELDS: Final = ("function", "args")
# What an error lists at most.
_MOST_NAMED: Final = 20
# What PostgreSQL takes in one call.
_MAX_ARGUMENTS: Final = 100


class Call(NamedTuple):
    """A function, with the values for some of its arguments by their position."""

    function: Function
    values: tuple[tuple[int, Json], ...]
    named: bool


class Functions:
    """The functions of one snapshot by the names that requests call them by."""

    def __init__(self, schema: Schema) -> None:
        self._search_path = schema.search_path
        self._by_name: dict[str, dict[str, list[Function]]] = {}
        for function in schema.functions:
            self._by_name.setdefault(function.name, {}).setdefault(function.schema, []).append(function)

    def resolve(self, payload: Object) -> Call:
        """The function that a payload calls: `name`, `schema.name` or either with its types, `name(integer, text)`.

        Raises:
            DbifyError: UNKNOWN_FIELD, INVALID_REQUEST, FUNCTION_NOT_FOUND, FUNCTION_AMBIGUOUS.
        """
        only(payload, _FIELDS, "A call")
        name, args = payload.get("function"), payload.get("args", {})
        if not isinstance(name, str):
            raise DbifyError(Code.INVALID_REQUEST, f'"function" must be a name, not {described(name)}.')
        if not isinstance(args, (dict, list)) or len(args) > _MAX_ARGUMENTS:
            raise DbifyError(
                Code.INVALID_REQUEST,
                f'"args" must be an object of arguments by name, or an array of them, not {described(args)}.',
            )
        candidates = self._called(name)
        if not candidates:
            meant = suggestion(name.partition("(")[0], self._names())
            raise DbifyError(Code.FUNCTION_NOT_FOUND, f'No function "{shown(name)}".{meant}', {"function": shown(name)})
        found = [function for function in candidates if _takes(function, args)]
        if len(found) != 1:
            raise _unclear(name, found, candidates)
        return _call(found[0], args)

    def _called(self, name: str) -> list[Function]:
        bare, signed, _ = name.partition("(")
        by_schema = self._by_name.get(bare)
        if by_schema is not None:
            on_path = [schema for schema in self._search_path if schema in by_schema][:1]
            found = [function for schema in on_path or by_schema for function in by_schema[schema]]
        else:
            found = [
                function for schema, rest in _splits(bare) for function in self._by_name.get(rest, {}).get(schema, ())
            ]
        if not signed:
            return found
        asked = _squeezed(name.partition("(")[2])
        return [each for each in found if asked == _squeezed(signature(each, types_only=True).partition("(")[2])]

    def _names(self) -> Iterator[str]:
        for name, by_schema in self._by_name.items():
            yield name
            yield from (f"{schema}.{name}" for schema in by_schema)


def _squeezed(types_: str) -> str:
    return types_.replace(" ", "")


def _splits(name: str) -> Iterator[tuple[str, str]]:
    dot = name.find(".")
    while dot != -1:
        yield name[:dot], name[dot + 1 :]
        dot = name.find(".", dot + 1)


def _takes(function: Function, args: Object | list[Json]) -> bool:
    arguments = function.arguments
    if isinstance(args, list):
        return len(args) <= len(arguments) and all(argument.optional for argument in arguments[len(args) :])
    names = {argument.name for argument in arguments if argument.name}
    return args.keys() <= names and all(each.optional or each.name in args for each in arguments)


def _call(function: Function, args: Object | list[Json]) -> Call:
    if isinstance(args, list):
        return Call(function, tuple(enumerate(args)), named=False)
    positions = {argument.name: position for position, argument in enumerate(function.arguments)}
    return Call(function, tuple((positions[name], value) for name, value in args.items()), named=True)


def _unclear(name: str, found: Sequence[Function], candidates: Sequence[Function]) -> DbifyError:
    listed = [signature(function) for function in (found or candidates)[:_MOST_NAMED]]
    details: dict[str, Detail] = {
        "function": shown(name),
        "functions": [signature(each, types_only=True) for each in candidates],
    }
    if found:
        choices = ", ".join(signature(each, types_only=True) for each in found[:_MOST_NAMED])
        return DbifyError(
            Code.FUNCTION_AMBIGUOUS, f'Several functions fit: write one of {choices} as "function".', details
        )
    return DbifyError(
        Code.FUNCTION_NOT_FOUND,
        f'No function "{shown(name)}" takes these arguments. There is {"; ".join(listed)}.',
        details,
    )


def signature(function: Function, *, types_only: bool = False) -> str:
    """`schema.name(a integer, b text = default)`, or without names and defaults as a request may write it."""
    arguments = (each.type if types_only else _written(each) for each in function.arguments)
    return f"{function.schema}.{function.name}({', '.join(arguments)})"


def _written(argument: Argument) -> str:
    return f"{argument.name} {argument.type}{' = default' if argument.optional else ''}".lstrip()


def column(argument: Argument, position: int) -> Column:
    """The argument as if it were a column, by which values are encoded and described."""
    element = argument.type.removesuffix("[]")
    return Column(
        0, argument.name or f"args[{position}]", argument.type, argument.kind, nullable=True,
        element=element, element_kind=kind_of_sql(element),
    )  # fmt: skip


def plan(call: Call, max_rows: int) -> Plan:
    """The call as one statement; a volatile function counts as a write.

    Raises:
        DbifyError: INVALID_VALUE.
    """
    function = call.function
    texts, arguments = [], []
    for number, (position, value) in enumerate(call.values, 1):
        as_column = column(function.arguments[position], position)
        name = f"{quoted(as_column.name)} => " if call.named else ""
        texts.append(f"{name}{types.cast(as_column, f'${number}::text')}")
        arguments.append(Values(as_column).value(value))
    called = f"{quoted(function.schema)}.{quoted(function.name)}({', '.join(texts)})"
    table = f"functions/{function.schema}.{function.name}"
    if function.procedure:
        return Plan(f"CALL {called}", tuple(arguments), write=True, table=table, columns=(), silent=True)
    write = function.volatility == "volatile"
    limit = f"${len(arguments) + 1}::text::bigint"
    if function.returns_set:
        arguments.append(str(max_rows + 1))
    sql = _statement(_answer(function, called, limit), limit if function.returns_set else "1", write=write)
    return Plan(sql, tuple(arguments), write=write, table=table, columns=())


def _statement(answer: str, limit: str, *, write: bool) -> str:
    fits = f"octet_length(a.data) <= {MAX_RESULT_BYTES}"
    if write:
        # width_bucket into no buckets fails: what cannot be answered is not written (see plan.TOO_LARGE_SQLSTATE).
        beyond = "ELSE width_bucket(octet_length(a.data), 0, 1, 0)::text "
        fits += "" if limit == "1" else f" AND a.rows < {limit}"
    else:
        beyond = ""
    return (
        f"SELECT CASE WHEN {fits} THEN a.data {beyond}END AS data, "
        f"NULL::bigint AS count, a.rows, octet_length(a.data) AS size FROM ({answer}) AS a"
    )


def _answer(function: Function, called: str, limit: str) -> str:
    """The rows of a set as an array; a row as an object, and a value as it is."""
    if function.returns_set:
        return (
            "SELECT '[' || coalesce(string_agg(coalesce(to_json(s.v)::text, 'null'), ','), '') || ']' AS data, "
            f"count(*) AS rows FROM (SELECT {called} AS v LIMIT {limit}) AS s"
        )
    value = "'null'" if function.returns == "void" else "coalesce(to_json(s.v)::text, 'null')"
    # OFFSET keeps the planner from calling it once for each time that its result is named.
    return f"SELECT {value} AS data, 1::bigint AS rows FROM (SELECT {called} AS v OFFSET 0) AS s OFFSET 0"
