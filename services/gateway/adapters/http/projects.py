"""Projects and their keys over HTTP."""

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from msgspec import UNSET

from libs.common import schema
from libs.common.ids import ProjectId
from libs.common.schema import Schema
from services.gateway.adapters.http.parameters import ERRORS, After, Limit, ProjectNumber
from services.gateway.adapters.http.views import (
    CreatedProject,
    KeyPage,
    KeyView,
    NewKey,
    NewName,
    NewProject,
    ProjectChange,
    ProjectPage,
    ProjectView,
    Rotation,
)
from services.gateway.adapters.schemas import Schemas
from services.gateway.core.pages import DEFAULT_LIMIT, Paging
from services.gateway.handlers.accounts import Account
from services.gateway.handlers.keys import ApiKeys, Key
from services.gateway.handlers.projects import Projects

KeyText = Annotated[str, PathParameter(description="The key's id.")]


class ProjectsController(Controller):
    """Register a database, and what belongs to it."""

    path = "/v1/projects"
    tags = ("Projects",)

    @post(responses=ERRORS)
    async def create_project(
        self, data: JSONBody[NewProject], account: NamedDependency[Account], projects: NamedDependency[Projects]
    ) -> CreatedProject:
        """Register a database: it is looked at, and can be queried when this answers."""
        return CreatedProject.of(await projects.create(account.id, data.name, data.database_url))

    @get(responses=ERRORS)
    async def list_projects(
        self,
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
    ) -> ProjectPage:
        """The account's projects, newest first."""
        page = await projects.list(account.id, Paging(limit, after))
        return ProjectPage([ProjectView.of(project) for project in page.data], page.next_cursor)

    @get("/{project_id:int}", responses=ERRORS)
    async def get_project(
        self, project_id: ProjectNumber, account: NamedDependency[Account], projects: NamedDependency[Projects]
    ) -> ProjectView:
        """One project."""
        return ProjectView.of(await projects.get(account.id, ProjectId(project_id)))

    @patch("/{project_id:int}", responses=ERRORS)
    async def change_project(
        self,
        project_id: ProjectNumber,
        data: JSONBody[ProjectChange],
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
    ) -> ProjectView:
        """Rename a project, limit it, or give it another database URL, which is checked and looked at first."""
        if data.limits is not UNSET:
            limited = await projects.limit(
                account.id, ProjectId(project_id), data.limits.values(), data.limits.timeout()
            )
            if data.name is UNSET and data.database_url is UNSET:
                return ProjectView.of(limited)
        name = None if data.name is UNSET else data.name
        url = None if data.database_url is UNSET else data.database_url
        return ProjectView.of(await projects.change(account.id, ProjectId(project_id), name, url))

    @delete("/{project_id:int}", responses=ERRORS)
    async def delete_project(
        self, project_id: ProjectNumber, account: NamedDependency[Account], projects: NamedDependency[Projects]
    ) -> None:
        """Delete a project. Its database is not touched; its keys have stopped working when this answers."""
        await projects.delete(account.id, ProjectId(project_id))

    @get("/{project_id:int}/schema", responses=ERRORS)
    async def get_schema(
        self,
        project_id: ProjectNumber,
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        schemas: NamedDependency[Schemas],
    ) -> Schema:
        """The newest snapshot of the database's structure."""
        project = await projects.get(account.id, ProjectId(project_id))
        return schema.unpack(await schemas.packed(project.id))


class KeysController(Controller):
    """A project's API keys."""

    path = "/v1/projects/{project_id:int}/keys"
    tags = ("Keys",)

    @get(responses=ERRORS)
    async def list_keys(
        self,
        project_id: ProjectNumber,
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        keys: NamedDependency[ApiKeys],
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
    ) -> KeyPage:
        """The keys that work, newest first."""
        project = await projects.get(account.id, ProjectId(project_id))
        page = await keys.list(project.id, Paging(limit, after))
        return KeyPage([KeyView.of(key) for key in page.data], page.next_cursor)

    @post(responses=ERRORS)
    async def create_key(
        self,
        project_id: ProjectNumber,
        data: JSONBody[NewName],
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        keys: NamedDependency[ApiKeys],
    ) -> NewKey:
        """Make a key."""
        project = await projects.get(account.id, ProjectId(project_id))
        return _new(*await keys.create(project.id, data.name))

    @post("/{key_id:str}/rotate", responses=ERRORS)
    async def rotate_key(
        self,
        project_id: ProjectNumber,
        key_id: KeyText,
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        keys: NamedDependency[ApiKeys],
        data: JSONBody[Rotation | None] = None,
    ) -> NewKey:
        """Replace a key: the new one is answered, the old one works for `graceSeconds` more."""
        project = await projects.get(account.id, ProjectId(project_id))
        return _new(*await keys.rotate(project.id, key_id, (data or Rotation()).grace_seconds))

    @delete("/{key_id:str}", responses=ERRORS)
    async def revoke_key(
        self,
        project_id: ProjectNumber,
        key_id: KeyText,
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        keys: NamedDependency[ApiKeys],
    ) -> Response[None]:
        """Revoke a key: no process takes it any more when this answers, about a second later."""
        project = await projects.get(account.id, ProjectId(project_id))
        await keys.revoke(project.id, key_id)
        return Response(None, status_code=204)


def _new(key: Key, text: str) -> NewKey:
    view = KeyView.of(key)
    return NewKey(view.id, view.name, view.prefix, view.role, view.created_at, view.last_used_at, view.expires_at, text)
