"""A project's own API described, for its keys as well as for its account."""

from typing import Final

from litestar import MediaType, Response, get
from litestar.di import NamedDependency

from libs.common.ids import ProjectId
from services.gateway.adapters.http.parameters import ERRORS, ProjectNumber
from services.gateway.adapters.http.who import AnyRequest, Callers
from services.gateway.core.credentials import API_KEY
from services.gateway.core.request import bearer
from services.gateway.handlers.documents import Documents
from services.gateway.handlers.projects import Projects
from services.gateway.handlers.query import Keys

_TAGS: Final = ("Descriptions",)


class Readers:
    """Who may see what a project looks like.

    Args:
        keys: Which key is whose.
        callers: Recognises accounts.
        projects: Whose project it is.
        public_url: Where users reach the gateway, "" where that is the address they name themselves.
    """

    def __init__(self, keys: Keys, callers: Callers, projects: Projects, public_url: str) -> None:
        self._keys = keys
        self._callers = callers
        self._projects = projects
        self._public_url = public_url.rstrip("/")

    async def project(self, request: AnyRequest, number: int) -> ProjectId:
        """The project, for one of its keys or its account. INVALID_API_KEY, UNAUTHENTICATED or PROJECT_NOT_FOUND."""
        credential = bearer(request.headers.get("authorization")) or ""
        if credential.startswith(API_KEY):
            return (await self._keys.identify(credential, number)).project
        account = await self._callers.account(request)
        return (await self._projects.get(account.id, ProjectId(number))).id

    def url(self, request: AnyRequest) -> str:
        """Where the gateway is reached."""
        return self._public_url or str(request.base_url).rstrip("/")


@get("/v1/projects/{project_id:int}/openapi.json", tags=_TAGS, responses=ERRORS)
async def get_project_openapi(
    project_id: ProjectNumber,
    request: AnyRequest,
    readers: NamedDependency[Readers],
    documents: NamedDependency[Documents],
) -> Response[bytes]:
    """The project's own API as OpenAPI 3.1: a group of endpoints per table, its saved queries, its functions."""
    project = await readers.project(request, project_id)
    return Response(await documents.openapi(project, readers.url(request)), media_type=MediaType.JSON)


@get("/v1/projects/{project_id:int}/types.ts", tags=_TAGS, responses=ERRORS)
async def get_project_typescript(
    project_id: ProjectNumber,
    request: AnyRequest,
    readers: NamedDependency[Readers],
    documents: NamedDependency[Documents],
) -> Response[bytes]:
    """The project's tables as TypeScript."""
    project = await readers.project(request, project_id)
    return Response(await documents.types(project, "ts"), media_type="application/typescript; charset=utf-8")


@get("/v1/projects/{project_id:int}/types.py", tags=_TAGS, responses=ERRORS)
async def get_project_python(
    project_id: ProjectNumber,
    request: AnyRequest,
    readers: NamedDependency[Readers],
    documents: NamedDependency[Documents],
) -> Response[bytes]:
    """The project's tables as Python's typed dictionaries."""
    project = await readers.project(request, project_id)
    return Response(await documents.types(project, "py"), media_type="text/x-python; charset=utf-8")
