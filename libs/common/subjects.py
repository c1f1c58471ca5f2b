"""NATS subjects: how they are put together, and how a name becomes a part of one."""

from urllib.parse import quote

from libs.common.ids import ProjectId

# Which projects are in use: see `rpc.Activity`.
ACTIVITY = "dbify.activity"


def token(name: str) -> str:
    """A name as one subject token: percent-encoded but for letters, digits, `_` and `-`, so never a wildcard."""
    return quote(name, safe="").replace(".", "%2E").replace("~", "%7E")


def event(project: ProjectId, kind: str) -> str:
    """The subject of an event such as `project.created`."""
    return f"dbify.events.{project}.{kind}"


def logs(gateway_id: str) -> str:
    """The subject of one gateway process's request logs."""
    return f"dbify.logs.{token(gateway_id)}"


def dead(stream: str, consumer: str) -> str:
    """Where a message goes that a consumer gave up on."""
    return f"dbify.dead.{stream}.{consumer}"


def rpc(service: str, method: str) -> str:
    """Where a service answers a method."""
    return f"dbify.rpc.{service}.{method}"
