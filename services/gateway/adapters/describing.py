"""What a database says of a statement that is not run: the types of its parameters and of its columns."""

from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec

from libs.common.errors import Code, DbifyError, Detail
from libs.common.kinds import kind_of
from libs.common.sqlstates import MAX_MESSAGE_CHARACTERS, translate
from services.gateway.core.saved import Described, Field, Type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncpg.prepared_stmt import PreparedStatement

    from libs.common.dial import Connection

# A domain is seen through to its base, an array to its element.
_TYPES: Final = """
    SELECT json_build_array(
        t.oid::int8, format_type(t.oid, NULL), t.typtype = 'd', format_type(b.oid, NULL), b.typtype, b.typname,
        coalesce(format_type(e.oid, NULL), ''), coalesce(e.typtype, ''), coalesce(e.typname, ''),
        (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum AS l
         WHERE l.enumtypid = coalesce(e.oid, b.oid)))::text
    FROM pg_type AS t
    JOIN pg_type AS b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
    LEFT JOIN pg_type AS e ON e.typarray = b.oid
    WHERE t.oid = ANY ($1::text[]::oid[])
"""
# Classes of errors that are about the SQL: of data in it, what is not supported, syntax and names, limits.
_ABOUT_SQL: Final = ("22", "0A", "42", "54", "25", "2F", "21")
_NOT_PERMITTED: Final = "42501"
_UNDETERMINED: Final = frozenset({"42P18", "42P08"})


class _Row(msgspec.Struct, frozen=True, array_like=True):
    oid: int
    sql: str
    is_domain: bool
    base: str
    kind: str
    name: str
    element: str
    element_kind: str
    element_name: str
    labels: tuple[str, ...] | None

    def type(self) -> Type:
        if self.element:
            kind_of_element = kind_of(self.element_kind, self.element_name)
            found = Type(self.sql, "array", "", self.element, kind_of_element, self.labels or ())
        else:
            found = Type(self.sql, kind_of(self.kind, self.name), enum=self.labels or ())
        return msgspec.structs.replace(found, base=self.base) if self.is_domain else found


async def describe(connection: "Connection", statement: "PreparedStatement[asyncpg.Record]") -> Described:
    """The types of a prepared statement."""
    parameters, attributes = statement.get_parameters(), statement.get_attributes()
    oids = [*(each.oid for each in parameters), *(each.type.oid for each in attributes)]
    types = await _types(connection, oids)
    return Described(
        tuple(types[each.oid] for each in parameters),
        tuple(Field(each.name, types[each.type.oid]) for each in attributes),
    )


async def _types(connection: "Connection", oids: "Iterable[int]") -> dict[int, Type]:
    wanted = [str(oid) for oid in dict.fromkeys(oids)]
    found: dict[int, Type] = {}
    for record in await connection.fetch(_TYPES, wanted):
        row = msgspec.json.decode(record[0], type=_Row)
        found[row.oid] = row.type()
    return {int(oid): found.get(int(oid), Type("text", "other")) for oid in wanted}


def refused(error: Exception) -> DbifyError:
    """What is wrong with the SQL, or what kept the database from saying so."""
    if not isinstance(error, asyncpg.PostgresError):
        return translate(error)
    state = error.sqlstate or ""
    if state == _NOT_PERMITTED or not state.startswith(_ABOUT_SQL):
        return translate(error)
    message = str(error.args[0])[:MAX_MESSAGE_CHARACTERS] if error.args else state
    hint = " Declare the parameter's type." if state in _UNDETERMINED else ""
    details: dict[str, Detail] = {"sqlstate": state}
    if error.position and str(error.position).isdecimal():
        details["position"] = int(error.position)
    return DbifyError(Code.INVALID_QUERY, f"The database refuses the SQL: {message}.{hint}", details)
