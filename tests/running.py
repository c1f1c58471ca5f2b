"""A real `python -m stack run` for tests, and what can be done to its parts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from stack import children
from stack.embedded import free_port

ROOT = Path(__file__).resolve().parent.parent
START_S = 120


class RunningStack:
    """A stack in a home folder of its own. `demo` is what demo.json says; parts are called as `status` shows them.

    Faults: `stop` ends a part cleanly, `kill` at once, `start` brings it back, `restart` does both; each waits until
    it is so. `signal` sends a part a signal and waits for nothing.
    """

    def __init__(self, home: Path, port: int | None = None, environ: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.port = port or free_port()
        self.demo: dict[str, Any] = {}
        self.output = home.parent / f"{home.name}.out"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DBIFY_")}
        self.environ = {**clean, "DBIFY_HOME": str(home), "DBIFY_PORT": str(self.port), **(environ or {})}
        self.runner: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start the runner without waiting."""
        with self.output.open("ab") as output:
            self.runner = subprocess.Popen(
                [sys.executable, "-m", "stack", "run"],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def up(self) -> "RunningStack":
        """Start the runner and wait for its demo.json."""
        file, deadline = self.home / "demo.json", time.monotonic() + START_S
        file.unlink(missing_ok=True)  # of a runner that was killed
        self.launch()
        assert self.runner is not None
        while not file.exists():
            assert self.runner.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        self.demo = json.loads(file.read_text())
        return self

    def said(self) -> str:
        """What the runner printed."""
        return self.output.read_text()

    def down(self, how: signal.Signals = signal.SIGTERM, limit_s: float = 60) -> int:
        """End the runner by a signal and wait; its exit status."""
        assert self.runner is not None
        if self.runner.poll() is None:
            self.runner.send_signal(how)
        return self.runner.wait(limit_s)

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `python -m stack` with arguments."""
        return subprocess.run(
            [sys.executable, "-m", "stack", *arguments],
            cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip

    def _order(self, verb: str, part: str) -> None:
        done = self.command(verb, part)
        assert done.returncode == 0, done.stderr

    def stop(self, part: str) -> None:
        """End a part cleanly."""
        self._order("stop", part)

    def kill(self, part: str) -> None:
        """End a part as a power failure would."""
        self._order("kill", part)

    def start(self, part: str) -> None:
        """Bring a part back and wait until it is ready."""
        self._order("start", part)

    def restart(self, part: str) -> None:
        """Stop a part and bring it back."""
        self._order("restart", part)

    def process(self, part: str) -> psutil.Process | None:
        """A part's process, if it runs."""
        return children.alive(self.home / "run" / f"{part}.pid")

    def signal(self, part: str, number: signal.Signals) -> None:
        """Send a part a signal, without the runner knowing."""
        process = self.process(part)
        assert process is not None
        process.send_signal(number)

    def parts(self) -> list[str]:
        """The names of the parts that run."""
        return sorted(file.stem for file in (self.home / "run").glob("*.pid") if self.process(file.stem))
