"""What services ask each other over NATS: one pair of structs a method, JSON, camelCase.

The method `m` of service `s` is answered on `dbify.rpc.s.m`; a failure is an `ErrorBody`.
"""

import msgspec

from libs.common.changes import Change, Impact
from libs.common.ids import ProjectId


class DatabaseRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`gateway.database`: how to reach a project's database."""

    project_id: ProjectId


class SealedDatabase(msgspec.Struct, frozen=True, rename="camel"):
    """A database URL that only holders of the master key can open.

    Attributes:
        sealed: `sealing.seal(url, project, "database", version)`.
        version: Rises each time the project's URL changes.
        addresses: The checked addresses, the only ones that may be dialled.
    """

    project_id: ProjectId
    sealed: str
    version: int
    addresses: list[str]


class OwnerRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`gateway.owner`: whom to write to about a project."""

    project_id: ProjectId


class Owner(msgspec.Struct, frozen=True, rename="camel"):
    """A project's owner."""

    account_id: str
    email: str
    project_name: str


class LookRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`introspector.look`: read the catalog now, save a snapshot where it differs, and answer the newest, packed.

    `database` comes along where the project is only about to be made; otherwise the introspector asks the gateway.
    """

    project_id: ProjectId
    database: SealedDatabase | None = None


class SnapshotRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`introspector.snapshot`: the newest snapshot, packed; a look is taken where it is older than `at_least`."""

    project_id: ProjectId
    at_least: int = 0


class KeyNamesRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`gateway.keys`: what some of a project's keys are called."""

    project_id: ProjectId
    ids: list[str]


class KeyNames(msgspec.Struct, frozen=True, rename="camel"):
    """Names by key id; keys that ended are among them, those of other projects are not."""

    names: dict[str, str]


class ChangesRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`introspector.changes`: what changed with each version, newest first, `limit` of those older than `before`."""

    project_id: ProjectId
    limit: int = 20
    before: int | None = None


class ChangeRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`introspector.change`: all that changed with one version. NOT_FOUND where nothing is known of it."""

    project_id: ProjectId
    version: int


class VersionChanges(msgspec.Struct, frozen=True, rename="camel"):
    """What changed with a version.

    Attributes:
        id: The version as text.
        time: When it was seen, RFC 3339 in UTC.
        breaking: How many changes are; likewise `dangerous` and `safe`. They may be more than `changes` tells.
        changes: The gravest first.
        impact: Whom that concerned, when it was seen.
    """

    id: str
    version: int
    from_version: int
    time: str
    breaking: int
    dangerous: int
    safe: int
    changes: list[Change]
    impact: Impact


class ChangesPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of versions; `next_cursor` is null on the last one."""

    data: list[VersionChanges]
    next_cursor: str | None


class Activity(msgspec.Struct, frozen=True):
    """On `subjects.ACTIVITY`, outside of any stream: projects that had requests in the last seconds.

    A gateway tells of a project at once after a pause, and every `TOLD_EVERY_S` while requests go on.
    """

    projects: list[ProjectId]


TOLD_EVERY_S = 10


class WatchRequest(msgspec.Struct, frozen=True, rename="camel"):
    """`introspector.watch` and `.unwatch`: install or remove the event trigger that tells of changes at once."""

    project_id: ProjectId


class WatchState(msgspec.Struct, frozen=True, rename="camel"):
    """Whether the project's database tells of changes by itself."""

    watched: bool
