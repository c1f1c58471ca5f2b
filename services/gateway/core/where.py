"""A `where` as SQL."""

# ruff: noqa: S608  # Names are quoted from the snapshot, and values are parameters: no text of a request is in the SQL.

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Literal, NamedTuple, get_args

from libs.common.errors import Code, DbifyError
from libs.common.schema import Column
from services.gateway.core import types
from services.gateway.core.catalog import Relation
from services.gateway.core.conditions import And, Node, Not, Or, Test
from services.gateway.core.json import shown
from services.gateway.core.names import suggestion
from services.gateway.core.statement import Encode, Parameters, quoted
from services.gateway.core.values import Values, path_texts, pattern, scalar_text

TRUE: Final = "TRUE"
FALSE: Final = "FALSE"

Operator = Literal[
    "equals", "not", "in", "notIn", "lt", "lte", "gt", "gte",
    "contains", "startsWith", "endsWith", "like", "ilike", "regex",
    "has", "hasEvery", "hasSome", "isEmpty", "isNull",
]  # fmt: skip
OPERATORS: Final[dict[str, Operator]] = {operator: operator for operator in get_args(Operator)}

_EQUALITY: Final[tuple[Operator, ...]] = ("equals", "not", "in", "notIn")
_ORDER: Final[tuple[Operator, ...]] = ("lt", "lte", "gt", "gte")
_PATTERN: Final[tuple[Operator, ...]] = ("contains", "startsWith", "endsWith", "like", "ilike", "regex")
_HOLDING: Final[tuple[Operator, ...]] = ("has", "hasEvery", "hasSome")
# Those that can take upper and lower case as the same; `ilike` does so anyway.
_INSENSITIVE: Final = frozenset({*_EQUALITY, *_PATTERN})

_SYMBOLS: Final[dict[Operator, str]] = {
    "equals": "=", "not": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=",
    "hasEvery": "@>", "hasSome": "&&",
}  # fmt: skip
_PATTERNS: Final[dict[Operator, Callable[[str], str]]] = {
    "contains": pattern("%", "%"), "startsWith": pattern("", "%"), "endsWith": pattern("%", ""),
}  # fmt: skip


class Scope(NamedTuple):
    """Where columns are looked up: a table under the alias it has in the statement.

    Attributes:
        words: Names that may have been meant where a column is not found, besides the columns.
    """

    relation: Relation
    alias: str
    parameters: Parameters
    words: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """The column that the request names.

        Raises:
            DbifyError: COLUMN_NOT_FOUND.
        """
        hint = "" if name in self.relation.columns else suggestion(name, (*self.relation.columns, *self.words))
        column = self.relation.column(name, hint)
        self.parameters.name(name)
        return column

    def sql(self, column: str) -> str:
        """The column as SQL."""
        return f"{self.alias}.{quoted(column)}"


def where(node: Node, scope: Scope) -> str:
    """The condition as SQL: `TRUE` where there is none.

    Raises:
        DbifyError: COLUMN_NOT_FOUND, OPERATOR_NOT_APPLICABLE.
    """
    if isinstance(node, And):
        return _joined("AND", [where(part, scope) for part in node.parts], neutral=TRUE)
    if isinstance(node, Or):
        return _joined("OR", [where(part, scope) for part in node.parts], neutral=FALSE)
    if isinstance(node, Not):
        return _negated(where(node.part, scope))
    return _test(node, scope)


def _joined(word: str, parts: Iterable[str], *, neutral: str) -> str:
    # What decides the rest stays beside it: PostgreSQL wants to see a use of every parameter.
    conditions = [part for part in parts if part != neutral]
    if len(conditions) <= 1:
        return conditions[0] if conditions else neutral
    return f"({f' {word} '.join(conditions)})"


def _negated(condition: str) -> str:
    if condition in (TRUE, FALSE):
        return FALSE if condition == TRUE else TRUE
    return f"NOT ({condition})"


class _Subject(NamedTuple):
    """What a test is about: a column, or the text found inside a JSON column."""

    test: Test
    operator: Operator
    column: Column
    sql: str
    values: Values
    parameters: Parameters

    def operand(self, encode: Encode) -> str:
        return self.parameters.text(self.test.operand, encode)

    def operands(self, encode: Encode) -> str:
        return self.parameters.texts(self.test.operand, encode)


def _test(test: Test, scope: Scope) -> str:
    column, sql, values = scope.column(test.column), scope.sql(test.column), None
    operator = _operator(test)
    if test.inside:
        if column.kind != "json":
            raise _not_applicable("path", test, column)
        sql = f"({sql} #>> {scope.parameters.texts(test.inside, path_texts)})"
        column = _text(column)
        values = Values(column, render=scalar_text)
    if operator not in applicable(column) or (test.insensitive and not _folds(operator, column)):
        raise _not_applicable(operator, test, column)
    subject = _Subject(test, operator, column, sql, values or Values(column), scope.parameters)
    return _RENDERERS[operator](subject)


def _operator(test: Test) -> Operator:
    operator = OPERATORS.get(test.operator)
    if operator is None:
        word = shown(test.operator)
        raise DbifyError(
            Code.UNKNOWN_OPERATOR,
            f'"{shown(test.column)}" is asked for with "{word}", which is no operator.{suggestion(word, OPERATORS)} '
            'An object to compare with goes into {"equals": {...}}.',
            {"operator": word, "operators": list(OPERATORS)},
        )
    return operator


