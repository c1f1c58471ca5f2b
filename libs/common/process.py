"""A service as a process: settings in, signals handled, an exit code out."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import uvloop

from libs.common import config, telemetry

Config = TypeVar("Config", bound=msgspec.Struct)
Run = Callable[[Config, asyncio.Event], Awaitable[None]]

_logger = logging.getLogger(__name__)


def main(config_type: type[Config], run: Run[Config]) -> None:
    """Run a service until SIGTERM or SIGINT, and exit: 0 when told to, 1 after an error, 2 for wrong settings.

    Args:
        config_type: The struct that its settings are read into.
        run: The service's `run(config, stop)`.
    """
    service = run.__module__.split(".")[-2]
    telemetry.configure(service)
    try:
        settings = config.load(config_type, os.environ)
    except config.ConfigError as error:
        sys.exit(_complain(service, error))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_supervise(service, run, settings))
    sys.exit(code)


async def _supervise(service: str, run: Run[Config], settings: Config) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(run(settings, stop))

    def ask_to_stop() -> None:
        # The second signal is from someone who does not want to wait.
        if stop.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop)
    telemetry.log(_logger, f"{service} starts", pid=os.getpid())
    try:
        await task
    except asyncio.CancelledError:
        telemetry.log(_logger, f"{service} was made to stop at once", level=logging.WARNING)
        return 1
    except config.ConfigError as error:
        # A setting that only its user could judge, such as a URL or a key.
        return _complain(service, error)
    except Exception:
        _logger.exception("%s ends after an error", service)
        return 1
    telemetry.log(_logger, f"{service} ends")
    return 0


def _complain(service: str, error: config.ConfigError) -> int:
    """Say what is wrong with the settings, for a person to read; the exit code."""
    sys.stderr.write(f"{service}: the settings are not right.\n{error}\n")
    return 2
