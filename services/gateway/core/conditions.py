"""The shape of a `where`: a tree of tests, whose operands stay where they are in the payload."""

from typing import Final, TypeAlias

import msgspec

from libs.common.errors import Code, DbifyError
from services.gateway.core.json import Json, Object, Path, described, place

MAX_CONDITIONS: Final = 500
# Keys and positions on the way to an operand: some 20 levels of AND and OR.
MAX_DEPTH: Final = 48

# Words beside the operators, which say how they compare.
_MODIFIERS: Final = ("mode", "path")


class Test(msgspec.Struct, frozen=True):
    """One operator on one column.

    Attributes:
        operator: As the request has it: whether it exists is judged once the column is known to.
        operand: Where its operand stands; empty for `isNull` and `isEmpty`, which have none.
        insensitive: Whether upper and lower case are the same.
        inside: Where the path into a JSON column stands, if the test is about a value in it.
    """

    column: str
    operator: str
    operand: Path = ()
    insensitive: bool = False
    inside: Path = ()


class And(msgspec.Struct, frozen=True):
    """All of them; true where there is none."""

    parts: "tuple[Node, ...]"


class Or(msgspec.Struct, frozen=True):
    """One of them at least; false where there is none."""

    parts: "tuple[Node, ...]"


class Not(msgspec.Struct, frozen=True):
    """What is not so; like SQL's, not what is unknown because of a null."""

    part: "Node"


Node: TypeAlias = Test | And | Or | Not
ALWAYS: Final = And(())


def constant(node: Node) -> bool | None:
    """Whether it holds for every row, or for none; None where that hangs on the row."""
    if isinstance(node, Test):
        return None
    if isinstance(node, Not):
        inner = constant(node.part)
        return None if inner is None else not inner
    parts = {constant(part) for part in node.parts}
    decisive = isinstance(node, Or)
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive


def conditions(where: Json, path: Path) -> Node:
    """The tree of a `where` that stands at `path` in the payload.

    Raises:
        DbifyError: INVALID_REQUEST, TOO_COMPLEX.
    """
    return _Reader().tree(where, path)


class _Reader:
    """Counts the tests on its way, so that the tree stays within bounds."""

    def __init__(self) -> None:
        self._tests = 0

    def tree(self, where: Json, path: Path) -> Node:
        if not isinstance(where, dict):
            raise DbifyError(
                Code.INVALID_REQUEST,
                f'"{place(path)}" must be an object of columns and conditions, not {described(where)}.',
            )
        _bounded(path)
        parts = tuple(self._entry(name, value, (*path, name)) for name, value in where.items())
        return parts[0] if len(parts) == 1 else And(parts)

    def _entry(self, name: str, value: Json, path: Path) -> Node:
        if name == "AND":
            return And(self._branches(value, path)) if isinstance(value, list) else self.tree(value, path)
        if name == "OR":
            return Or(self._branches(value, path))
        if name == "NOT":
            if isinstance(value, list):
                return And(tuple(map(Not, self._branches(value, path))))
            return Not(self.tree(value, path))
        return self._column(name, value, path)

    def _branches(self, value: Json, path: Path) -> tuple[Node, ...]:
        if not isinstance(value, list):
            raise DbifyError(
                Code.INVALID_REQUEST, f'"{place(path)}" must be an array of conditions, not {described(value)}.'
            )
        return tuple(self.tree(branch, (*path, position)) for position, branch in enumerate(value))

    def _column(self, column: str, value: Json, path: Path) -> Node:
        if isinstance(value, dict):
            return self._operators(Test(column, "equals"), value, path)
        return self._counted(Test(column, "equals", path) if value is not None else Test(column, "isNull"))

    def _operators(self, outer: Test, words: Object, path: Path) -> Node:
        _bounded(path)
        plain = Test(
            outer.column,
            "equals",
            insensitive=_insensitive(words, path) if "mode" in words else outer.insensitive,
            inside=(*path, "path") if "path" in words else outer.inside,
        )
        parts = tuple(
            self._test(plain, word, value, (*path, word)) for word, value in words.items() if word not in _MODIFIERS
        )
        if not parts:
            raise DbifyError(
                Code.INVALID_REQUEST, f'"{place(path)}" has no operator: write {{"equals": ...}} or another one.'
            )
        return parts[0] if len(parts) == 1 else And(parts)

    def _test(self, plain: Test, operator: str, value: Json, path: Path) -> Node:
        if operator in ("isNull", "isEmpty"):
            return self._yes_or_no(plain, operator, value, path)
        if operator == "not" and isinstance(value, dict):
            return Not(self._operators(plain, value, path))
        if value is None and operator in ("equals", "not"):
            is_null = self._counted(Test(plain.column, "isNull", inside=plain.inside))
            return is_null if operator == "equals" else Not(is_null)
        return self._counted(Test(plain.column, operator, path, plain.insensitive, plain.inside))

    def _yes_or_no(self, plain: Test, operator: str, value: Json, path: Path) -> Node:
        if value is not True and value is not False:
            raise DbifyError(Code.INVALID_REQUEST, f'"{place(path)}" must be true or false, not {described(value)}.')
        test = self._counted(Test(plain.column, operator, inside=plain.inside))
        return test if value else Not(test)

    def _counted(self, test: Test) -> Test:
        self._tests += 1
        if self._tests > MAX_CONDITIONS:
            raise DbifyError(
                Code.TOO_COMPLEX, f'"where" has more than {MAX_CONDITIONS} conditions: use "in" with a list of values.'
            )
        return test


def _bounded(path: Path) -> None:
    if len(path) > MAX_DEPTH:
        raise DbifyError(Code.TOO_COMPLEX, '"where" nests too deep: flatten its AND, OR and NOT.')


def _insensitive(words: Object, path: Path) -> bool:
    mode = words["mode"]
    if mode not in ("default", "insensitive"):
        raise DbifyError(Code.INVALID_REQUEST, f'"{place(path)}.mode" must be "insensitive" or "default".')
    return mode == "insensitive"
