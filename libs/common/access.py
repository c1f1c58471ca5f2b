"""Which NATS subjects each service may use: one user a service, in one account.

`stack/` and `k8s/` render the server's configuration from this table.
"""

from dataclasses import dataclass

from libs.common.streams import CONSUMERS, STREAMS

SERVICES = ("gateway", "introspector", "logger", "notifier", "search")
# Applies streams and consumers; used by the migration alone.
ADMIN = "admin"


@dataclass(frozen=True)
class Access:
    """What a NATS user may publish and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


_OWN: dict[str, Access] = {
    "gateway": Access(
        publish=(
            "dbify.events.*.project.*", "dbify.events.*.key.*", "dbify.logs.*",
            "dbify.rpc.introspector.*", "dbify.rpc.logger.*", "dbify.activity",
        ),
        subscribe=("dbify.events.*.schema.*", "dbify.events.*.project.*", "dbify.events.*.key.*"),
    ),
    "introspector": Access(
        publish=(
            "dbify.events.*.schema.*", "dbify.rpc.gateway.database", "dbify.rpc.gateway.keys",
            "dbify.rpc.logger.callers",
        ),
        subscribe=("dbify.activity",),
    ),
    "logger": Access(publish=(), subscribe=()),
    "notifier": Access(publish=("dbify.rpc.gateway.owner",), subscribe=()),
    "search": Access(publish=(), subscribe=()),
}  # fmt: skip


def inbox(service: str) -> str:
    """The prefix of a service's reply subjects: its own, so that no other service can listen in."""
    return f"_INBOX.{service}"


def access(service: str) -> Access:
    """All that a service may use: its own subjects and RPC methods, its consumers, a look at streams, dead letters."""
    own = _OWN[service]
    streams = tuple(f"$JS.API.STREAM.INFO.{stream.name}" for stream in STREAMS)
    pulls = tuple(
        subject
        for consumer in CONSUMERS
        if consumer.service == service
        for subject in (
            f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.name}",
            f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}",
            f"$JS.ACK.{consumer.stream}.{consumer.name}.>",
            f"dbify.dead.{consumer.stream}.{consumer.name}",
        )
    )
    return Access(
        publish=(*own.publish, "$JS.API.INFO", *streams, *pulls),
        subscribe=(*own.subscribe, f"dbify.rpc.{service}.*", "$SRV.>", f"{inbox(service)}.>"),
    )
