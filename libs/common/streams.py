"""Every JetStream stream and durable consumer, in one table.

`python -m stack migrate` applies it; services only verify that what they need is there, so that an old process never
brings an old configuration back.
"""

from dataclasses import dataclass

from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

_DAY_S = 24 * 3600
_MIB = 1024 * 1024

EVENTS = StreamConfig(
    name="EVENTS",
    description="What happened to projects: CloudEvents, replayable for 30 days.",
    subjects=["dbify.events.>"],
    retention=RetentionPolicy.LIMITS,
    storage=StorageType.FILE,
    discard=DiscardPolicy.OLD,
    max_age=30 * _DAY_S,
    max_bytes=1024 * _MIB,
    max_msg_size=512 * 1024,
    duplicate_window=600,
)
LOGS = StreamConfig(
    name="LOGS",
    description="Request logs on their way into ClickHouse. Full means refused: the gateway then keeps them itself.",
    subjects=["dbify.logs.*"],
    retention=RetentionPolicy.WORK_QUEUE,
    storage=StorageType.FILE,
    discard=DiscardPolicy.NEW,
    max_bytes=1024 * _MIB,
    # A message of logs.MAX_BATCH_BYTES with its headers.
    max_msg_size=640 * 1024,
    # Longer than a gateway keeps retrying one publish before it spools it under the same id.
    duplicate_window=600,
)
DEAD = StreamConfig(
    name="DEAD",
    description="Messages a consumer gave up on, with the reason in their headers.",
    subjects=["dbify.dead.>"],
    retention=RetentionPolicy.LIMITS,
    storage=StorageType.FILE,
    discard=DiscardPolicy.OLD,
    max_age=30 * _DAY_S,
    max_bytes=256 * _MIB,
    max_msg_size=1024 * 1024,
)
STREAMS = (EVENTS, LOGS, DEAD)


@dataclass(frozen=True)
class Consumer:
    """A durable pull consumer of one stream.

    Attributes:
        service: Who pulls from it.
        stream: The stream's name.
        name: The durable's name, unique within the stream.
        subjects: What it takes.
        ack_wait_s: How long a handler may take before the message is handed out again.
        max_ack_pending: How many messages may be under way at once, over all replicas.
    """

    service: str
    stream: str
    name: str
    subjects: tuple[str, ...]
    ack_wait_s: float = 60
    max_ack_pending: int = 64

    def config(self) -> ConsumerConfig:
        """The consumer as the server takes it. Deliveries are unlimited: the handler decides what is poison."""
        return ConsumerConfig(
            durable_name=self.name,
            name=self.name,
            filter_subjects=list(self.subjects),
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self.ack_wait_s,
            max_ack_pending=self.max_ack_pending,
            max_deliver=-1,
        )


# The wait is longer than an insert may take; after it comes again what a killed logger held.
LOG_WRITER = Consumer("logger", "LOGS", "logger", ("dbify.logs.*",), ack_wait_s=30)
PROJECT_WATCHER = Consumer("introspector", "EVENTS", "introspector", ("dbify.events.*.project.*",))
MAILER = Consumer("notifier", "EVENTS", "notifier", ("dbify.events.>",))
CONSUMERS = (LOG_WRITER, PROJECT_WATCHER, MAILER)
