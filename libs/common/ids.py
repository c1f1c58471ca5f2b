"""Identifiers, typed apart so that one cannot stand in for another."""

from typing import NewType

import uuid_utils

AccountId = NewType("AccountId", str)
ProjectId = NewType("ProjectId", int)
KeyId = NewType("KeyId", str)


def new_id() -> str:
    """A UUIDv7 as text: unique without coordination and sorted by the time it was made (RFC 9562)."""
    return str(uuid_utils.uuid7())
