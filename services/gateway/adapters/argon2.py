"""Passwords, hashed by argon2id in threads, a few at a time."""

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from libs.common.errors import Code, DbifyError

# One takes a core for some 50 ms and 64 MiB (RFC 9106's second recommended parameters).
_AT_ONCE: Final = 2
_WAITING: Final = 32


class Argon2:
    """`handlers.accounts.Passwords`."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._nobodys = self._hasher.hash("the password of no account")

    async def hash(self, password: str) -> str:
        """The hash to store, with its parameters and salt. RATE_LIMITED where too many wait."""
        return await self._slowly(password, None)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password; without a hash it never is, and finding that out takes as long."""
        return bool(await self._slowly(password, password_hash or self._nobodys)) and password_hash is not None

    async def _slowly(self, password: str, password_hash: str | None) -> str:
        if self._waiting >= _WAITING:
            message = "Too many people log in at the moment: try again."
            raise DbifyError(Code.RATE_LIMITED, message, {"retryAfterSeconds": 2})
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(self._work, password.encode("utf-8", "surrogatepass"), password_hash)
        finally:
            self._waiting -= 1

    def _work(self, password: bytes, password_hash: str | None) -> str:
        """Make a hash, or check one: "" where it is another password's."""
        if password_hash is None:
            return self._hasher.hash(password)
        try:
            self._hasher.verify(password_hash, password)
        except VerificationError:
            return ""
        return password_hash
