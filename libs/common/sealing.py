"""Sealing secrets with a master key: AES-256-GCM, bound to the place where the sealed text belongs.

A sealed text is `keyid.` + base64url(nonce + ciphertext + tag). Its context (project, record, version) is associated
data: a sealed text copied to another record does not open there.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.common.config import ConfigError

_KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_FORM = "DBIFY_MASTER_KEY is malformed: a master key looks like id:base64key, comma-separated, each key 32 bytes"


class Keyring:
    """The master keys: the first one seals, all of them open.

    Args:
        keys: Each key by its id, in order.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise ConfigError(_FORM)
        self._ciphers = {identity: AESGCM(key) for identity, key in keys.items()}
        self._first = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `id:base64key,id2:base64key`.

        Raises:
            ConfigError: If it has another form; the message does not repeat it.
        """
        keys: dict[str, bytes] = {}
        for entry in text.split(","):
            identity, _, encoded = entry.strip().partition(":")
            if not _KEY_ID.fullmatch(identity) or identity in keys:
                raise ConfigError(_FORM)
            keys[identity] = _key(encoded)
        return cls(keys)

    def seal(self, plain: bytes, *context: str) -> str:
        """The sealed text, which opens only under the same context."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, plain, _joined(context))
        return f"{self._first}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *context: str) -> bytes:
        """What was sealed.

        Raises:
            ValueError: If the key is unknown, the context another, or the text not as it was sealed.
        """
        identity, _, encoded = sealed.partition(".")
        cipher = self._ciphers.get(identity)
        if cipher is None:
            raise ValueError("sealed with a master key that is not here")
        try:
            raw = base64.b64decode(encoded.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError) as error:
            raise ValueError("not a sealed text") from error
        if len(raw) < _NONCE_BYTES + _TAG_BYTES:
            raise ValueError("not a sealed text")
        try:
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _joined(context))
        except InvalidTag as error:
            raise ValueError("the sealed text was changed, or belongs elsewhere") from error


def _key(encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        # Not chained: the cause would carry the text.
        raise ConfigError(_FORM) from None
    if len(key) != _KEY_BYTES:
        raise ConfigError(_FORM)
    return key


def _joined(context: tuple[str, ...]) -> bytes:
    """The context as bytes, each part after its length, so that ("ab", "c") is not ("a", "bc")."""
    parts = [part.encode() for part in context]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
