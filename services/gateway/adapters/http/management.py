"""The management API: Litestar with the use cases handed to its routes, and its OpenAPI."""

from typing import NamedTuple

from litestar import Litestar, MediaType
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Reference, SecurityScheme

from services.gateway.adapters.http import errors
from services.gateway.adapters.http.accounts import AccountsController
from services.gateway.adapters.http.logs import LogsController
from services.gateway.adapters.http.openapi import (
    Readers,
    get_project_openapi,
    get_project_python,
    get_project_typescript,
)
from services.gateway.adapters.http.pages import docs, index
from services.gateway.adapters.http.projects import KeysController, ProjectsController
from services.gateway.adapters.http.queries import QueriesController
from services.gateway.adapters.http.query import document_query, document_tables
from services.gateway.adapters.http.who import COOKIE, AnyRequest, Callers
from services.gateway.adapters.schemas import Schemas
from services.gateway.handlers.accounts import Account, Accounts
from services.gateway.handlers.documents import Documents
from services.gateway.handlers.keys import ApiKeys
from services.gateway.handlers.logs import Logs
from services.gateway.handlers.projects import Projects
from services.gateway.handlers.saved import SavedQueries

_DESCRIPTION = "Everything around `POST /query`: accounts, projects, keys, schemas, logs. Errors have one form."


class UseCases(NamedTuple):
    """What routes ask for, by name."""

    accounts: Accounts
    callers: Callers
    projects: Projects
    keys: ApiKeys
    schemas: Schemas
    logs: Logs
    queries: SavedQueries
    documents: Documents
    readers: Readers


def management(cases: UseCases) -> Litestar:
    """The ASGI application for everything but `/query`, the tables' endpoints and the health checks."""

    async def account(request: AnyRequest) -> Account:
        return await cases.callers.account(request)

    provided = {name: _constant(use_case) for name, use_case in cases._asdict().items()}
    app = Litestar(
        route_handlers=[
            AccountsController,
            ProjectsController,
            KeysController,
            QueriesController,
            LogsController,
            get_project_openapi,
            get_project_typescript,
            get_project_python,
            index,
            docs,
        ],
        dependencies={"account": Provide(account), **provided},
        exception_handlers=errors.handlers(),
        openapi_config=OpenAPIConfig(
            title="Dbify",
            version="1",
            description=_DESCRIPTION,
            use_handler_docstrings=True,
            operation_id_creator=lambda handler, *_: handler.handler_name,
            path="/openapi.json",
            render_plugins=[JsonRenderPlugin(path="/", media_type=MediaType.JSON)],
            security=[{"token": []}, {"session": []}],
            components=Components(
                security_schemes={
                    "token": SecurityScheme(type="http", scheme="bearer", description="An account token, dbp_..."),
                    "apiKey": SecurityScheme(type="http", scheme="bearer", description="A project's key, dbk_..."),
                    "session": SecurityScheme(type="apiKey", name=COOKIE, security_scheme_in="cookie"),
                }
            ),
        ),
        logging_config=None,
    )
    error = Reference(ref="#/components/schemas/ErrorBody")
    document_query(app.openapi_schema, error)
    document_tables(app.openapi_schema, error)
    return app


def _constant(use_case: object) -> Provide:
    return Provide(lambda: use_case, sync_to_thread=False, use_cache=True)
