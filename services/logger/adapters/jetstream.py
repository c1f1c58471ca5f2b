"""Dead letters of single records; a message that is bad as a whole is buried by the bus itself."""

from libs.common import subjects
from libs.common.bus import Bus, Message
from libs.common.errors import Code, DbifyError
from libs.common.streams import LOG_WRITER


class DeadLetters:
    """Records that could not be stored, each as a batch of one on the logger's dead-letter subject."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def check(self) -> None:
        """Raise while there is no connection to NATS."""
        if not self._bus.connected:
            raise DbifyError(Code.SERVICE_UNAVAILABLE, "There is no connection to NATS.")

    async def add(self, message: Message, part: str, data: bytes, reason: str) -> None:
        """Keep a part of a message, see `handlers.writing.DeadLetters`. The headers are those the bus gives."""
        subject = subjects.dead(LOG_WRITER.stream, LOG_WRITER.name)
        await self._bus.publish(
            subject,
            data,
            message_id=f"{LOG_WRITER.stream}.{LOG_WRITER.name}.{message.sequence}/{part}",
            headers={
                "Dbify-Reason": reason.encode("ascii", "replace").decode()[:1000],
                "Dbify-Subject": message.subject,
                "Dbify-Sequence": str(message.sequence),
                "Dbify-Deliveries": str(message.deliveries),
                "Dbify-Message-Id": message.id,
            },
        )
