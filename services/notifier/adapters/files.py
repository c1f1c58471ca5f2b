"""Mails as .eml files in a folder: what the local stack does, and the dashboard shows."""

import asyncio
import os
import re
from email.message import EmailMessage
from pathlib import Path

from services.notifier.handlers.notify import NotAccepted


class Files:
    """Writes each mail as `<event id>.eml`: event ids are UUIDv7, so the names sort by time.

    The name is the mail's identity, so a mail sent twice is one file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: EmailMessage) -> None:
        """Write the mail whole or not at all; it is on disk when this returns."""
        try:
            await asyncio.to_thread(self._write, message)
        except OSError as error:
            raise NotAccepted(f"The mail folder cannot be written: {error.strerror}.") from error

    def _write(self, message: EmailMessage) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^0-9A-Za-z-]", "_", str(message["Message-ID"]).strip("<>").partition("@")[0])
        draft = self._folder / f".{name}.{os.getpid()}.part"
        try:
            with draft.open("wb") as file:
                file.write(message.as_bytes())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._folder / f"{name}.eml")
        finally:
            draft.unlink(missing_ok=True)
