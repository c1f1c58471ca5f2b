"""What a look makes of the newest snapshot: the first, the same, or the next version."""

from typing import NamedTuple

from libs.common.schema import pack, unpack
from services.introspector.core.assemble import Reading, assemble
from services.introspector.core.compare import same_structure


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
    """
    version = 1 if before is None else before.version
    schema = assemble(reading, version)
    if before is not None:
        try:
            same = same_structure(unpack(before.packed), schema)
        except ValueError:
            same = False
        if not same:
            version += 1
            schema = assemble(reading, version)
    return Snapshot(version, database_version, schema.fingerprint, pack(schema))
