"""A project's saved queries over HTTP; running one does not pass through here (see tables.py)."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from msgspec import UNSET, Meta, UnsetType

from libs.common.ids import ProjectId
from services.gateway.adapters.http.parameters import ERRORS, After, Limit, ProjectNumber
from services.gateway.adapters.http.views import Body, View
from services.gateway.core.json import Json, decode
from services.gateway.core.pages import DEFAULT_LIMIT, Paging
from services.gateway.core.saved import MAX_CACHE_S, Asked, Declared, Field, Parameter
from services.gateway.core.template import MAX_PARAMETERS, MAX_SQL_CHARACTERS
from services.gateway.handlers.accounts import Account
from services.gateway.handlers.projects import Projects
from services.gateway.handlers.saved import Change, SavedQueries, SavedQuery

QueryText = Annotated[str, PathParameter(description="The query's name or id.")]
# It stands in a path, and never has the length of an id.
QueryName = Annotated[
    str,
    Meta(
        pattern=r"^(?!.{36}$)[A-Za-z][A-Za-z0-9_-]{0,62}$",
        description="Letters, digits, - and _, starting with a letter; 36 characters are kept for ids.",
        examples=["best-sellers"],
    ),
]
Sql = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_SQL_CHARACTERS,
        description="One SELECT, VALUES, INSERT, UPDATE, DELETE or MERGE, with its parameters as `{{name}}`.",
        examples=["SELECT title, sold FROM book WHERE sold >= {{least}} ORDER BY sold DESC"],
    ),
]
CacheSeconds = Annotated[int, Meta(ge=0, le=MAX_CACHE_S, description="How long an answer is kept; 0 keeps none.")]
Description = Annotated[str, Meta(max_length=2_000)]
Default = str | int | float | bool | list[object] | dict[str, object] | None


class ParameterBody(Body, frozen=True, rename="camel"):
    """A parameter. `type` may be left out where the database infers it; with a `default` it is not required."""

    name: Annotated[str, Meta(max_length=63)]
    type: Annotated[str, Meta(max_length=200, examples=["integer", "text[]"])] = ""
    required: bool | None = None
    default: Default = None
    description: Annotated[str, Meta(max_length=500)] = ""

    def declared(self) -> Declared:
        """The parameter as it is declared."""
        default: Json = decode(msgspec.json.encode(self.default))
        return Declared(self.name, self.type, self.required, default, self.description)


Parameters = Annotated[list[ParameterBody], Meta(max_length=MAX_PARAMETERS)]


class NewQuery(Body, frozen=True, rename="camel"):
    """A query to be saved."""

    name: QueryName
    sql: Sql
    parameters: Parameters = msgspec.field(default_factory=list)
    write: bool = False
    cache_seconds: CacheSeconds = 0
    description: Description = ""


class QueryChange(Body, frozen=True, rename="camel"):
    """What to change of a query; it makes a new version."""

    name: QueryName | UnsetType = UNSET
    sql: Sql | UnsetType = UNSET
    parameters: Parameters | UnsetType = UNSET
    write: bool | UnsetType = UNSET
    cache_seconds: CacheSeconds | UnsetType = UNSET
    description: Description | UnsetType = UNSET

    def change(self) -> Change:
        """The change."""
        return Change(
            name=None if self.name is UNSET else self.name,
            sql=None if self.sql is UNSET else self.sql,
            parameters=None if self.parameters is UNSET else _declared(self.parameters),
            write=None if self.write is UNSET else self.write,
            cache_s=None if self.cache_seconds is UNSET else self.cache_seconds,
            description=None if self.description is UNSET else self.description,
        )


class ParameterView(View, frozen=True, rename="camel"):
    """A parameter, with the type that was declared or that the database inferred."""

    name: str
    type: str
    required: bool
    default: object
    description: str

    @classmethod
    def of(cls, parameter: Parameter) -> "ParameterView":
        """The parameter as it is shown."""
        default = msgspec.json.decode(parameter.default) if parameter.default else None
        return cls(parameter.name, parameter.type.sql, parameter.required, default, parameter.description)


class ColumnView(View, frozen=True, rename="camel"):
    """A column of the answer."""

    name: str
    type: str

    @classmethod
    def of(cls, field: Field) -> "ColumnView":
        """The column as it is shown."""
        return cls(field.name, field.type.sql)


class QueryView(View, frozen=True, rename="camel"):
    """A saved query; `updatedAt` is when this version was made."""

    id: str
    name: str
    version: int
    sql: str
    parameters: list[ParameterView]
    columns: list[ColumnView]
    write: bool
    cache_seconds: int
    description: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, query: SavedQuery) -> "QueryView":
        """The query as it is shown."""
        made = query.definition
        return cls(
            query.id, query.name, query.version, made.sql,
            [ParameterView.of(parameter) for parameter in made.parameters],
            [ColumnView.of(field) for field in made.fields],
            made.write, made.cache_s, made.description, query.created_at, query.updated_at,
        )  # fmt: skip


class QueryPage(View, frozen=True, rename="camel"):
    """A page of saved queries."""

    data: list[QueryView]
    next_cursor: str | None


class QueryVersions(View, frozen=True, rename="camel"):
    """The versions of a query that are kept, newest first."""

    data: list[QueryView]


class QueriesController(Controller):
    """Save SQL under a name, and run it by that name."""

    path = "/v1/projects/{project_id:int}/queries"
    tags = ("Saved queries",)

    @get(responses=ERRORS)
    async def list_queries(
        self,
        project_id: ProjectNumber,
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        queries: NamedDependency[SavedQueries],
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
    ) -> QueryPage:
        """The project's saved queries, newest first."""
        project = await projects.get(account.id, ProjectId(project_id))
        page = await queries.list(project.id, Paging(limit, after))
        return QueryPage([QueryView.of(query) for query in page.data], page.next_cursor)

    @post(responses=ERRORS)
    async def create_query(
        self,
        project_id: ProjectNumber,
        data: JSONBody[NewQuery],
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        queries: NamedDependency[SavedQueries],
    ) -> QueryView:
        """Save a query: the database checks it and infers its types; it is not run."""
        project = await projects.get(account.id, ProjectId(project_id))
        asked = Asked(data.name, data.sql, _declared(data.parameters), data.write, data.cache_seconds, data.description)
        return QueryView.of(await queries.create(project.id, asked))

    @get("/{query_name:str}", responses=ERRORS)
    async def get_query(
        self,
        project_id: ProjectNumber,
        query_name: QueryText,
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        queries: NamedDependency[SavedQueries],
    ) -> QueryView:
        """One saved query."""
        project = await projects.get(account.id, ProjectId(project_id))
        return QueryView.of(await queries.get(project.id, query_name))

    @get("/{query_name:str}/versions", responses=ERRORS)
    async def list_query_versions(
        self,
        project_id: ProjectNumber,
        query_name: QueryText,
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        queries: NamedDependency[SavedQueries],
    ) -> QueryVersions:
        """A query's last twenty versions, newest first."""
        project = await projects.get(account.id, ProjectId(project_id))
        return QueryVersions([QueryView.of(version) for version in await queries.versions(project.id, query_name)])

    @patch("/{query_name:str}", responses=ERRORS)
    async def change_query(
        self,
        project_id: ProjectNumber,
        query_name: QueryText,
        data: JSONBody[QueryChange],
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        queries: NamedDependency[SavedQueries],
    ) -> QueryView:
        """Change a query: a new version, which every process runs within a second."""
        project = await projects.get(account.id, ProjectId(project_id))
        return QueryView.of(await queries.change(project.id, query_name, data.change()))

    @delete("/{query_name:str}", responses=ERRORS)
    async def delete_query(
        self,
        project_id: ProjectNumber,
        query_name: QueryText,
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        queries: NamedDependency[SavedQueries],
    ) -> None:
        """Delete a query with its versions: no process runs it any more within a second."""
        project = await projects.get(account.id, ProjectId(project_id))
        await queries.delete(project.id, query_name)


def _declared(parameters: list[ParameterBody]) -> tuple[Declared, ...]:
    return tuple(parameter.declared() for parameter in parameters)
