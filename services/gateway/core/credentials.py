"""What API keys, account tokens and session cookies look like, and how they are stored: by their SHA-256 alone."""

import hashlib
import uuid
import zlib
from typing import Final, Literal

Kind = Literal["dbk_", "dbp_"]
API_KEY: Final = "dbk_"
ACCOUNT_TOKEN: Final = "dbp_"  # noqa: S105  the prefix, not a token

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 32
_CHECKSUM_LENGTH = 6
_LENGTH = len(API_KEY) + RANDOM_LENGTH + _CHECKSUM_LENGTH
_SHOWN_LENGTH = 10


def compose(kind: Kind, random: str) -> str:
    """A credential out of its kind and `RANDOM_LENGTH` random letters of `ALPHABET`, with its checksum."""
    return f"{kind}{random}{_checksum(kind + random)}"


def well_formed(kind: Kind, text: str) -> bool:
    """Whether a text can be such a credential at all: so that a mistyped one costs no look-up."""
    if len(text) != _LENGTH or not text.startswith(kind) or not text.isascii():
        return False
    return _checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:]


def digest(secret: str) -> bytes:
    """What is stored of a credential. It has 190 random bits, so that a plain SHA-256 cannot be searched."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def shown(secret: str) -> str:
    """The beginning of a credential, by which its owner recognises it."""
    return secret[:_SHOWN_LENGTH]


def is_id(text: str) -> bool:
    """Whether a text is a UUID in its usual form, as every id but a project's is."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _checksum(text: str) -> str:
    """CRC32 in base 62, padded to six digits: 62 ** 6 is more than 2 ** 32."""
    rest, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
