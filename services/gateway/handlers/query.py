"""The hot path: a request's bytes in, an answer's bytes out."""

from typing import NamedTuple, Protocol

import msgspec

from libs.common.ids import KeyId, ProjectId
from libs.common.logs import LogRecord
from services.gateway.core.catalog import Catalog
from services.gateway.core.plan import Plan


class Identity(msgspec.Struct, frozen=True):
    """Who asks: a key of a project."""

    project: ProjectId
    key: KeyId
    role: str


class Result(msgspec.Struct, frozen=True):
    """What a plan's statement gave: `data` is b"" where the answer has none."""

    data: bytes
    count: int | None
    rows: int
    database_us: int


class Response(NamedTuple):
    """An HTTP answer, free of any server's types."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Keys(Protocol):
    """Which key is whose."""

    async def identify(self, api_key: str, project: int | None) -> Identity:
        """Whose key this is; a project that is named must be the key's own.

        Raises:
            DbifyError: INVALID_API_KEY, or KEY_UNVERIFIABLE where it cannot be checked at the moment.
        """
        ...


class Schemas(Protocol):
    """The projects' tables, as last seen."""

    async def current(self, project: ProjectId) -> Catalog:
        """The newest snapshot that is at hand."""
        ...

    async def refresh(self, project: ProjectId, newer_than: int) -> Catalog:
        """A snapshot newer than that version where there is one: the database is looked at again.

        Calls at the same time share one look.
        """
        ...


class Databases(Protocol):
    """The users' databases."""

    async def run(self, project: ProjectId, plan: Plan) -> Result:
        """Run a plan's statement.

        Raises:
            DbifyError: RESULT_TOO_LARGE, SCHEMA_CHANGED, or what the database said.
        """
        ...


class Requests(Protocol):
    """Where the record of each request goes."""

    def add(self, record: LogRecord) -> None:
        """Take a record; never blocks, never raises."""
        ...
