"""SQL with named parameters, written `{{name}}`.

A colon would be read as part of a cast (`::`), of a slice (`a[1:n]`) or of a named argument (`:=`); braces stand
nowhere in SQL outside of quotes. PostgreSQL's own scanner finds them, so that quotes and comments are let be.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import postgast
from postgast import pg_query_pb2 as tree

from libs.common.errors import Code, DbifyError

MAX_SQL_CHARACTERS: Final = 20_000
MAX_PARAMETERS: Final = 100
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

_OPEN, _CLOSE = ord("{"), ord("}")
_TOKENS: Final = 5

Fill = Callable[[str], str]


class Template(NamedTuple):
    """`texts` around the places of `names`, of which a name may have several: one text more than places.

    `spans` has how many characters each place takes in the source.
    """

    texts: tuple[str, ...]
    names: tuple[str, ...]
    spans: tuple[int, ...]

    def render(self, fill: Fill) -> str:
        """The SQL with what `fill` gives at each place."""
        filled = (fill(name) + text for name, text in zip(self.names, self.texts[1:], strict=True))
        return self.texts[0] + "".join(filled)

    def origin(self, fill: Fill, position: int) -> int:
        """Where in the source a character of the rendered SQL comes from; both count from 0."""
        source = rendered = 0
        for text, name, span in zip(self.texts, self.names, self.spans, strict=False):
            if position < rendered + len(text):
                break
            source, rendered = source + len(text), rendered + len(text)
            if position < rendered + len(fill(name)):
                return source
            source, rendered = source + span, rendered + len(fill(name))
        return source + position - rendered


def template(sql: str) -> Template:
    """The parameters of an SQL text.

    Raises:
        DbifyError: INVALID_QUERY where it is too long, cannot be scanned, or numbers its parameters.
    """
    if len(sql) > MAX_SQL_CHARACTERS:
        raise invalid(f"The SQL has {len(sql):,} characters, the limit is {MAX_SQL_CHARACTERS:,}.")
    if "\0" in sql:
        raise invalid("The SQL has the character U+0000, which PostgreSQL cannot hold.")
    data = _encoded(sql)
    try:
        tokens = list(postgast.scan(sql).tokens)
    except postgast.PgQueryError as error:
        raise refused(error) from None
    texts, names, spans, end = [], [], [], 0
    for position, token in enumerate(tokens):
        if token.token == tree.Token.PARAM:
            place = len(data[: token.start].decode())
            raise invalid("Parameters have names: write {{name}} instead of a number.", place)
        name = _name(tokens[position : position + _TOKENS], data)
        if name is not None:
            texts.append(data[end : token.start].decode())
            names.append(name)
            end = tokens[position + _TOKENS - 1].end
            spans.append(end - token.start)
    if len(set(names)) > MAX_PARAMETERS:
        raise invalid(f"The SQL has more than {MAX_PARAMETERS} parameters.")
    return Template((*texts, data[end:].decode()), tuple(names), tuple(spans))


def _name(tokens: list[tree.ScanToken], data: bytes) -> str | None:
    if len(tokens) < _TOKENS or tokens[0].token != _OPEN:
        return None
    first, second, name, third, fourth = tokens
    braces = (first.token, second.token, third.token, fourth.token) == (_OPEN, _OPEN, _CLOSE, _CLOSE)
    if not braces or first.end != second.start or third.end != fourth.start:
        return None
    text = data[name.start : name.end].decode()
    return text if NAME.fullmatch(text) else None


def _encoded(sql: str) -> bytes:
    try:
        return sql.encode()
    except UnicodeEncodeError:
        raise invalid("The SQL has half of a surrogate pair, which is no character.") from None


def refused(error: postgast.PgQueryError, origin: Callable[[int], int] = int) -> DbifyError:
    """What PostgreSQL's parser says, with its place in the SQL that was written, which `origin` maps to."""
    message = f"The SQL cannot be read: {error.message}."
    # Counted in characters, whatever the binding's documentation says.
    return invalid(message, origin(error.cursorpos - 1)) if error.cursorpos else invalid(message)


def invalid(message: str, position: int | None = None) -> DbifyError:
    """INVALID_QUERY; `position` counts characters from 0, and is shown counting from 1, as PostgreSQL does."""
    return DbifyError(Code.INVALID_QUERY, message, {} if position is None else {"position": position + 1})
