"""What a look makes of the newest snapshot: the first, the same, or the next version."""

from typing import NamedTuple

from msgspec.structs import replace

from libs.common.schema import MAX_BYTES, Schema, pack, unpack
from services.introspector.core.assemble import Reading, assemble
from services.introspector.core.compare import same_structure
from services.introspector.core.limits import too_large


class Snapshot(NamedTuple):
    """A version of a project's schema as it is stored.

    Attributes:
        version: From 1, rising by one with each change of structure.
        database_version: Which of the project's database URLs it was read from.
        fingerprint: Of the catalogs at the last look, "" where it says nothing.
        packed: The schema, by `libs.common.schema.pack`.
    """

    version: int
    database_version: int
    fingerprint: str
    packed: bytes


def following(before: Snapshot | None, reading: Reading, database_version: int) -> Snapshot:
    """The snapshot after a look: a version more where the structure is another than before.

    A snapshot in a format of the past counts as another structure: who holds it has to fetch the new one.

    Raises:
        DbifyError: SCHEMA_TOO_LARGE.
    """
    version = 1 if before is None else before.version
    schema = assemble(reading, version)
    if before is not None and not _same(before, schema):
        version += 1
        schema = replace(schema, version=version)
    try:
        packed = pack(schema)
    except ValueError as error:
        raise too_large("its snapshot takes too many bytes", MAX_BYTES) from error
    return Snapshot(version, database_version, schema.fingerprint, packed)


def _same(before: Snapshot, after: Schema) -> bool:
    try:
        return same_structure(unpack(before.packed), after)
    except ValueError:
        return False
