"""Where a project's database is, and how much of it may be used."""

from typing import Protocol

import msgspec

from libs.common.dsn import Dsn
from libs.common.ids import ProjectId
from services.gateway.core.limits import UNLIMITED, Limits


class Target(msgspec.Struct, frozen=True):
    """A project's database.

    Attributes:
        addresses: Checked; the only ones that may be dialled.
        version: Rises when the project gets another URL: connections of another version must go.
        connections: The most that the project may hold open, over all gateway processes.
        timeout_ms: The ceiling for one statement.
        limits: What else a request is held to.
    """

    dsn: Dsn
    addresses: tuple[str, ...]
    version: int
    connections: int
    timeout_ms: int
    limits: Limits = UNLIMITED


class Targets(Protocol):
    """The projects' databases."""

    async def target(self, project: ProjectId) -> Target:
        """Where a project's database is.

        Raises:
            DbifyError: PROJECT_NOT_FOUND, or PLATFORM_UNAVAILABLE where nobody knows at the moment.
        """
        ...
