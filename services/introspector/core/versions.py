"""What a look makes of the newest snapshot: the first, the same, or the next version."""

from typing import NamedTuple

from msgspec.structs import replace

from libs.common.changes import Change
from libs.common.schema import MAX_BYTES, Schema, pack, unpack
from services.introspector.core.assemble import Reading, assemble
from services.introspector.core.diff import diff
from services.introspector.core.limits import too_large
from services.introspector.core.telling import Question, question


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


class Step(NamedTuple):
    """What a look came to: the snapshot, and what turned the one before into it."""

    snapshot: Snapshot
    changes: tuple[Change, ...]


def following(before: Snapshot | None, reading: Reading, database_version: int) -> Step:
    """The snapshot after a look: a version more where requests can tell a difference.

    A snapshot in a format of the past counts as another structure, and nobody knows in what: who holds it has to fetch
    the new one.

    Raises:
        DbifyError: SCHEMA_TOO_LARGE.
    """
    version = 1 if before is None else before.version
    schema = assemble(reading, version)
    changes = () if before is None else _changes(before, schema, database_version)
    if changes or changes is None:
        version += 1
        schema = replace(schema, version=version)
    try:
        packed = pack(schema)
    except ValueError as error:
        raise too_large("its snapshot takes too many bytes", MAX_BYTES) from error
    return Step(Snapshot(version, database_version, schema.fingerprint, packed), changes or ())


def _changes(before: Snapshot, after: Schema, database_version: int) -> tuple[Change, ...] | None:
    """What changed, or None where that cannot be known."""
    try:
        known = unpack(before.packed)
    except ValueError:
        return None
    return diff(known, after, moved=before.database_version != database_version)


def concerned(before: Snapshot, changes: tuple[Change, ...]) -> Question:
    """What to ask about, to know whom changes concern."""
    if all(change.level == "safe" for change in changes):
        return Question((), ())
    return question(changes, unpack(before.packed))
