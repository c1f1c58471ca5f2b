"""Child processes that never outlive whoever started them, and what a crashed runner left behind.

Each has a pid file of two lines, the process id and when that process was made: together they tell a process of ours
from a later one that happens to have the same id.
"""

import asyncio
import contextlib
import ctypes
import functools
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_POLL_S = 0.02
# The kernel rounds a process's birth to 10 ms, and a corrected clock shifts it.
_SAME_BIRTH_S = 5.0
_LOG_BYTES = 8 * 1024 * 1024


class StartError(Exception):
    """A process did not come up; the message ends with its last words."""


@dataclass
class Child:
    """A running process, the leader of its own session."""

    name: str
    process: subprocess.Popen[bytes]
    pid_file: Path
    log: Path
    stop_signal: signal.Signals

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    async def stop(self, limit_s: float = 30) -> None:
        """Ask it to end, and end it with its whole group where it does not in time."""
        self.process.send_signal(self.stop_signal)
        await self.ended(limit_s)
        self.kill()

    async def ended(self, limit_s: float) -> bool:
        """Wait for it to end; whether it did in time."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if not self.running:
                return True
            await asyncio.sleep(_POLL_S)
        return not self.running

    def kill(self) -> None:
        """End it and its group at once, as a power failure would."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.pid_file.unlink(missing_ok=True)


def spawn(
    home: Path,
    name: str,
    command: Sequence[str],
    *,
    stop_signal: signal.Signals = signal.SIGTERM,
    user: str | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Child:
    """Start `command` with `home/run/NAME.pid` and `home/logs/NAME.log`, after ending what an earlier run left."""
    run, logs = home / "run", home / "logs"
    run.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    pid_file, log = run / f"{name}.pid", logs / f"{name}.log"
    reclaim(pid_file)
    _rotate(log)
    account = pwd.getpwnam(user) if user else None
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environ,
            cwd=cwd,
            start_new_session=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            # After the change of user, which would clear it. Nothing but a system call happens in there.
            preexec_fn=functools.partial(_die_with, os.getpid(), stop_signal),  # noqa: PLW1509
        )
    _write(pid_file, process.pid)
    return Child(name, process, pid_file, log, stop_signal)


def _die_with(parent: int, stop_signal: signal.Signals) -> None:
    """In the child, before exec: be sent `stop_signal` when the parent ends, however it ends (Linux only)."""
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(stop_signal))
    if os.getppid() != parent:
        os._exit(1)


def end_with_parent() -> None:
    """Be sent SIGTERM when the process that started this one ends, however it ends (Linux only)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


def _write(pid_file: Path, pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        pid_file.write_text(f"{pid}\n{psutil.Process(pid).create_time()}\n")


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))


def alive(pid_file: Path) -> psutil.Process | None:
    """The process that wrote this pid file, if it still runs."""
    try:
        pid, born = pid_file.read_text().split()
        process = psutil.Process(int(pid))
        same = abs(process.create_time() - float(born)) < _SAME_BIRTH_S
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
    return process if same and process.status() != psutil.STATUS_ZOMBIE else None


def reclaim(pid_file: Path, limit_s: float = 15) -> bool:
    """End the process an earlier run left behind, with its children; whether there was one."""
    process = alive(pid_file)
    if process is None:
        return False
    group = [process, *process.children(recursive=True)]
    process.terminate()
    _, stubborn = psutil.wait_procs(group, timeout=limit_s)
    for one in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(stubborn, timeout=limit_s)
    pid_file.unlink(missing_ok=True)
    return True


async def ready(child: Child, check: Callable[[], Awaitable[bool]], limit_s: float = 30) -> None:
    """Wait until `check` says yes.

    Raises:
        StartError: When the process ends before, or the time is over.
    """
    deadline = time.monotonic() + limit_s
    while not await check():
        if not child.running:
            raise StartError(f"{child.name} ended with status {child.process.returncode}:\n{child.tail()}")
        if time.monotonic() > deadline:
            raise StartError(f"{child.name} was not ready within {limit_s:.0f} s:\n{child.tail()}")
        await asyncio.sleep(_POLL_S)
