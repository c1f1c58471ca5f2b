"""SQL as PostgreSQL prints it: names in it, and what becomes of them when something is renamed."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"""(?P<string>[eE]?'(?:[^']|'')*') | (?P<quoted>"(?:[^"]|"")*") | (?P<word>[^\W\d][\w$]*)
      | (?P<number>\d[\w.]*) | (?P<space>\s+) | (?P<cast>::) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")

Name = tuple[str, str]


class Token(NamedTuple):
    """A piece of SQL; `name` is what an identifier means, "" for anything else."""

    text: str
    kind: str
    name: str


class Renamed(NamedTuple):
    """What is called differently now, from the old name to the new one.

    Attributes:
        objects: Tables, views and enums by schema and name.
        columns: Those of one table, or of all that a query may be over.
        schemas: Whole schemas.
    """

    objects: Mapping[Name, Name]
    columns: Mapping[str, str]
    schemas: Mapping[str, str]


def tokens(sql: str) -> list[Token]:
    """The SQL in pieces that make it up again."""
    return [_token(match.lastgroup or "other", match[0]) for match in _TOKEN.finditer(sql)]


def _token(kind: str, text: str) -> Token:
    if kind == "word":
        return Token(text, kind, text)
    if kind == "quoted":
        return Token(text, kind, text[1:-1].replace('""', '"'))
    return Token(text, kind, "")


def qualified(type_sql: str) -> Name | None:
    """The schema and name of a type such as `app.mood[]`, or None where it is one of PostgreSQL's own."""
    found = tokens(type_sql)
    if len(found) > 2 and found[0].name and found[1].text == "." and found[2].name:  # noqa: PLR2004  schema, dot, name
        return found[0].name, found[2].name
    return None


def quoted(name: str) -> str:
    """The name as SQL; PostgreSQL quotes more of them than needed here, for keywords."""
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def renamed(sql: str, renames: Renamed) -> str:
    """The SQL with new names for old ones, wherever a name is sure to mean what was renamed."""
    if not (renames.objects or renames.columns or renames.schemas):
        return sql
    return "".join(_substituted(tokens(sql), renames))


def _substituted(found: list[Token], renames: Renamed) -> Iterator[str]:
    position = 0
    while position < len(found):
        token = found[position]
        schema_and_name = _object(found, position, renames)
        if schema_and_name is not None:
            yield ".".join(map(quoted, schema_and_name))
            position += 3
            continue
        yield _column(found, position, renames.columns) if token.name else _literal(token, renames.schemas)
        position += 1


def _object(found: list[Token], position: int, renames: Renamed) -> Name | None:
    if position + 2 >= len(found) or found[position + 1].text != "." or not found[position].name:
        return None
    name = found[position].name, found[position + 2].name
    if name in renames.objects:
        return renames.objects[name]
    return (renames.schemas[name[0]], name[1]) if name[0] in renames.schemas and name[1] else None


def _column(found: list[Token], position: int, columns: Mapping[str, str]) -> str:
    """A lone name that is no type, function or part of a longer name."""
    token = found[position]
    before = found[position - 1].text if position else ""
    after = found[position + 1].text if position + 1 < len(found) else ""
    if token.name in columns and before not in {"::", "."} and after not in {"(", "."}:
        new = columns[token.name]
        return quoted(new) if token.kind == "word" or not _PLAIN.fullmatch(new) else new
    return token.text


def _literal(token: Token, schemas: Mapping[str, str]) -> str:
    """A string such as 'app.customer_id_seq', as nextval takes it."""
    if token.kind == "string":
        for old, new in schemas.items():
            if token.text.startswith(f"'{quoted(old)}."):
                return f"'{quoted(new)}." + token.text.removeprefix(f"'{quoted(old)}.")
    return token.text


def follows(before: str, after: str, renames: Renamed) -> bool:
    """Whether one query differs from the other in nothing but new names: `name` became `full_name AS name`."""
    meaning = {**renames.columns, **renames.schemas}
    for (old_schema, old), (new_schema, new) in renames.objects.items():
        meaning.setdefault(old, new)
        meaning.setdefault(old_schema, new_schema)
    old_tokens, new_tokens = _words(before), _words(after)
    position = 0
    for token in old_tokens:
        if position >= len(new_tokens):
            return False
        found = new_tokens[position]
        position += 1
        if found.text == token.text:
            continue
        if not token.name or meaning.get(token.name) != found.name:
            return False
        if _is_alias(new_tokens[position : position + 2], token.name):
            position += 2
    return position == len(new_tokens)


def _words(sql: str) -> list[Token]:
    return [token for token in tokens(sql) if token.kind != "space"]


def _is_alias(next_tokens: list[Token], name: str) -> bool:
    match next_tokens:
        case [Token(text="AS"), Token(name=found)]:
            return found == name
    return False
