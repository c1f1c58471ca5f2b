"""What services ask each other over NATS: one pair of structs a method, JSON, camelCase.

The method `m` of service `s` is answered on `dbify.rpc.s.m`; a failure is an `ErrorBody`.
"""

import msgspec

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
