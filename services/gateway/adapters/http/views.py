"""What the management API takes and gives, as JSON."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from services.gateway.core.emails import MAX_EMAIL, MAX_PASSWORD, MIN_PASSWORD
from services.gateway.core.payload import MAX_LIMIT
from services.gateway.core.statement import MAX_RESULT_BYTES
from services.gateway.handlers.accounts import Account, Token
from services.gateway.handlers.keys import Key
from services.gateway.handlers.projects import DEFAULT_TIMEOUT_MS, Created, Project

# Not only blanks, no control characters, and short enough for a table.
_ONE_LINE = r"^(?![\s\S]*[\x00-\x1f\x7f-\x9f\u2028\u2029])[\s\S]*\S"
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=_ONE_LINE)]
DatabaseUrl = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        description="A PostgreSQL URL. It is sealed at once and never shown again.",
        examples=["postgresql://user:password@db.example.com:5432/mydb"],
    ),
]


MaxRows = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="The most rows that a read answers.")]
MaxBytes = Annotated[int, Meta(ge=1024, le=MAX_RESULT_BYTES, description="The largest answer.")]
TimeoutMs = Annotated[int, Meta(ge=100, le=300_000, description="The longest that a statement may take.")]
MaxCost = Annotated[float, Meta(gt=0, le=1e15, description="The most that the planner may expect a statement to cost.")]


class Body(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The base of what is sent."""


class View(msgspec.Struct, frozen=True, rename="camel"):
    """The base of what is answered."""


class SignUp(Body, frozen=True, rename="camel"):
    """An account to be made."""

    email: Annotated[str, Meta(max_length=MAX_EMAIL, examples=["ada@example.com"])]
    password: Annotated[str, Meta(description=f"{MIN_PASSWORD} characters to {MAX_PASSWORD} bytes.")]


class LogIn(Body, frozen=True, rename="camel"):
    """An account's email address and password."""

    email: str
    password: str


class AccountView(View, frozen=True, rename="camel"):
    """An account."""

    id: str
    email: str
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> "AccountView":
        """The account as it is shown."""
        return cls(account.id, account.email, account.created_at)


class NewName(Body, frozen=True, rename="camel"):
    """What a key or token is called."""

    name: Name = "default"


class TokenView(View, frozen=True, rename="camel"):
    """An account token; the token itself was shown when it was made."""

    id: str
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None

    @classmethod
    def of(cls, token: Token) -> "TokenView":
        """The token as it is shown."""
        return cls(token.id, token.name, token.prefix, token.created_at, token.last_used_at)


class NewToken(TokenView, frozen=True, rename="camel"):
    """A new account token. `token` is shown this once."""

    token: str


class TokenPage(View, frozen=True, rename="camel"):
    """A page of account tokens."""

    data: list[TokenView]
    next_cursor: str | None


class NewProject(Body, frozen=True, rename="camel"):
    """A database to be registered."""

    name: Name
    database_url: DatabaseUrl


class LimitsChange(Body, frozen=True, rename="camel"):
    """What to change of a project's limits; null puts one back to what it is by itself."""

    max_rows: MaxRows | UnsetType | None = UNSET
    max_bytes: MaxBytes | UnsetType | None = UNSET
    timeout_ms: TimeoutMs | UnsetType | None = UNSET
    max_cost: MaxCost | UnsetType | None = UNSET

    def values(self) -> dict[str, float | None]:
        """Those that are given, but for the time."""
        given = {"maxRows": self.max_rows, "maxBytes": self.max_bytes, "maxCost": self.max_cost}
        return {name: value for name, value in given.items() if value is not UNSET}

    def timeout(self) -> int | None:
        """The time, if it is given."""
        if self.timeout_ms is UNSET:
            return None
        return DEFAULT_TIMEOUT_MS if self.timeout_ms is None else self.timeout_ms


class ProjectChange(Body, frozen=True, rename="camel"):
    """What to change of a project."""

    name: Name | UnsetType = UNSET
    database_url: DatabaseUrl | UnsetType = UNSET
    limits: LimitsChange | UnsetType = UNSET


class LimitsView(View, frozen=True, rename="camel"):
    """A project's limits; `maxCost` is null where the planner is not asked."""

    max_rows: int
    max_bytes: int
    timeout_ms: int
    max_cost: float | None


class ProjectView(View, frozen=True, rename="camel"):
    """A project. Its database's URL is not shown."""

    project_id: int
    name: str
    database_version: int
    limits: LimitsView
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, project: Project) -> "ProjectView":
        """The project as it is shown."""
        found = project.limits
        limits = LimitsView(found.max_rows, found.max_bytes, project.timeout_ms, found.max_cost)
        return cls(project.id, project.name, project.database_version, limits, project.created_at, project.updated_at)


class ProjectPage(View, frozen=True, rename="camel"):
    """A page of projects."""

    data: list[ProjectView]
    next_cursor: str | None


class CreatedProject(View, frozen=True, rename="camel"):
    """A new project with its first key. `apiKey` is shown this once."""

    project_id: int
    name: str
    api_key: str
    key_id: str

    @classmethod
    def of(cls, made: Created) -> "CreatedProject":
        """The project as it is shown."""
        return cls(made.project.id, made.project.name, made.api_key, made.key.id)


class Rotation(Body, frozen=True, rename="camel"):
    """How to replace a key: the old one works for `graceSeconds` more."""

    grace_seconds: int = 86_400


class KeyView(View, frozen=True, rename="camel"):
    """An API key; the key itself was shown when it was made. A key without a role reads and writes."""

    id: str
    name: str
    prefix: str
    role: str | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def of(cls, key: Key) -> "KeyView":
        """The key as it is shown."""
        return cls(key.id, key.name, key.prefix, key.role or None, key.created_at, key.last_used_at, key.expires_at)


class NewKey(KeyView, frozen=True, rename="camel"):
    """A new API key. `apiKey` is shown this once."""

    api_key: str


class KeyPage(View, frozen=True, rename="camel"):
    """A page of keys."""

    data: list[KeyView]
    next_cursor: str | None
