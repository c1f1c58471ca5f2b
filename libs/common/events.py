"""The events that Dbify publishes: CloudEvents 1.0 in structured JSON mode, one struct a kind.

No address, secret or token stands in any of them: integrators may subscribe to their project's events.
"""

from typing import ClassVar, Generic, TypeVar

import msgspec

from libs.common import subjects
from libs.common.changes import Change, Impact
from libs.common.ids import ProjectId

# A schema.changed event's data takes no more than this.
MAX_CHANGES_BYTES = 64 * 1024


class EventData(msgspec.Struct, frozen=True, rename="camel"):
    """The base of every event's data; `kind` is the end of the subject and of the CloudEvents type."""

    kind: ClassVar[str]
    major: ClassVar[int] = 1


class ProjectCreated(EventData, frozen=True, rename="camel"):
    """A project was made; its first snapshot exists."""

    kind: ClassVar[str] = "project.created"
    name: str


class ProjectUpdated(EventData, frozen=True, rename="camel"):
    """A project's name, settings or database URL changed; `database_version` rises with the URL."""

    kind: ClassVar[str] = "project.updated"
    name: str
    database_version: int


class ProjectDeleted(EventData, frozen=True, rename="camel"):
    """A project is gone, and all that Dbify kept of it goes with it."""

    kind: ClassVar[str] = "project.deleted"
    name: str


class KeyCreated(EventData, frozen=True, rename="camel"):
    """A key was made. `prefix` is its shown beginning."""

    kind: ClassVar[str] = "key.created"
    key_id: str
    name: str
    prefix: str


class KeyRotated(EventData, frozen=True, rename="camel"):
    """A key was replaced by `key_id`; the old one works until `expires_at` (RFC 3339)."""

    kind: ClassVar[str] = "key.rotated"
    key_id: str
    replaces: str
    expires_at: str


class KeyRevoked(EventData, frozen=True, rename="camel"):
    """A key stopped working."""

    kind: ClassVar[str] = "key.revoked"
    key_id: str


class SchemaChanged(EventData, frozen=True, rename="camel"):
    """A project's schema has a new version. The first snapshot is not announced: nobody holds an older one.

    Attributes:
        changes: What changed, the gravest first: at most `MAX_CHANGES_BYTES` of it.
        impact: Whom that concerns.
        total_changes: How many changes there are, told or not.
        link: Where all of them are, below the gateway's address.
    """

    kind: ClassVar[str] = "schema.changed"
    from_version: int
    to_version: int
    changes: tuple[Change, ...] = ()
    impact: Impact = Impact()
    total_changes: int = 0
    link: str = ""


Data = TypeVar("Data", bound=EventData)


class CloudEvent(msgspec.Struct, Generic[Data], frozen=True):
    """A CloudEvents 1.0 envelope (cloudevents.io) around an event's data.

    Attributes:
        id: A UUIDv7; also the message's `Nats-Msg-Id`.
        source: The service that says so, such as `dbify/gateway`.
        time: When it became true, RFC 3339 in UTC.
        projectid: The project, a CloudEvents extension.
        sequence: Rises by one per project and source, a CloudEvents extension.
    """

    id: str
    source: str
    type: str
    subject: str
    time: str
    dataschema: str
    projectid: ProjectId
    sequence: int
    data: Data
    specversion: str = "1.0"
    datacontenttype: str = "application/json"


def type_of(data: type[EventData]) -> str:
    """The CloudEvents type, such as `dev.dbify.project.created`."""
    return f"dev.dbify.{data.kind}"


def schema_of(data: type[EventData]) -> str:
    """The data's schema with its major version."""
    return f"https://dbify.dev/schemas/{data.kind}/v{data.major}"


def subject_of(project: ProjectId, data: type[EventData]) -> str:
    """The NATS subject the event is published on."""
    return subjects.event(project, data.kind)
