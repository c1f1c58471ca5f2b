"""Where new credentials come from."""

import secrets

from services.gateway.core.credentials import ALPHABET, RANDOM_LENGTH, Kind, compose


def new_credential(kind: Kind) -> str:
    """A new API key or account token: 190 bits from the operating system."""
    return compose(kind, "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH)))


def new_session() -> str:
    """The value of a new session cookie."""
    return secrets.token_urlsafe(32)
