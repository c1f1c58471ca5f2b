"""What the terminal shows while the stack starts: a line a step, and on a real terminal what is still under way."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

_FRAMES = "|/-\\"
_FRAME_S = 0.1


class Screen:
    """Progress lines on standard output."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._under_way: list[str] = []
        self._terminal = sys.stdout.isatty()

    @contextlib.asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        """Show that a step runs, and how long it took once it is done."""
        started = time.monotonic()
        self._under_way.append(name)
        spinner = asyncio.create_task(self._spin()) if self._terminal and len(self._under_way) == 1 else None
        try:
            yield
            self.say(f"  {name:<34} {time.monotonic() - started:5.1f} s")
        finally:
            self._under_way.remove(name)
            if spinner:
                spinner.cancel()

    def say(self, text: str) -> None:
        """Print a line, over what was under way."""
        print(f"\r\033[K{text}" if self._terminal else text, flush=True)

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    async def _spin(self) -> None:
        frame = 0
        while self._under_way:
            frame += 1
            print(f"\r\033[K{_FRAMES[frame % 4]} {', '.join(self._under_way)[:70]}", end="", flush=True)
            await asyncio.sleep(_FRAME_S)


class Follower:
    """Prints what the logs in a folder gain, each line after its process's name."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._places = {log: log.stat().st_size for log in logs.glob("*.log")}

    async def run(self) -> None:
        """Print until cancelled."""
        while True:
            self._print()
            await asyncio.sleep(_FRAME_S)

    def _print(self) -> None:
        for log in sorted(self._logs.glob("*.log")):
            place = min(self._places.get(log, 0), log.stat().st_size)
            with log.open("rb") as file:
                file.seek(place)
                whole, _, _ = file.read().rpartition(b"\n")
            for line in whole.decode(errors="replace").splitlines():
                print(f"{log.stem:>14} | {line}", flush=True)
            self._places[log] = place + (len(whole) + 1 if whole else 0)