def _text(column: Column) -> Column:
    """What is found as text in a column, as if it were a column."""
    return Column(column.number, column.name, "text", "text", nullable=True)


def applicable(column: Column) -> tuple[Operator, ...]:
    """The operators that go with a column's type."""
    operators = _EQUALITY
    if types.is_ordered(column):
        operators += _ORDER
    if types.is_pattern(column):
        operators += _PATTERN
    if column.kind == "array":
        operators += (*_HOLDING, "isEmpty") if types.is_equal(column) else ("isEmpty",)
    return (*operators, "isNull")


def _folds(operator: Operator, column: Column) -> bool:
    return operator in _INSENSITIVE and types.is_pattern(column)


def _not_applicable(operator: str, test: Test, column: Column) -> DbifyError:
    operators, word = applicable(column), f'"{operator}"'
    if test.insensitive and operator in operators:
        operators, word = (
            tuple(each for each in operators if _folds(each, column)),
            f'{word} with "mode": "insensitive"',
        )
    return DbifyError(
        Code.OPERATOR_NOT_APPLICABLE,
        f'{word} does not go with "{column.name}" ({column.type}). These do: {", ".join(operators)}.',
        {"column": column.name, "type": column.type, "operator": operator, "operators": list(map(str, operators))},
    )


def _is_null(subject: _Subject) -> str:
    # IS NULL is true of a row whose every field is null; this is not.
    return (
        f"{subject.sql} IS NOT DISTINCT FROM NULL" if subject.column.kind == "composite" else f"{subject.sql} IS NULL"
    )


def _is_empty(subject: _Subject) -> str:
    return f"cardinality({subject.sql}) = 0"


def _compared(subject: _Subject) -> str:
    side = _side(subject)
    return (
        f"{side.column} {side.sign(_SYMBOLS[subject.operator])} {side.operand(subject.operand(subject.values.operand))}"
    )


class _Side(NamedTuple):
    """How a column compares: itself as SQL, its operators, and what makes an SQL text an operand."""

    column: str
    sign: Callable[[str], str]
    operand: Callable[[str], str]


def _side(subject: _Subject) -> _Side:
    column, sql = subject.column, subject.sql
    if subject.test.insensitive:
        return _Side(f"lower({sql}::text)", str, "lower({})".format)
    if types.is_equal(column):
        return _Side(types.comparable(column, sql), partial(types.operator, column), partial(types.cast, column))
    if column.kind == "json":
        return _Side(f"{sql}::jsonb", str, "{}::jsonb".format)
    # The operand becomes a value first, so that it is spelled as PostgreSQL spells it.
    return _Side(f"{sql}::text", str, lambda text: f"{types.cast(column, text)}::text")


def _listed(subject: _Subject) -> str:
    side, column = _side(subject), subject.column
    quantified = f"{side.sign('<>')} ALL" if subject.operator == "notIn" else f"{side.sign('=')} ANY"
    texts = subject.operands(subject.values.operands)
    if types.is_equal(column) and column.kind != "array" and not subject.test.insensitive:
        return f"{side.column} {quantified} ({types.cast_list(column, texts)})"
    return f"{side.column} {quantified} (SELECT {side.operand('v.text')} FROM unnest({texts}) AS v(text))"


def _like(subject: _Subject) -> str:
    form = _PATTERNS.get(subject.operator, str)
    insensitive = subject.test.insensitive or subject.operator == "ilike"
    return _matched(subject, "~~*" if insensitive else "~~", form)


def _regex(subject: _Subject) -> str:
    return _matched(subject, "~*" if subject.test.insensitive else "~", str)


def _matched(subject: _Subject, sign: str, form: Callable[[str], str]) -> str:
    """`~~` is what LIKE is short for, and can be named by its schema."""
    column, operand = subject.column, subject.operand(_pattern_text(subject, form))
    if types.is_searchable(column):
        return f"{subject.sql} {types.operator(column, sign)} {operand}"
    return f"{subject.sql}::text {sign} {operand}"


def _pattern_text(subject: _Subject, form: Callable[[str], str]) -> Encode:
    # Whatever the column's kind is, a pattern is a text.
    values = Values(subject.column, _text(subject.column))
    return lambda value: form(values.operand(value))


def _has(subject: _Subject) -> str:
    element = types.element(subject.column)
    operand = subject.operand(Values(subject.column, element).operand)
    return f"{_side(subject).column} @> ARRAY[{operand}]::{types.base(subject.column)}"


def _holds(subject: _Subject) -> str:
    element = types.element(subject.column)
    texts = subject.operands(Values(subject.column, element).operands)
    return f"{_side(subject).column} {_SYMBOLS[subject.operator]} {texts}::{types.base(subject.column)}"


_RENDERERS: Final[dict[Operator, Callable[[_Subject], str]]] = {
    "isNull": _is_null,
    "isEmpty": _is_empty,
    **dict.fromkeys(("equals", "not", *_ORDER), _compared),
    **dict.fromkeys(("in", "notIn"), _listed),
    **dict.fromkeys(("contains", "startsWith", "endsWith", "like", "ilike"), _like),
    "regex": _regex,
    "has": _has,
    **dict.fromkeys(("hasEvery", "hasSome"), _holds),
}
