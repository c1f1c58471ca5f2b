"""A folder where log batches wait while NATS is down: bounded, durable, and taken over where its process died."""

import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from libs.common.telemetry import log

CAPACITY_BYTES: Final = 256 * 1024 * 1024
_BATCH = ".batch"
_LOCK = "lock"

_logger = logging.getLogger(__name__)


class Spool:
    """One process's folder, a file a batch, named by the batch's id, so that the oldest comes first.

    Its methods block: call them in threads, at the same time if need be.
    """

    def __init__(self, folder: Path, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self._folder = folder
        self._capacity_bytes = capacity_bytes
        self._sizes: dict[str, int] = {path.stem: path.stat().st_size for path in sorted(folder.glob(f"*{_BATCH}"))}
        self._size_bytes = sum(self._sizes.values())
        self._counting = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """What the batches take."""
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._sizes)

    def put(self, identity: str, body: bytes) -> bool:
        """Keep a batch; False where there is no room. OSError where the disk does not take it."""
        if self._size_bytes + len(body) > self._capacity_bytes:
            return False
        path = self._folder / f"{identity}{_BATCH}"
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
            _sync(self._folder)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        with self._counting:
            self._sizes[identity] = len(body)
            self._size_bytes += len(body)
        return True

    def oldest(self) -> tuple[str, bytes] | None:
        """The batch that waits longest."""
        with self._counting:
            if not self._sizes:
                return None
            identity = min(self._sizes)
        return identity, (self._folder / f"{identity}{_BATCH}").read_bytes()

    def drop(self, identity: str) -> None:
        """Forget a batch that is safe elsewhere, or cannot be read."""
        with self._counting:
            self._size_bytes -= self._sizes.pop(identity, 0)
        (self._folder / f"{identity}{_BATCH}").unlink(missing_ok=True)


@contextmanager
def spool(root: Path, process: str, capacity_bytes: int = CAPACITY_BYTES) -> Iterator[Spool]:
    """This process's spool under `root`, with the batches of processes that died moved into it.

    A living process holds a lock on its folder. Folders are made and taken over under one lock on `root`, so that none
    is taken between its making and its locking.
    """
    folder = root / process
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(root):
        folder.mkdir(exist_ok=True, mode=0o700)
        held = _try_lock(folder)
        if held is None:
            raise BlockingIOError(f"another process holds the spool {folder.name}")
        _adopt(root, folder)
    try:
        yield Spool(folder, capacity_bytes)
    finally:
        with _locked(root):
            if not any(folder.glob(f"*{_BATCH}")):
                _remove(folder)
            os.close(held)


def _adopt(root: Path, folder: Path) -> None:
    # What has no lock was made by somebody else.
    others = [path.parent for path in root.glob(f"*/{_LOCK}") if path.is_file() and path.parent != folder]
    for other in sorted(others):
        lock = _try_lock(other)
        if lock is None:
            continue
        batches = sorted(other.glob(f"*{_BATCH}"))
        for path in batches:
            path.rename(folder / path.name)
        _sync(folder)
        _remove(other)
        os.close(lock)
        if batches:
            log(_logger, "took over log batches of a process that died", process=other.name, batches=len(batches))


def _remove(folder: Path) -> None:
    """Delete a folder of which no batch is left."""
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _try_lock(folder: Path) -> int | None:
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    lock = os.open(root / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _sync(folder: Path) -> None:
    """A rename survives a power failure only once its folder is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
