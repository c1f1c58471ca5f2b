"""The notifier, wired."""

import asyncio
from contextlib import AsyncExitStack

from libs.common import health, postgres
from libs.common.bus import connect
from libs.common.streams import MAILER
from services.notifier.adapters.gateway import Gateway
from services.notifier.adapters.mail import open_mail, open_sender
from services.notifier.adapters.postgres import Deliveries
from services.notifier.config import Config
from services.notifier.handlers.notify import Notify
from services.notifier.handlers.retention import forget

# Mails handed over at the same time, so that a slow one holds up few.
_AT_ONCE = 4


async def run(config: Config, stop: asyncio.Event) -> None:
    """Run the notifier until `stop` is set; a mail that is being handed over is finished or tried again later."""
    mail, sender = open_mail(config.mail_url), open_sender(config.mail_from)
    async with AsyncExitStack() as stack:
        deliveries = Deliveries(await stack.enter_async_context(postgres.platform(config.database_url, "notifier")))
        bus = await stack.enter_async_context(connect(config.nats_url, "notifier"))
        gateway = Gateway(bus)
        notify = Notify(gateway, deliveries, mail, sender, config.public_url)
        await bus.consume(MAILER, notify, batch=_AT_ONCE)
        checks = health.Health()
        checks.add("postgres", deliveries.check, required=True)
        checks.add("nats", gateway.check, required=True)
        await asyncio.gather(
            health.serve(checks, config.host, config.health_port, stop),
            forget(deliveries, stop),
        )
