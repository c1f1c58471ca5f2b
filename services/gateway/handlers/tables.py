"""The endpoints of tables, saved queries and functions: requests to `/query` in other words."""

from typing import NamedTuple, Protocol

from libs.common.errors import Code, DbifyError
from libs.common.ids import KeyId, ProjectId
from services.gateway.core.credentials import ACCOUNT_TOKEN
from services.gateway.core.request import bearer
from services.gateway.core.rest import Parameters, Rest, call_body, run_body, table_body
from services.gateway.handlers.accounts import Accounts
from services.gateway.handlers.projects import Projects
from services.gateway.handlers.query import Keys, Response
from services.gateway.handlers.running import Identity, Schemas


class Query(Protocol):
    """`POST /query`."""

    async def __call__(self, body: bytes, authorization: str | None, request_id: str, client: str) -> Response:
        """Answer a request, and record it."""
        ...


class Asking(NamedTuple):
    """Who asks which project, as the front door has it."""

    project: int
    authorization: str | None
    request_id: str
    client: str


class Endpoints:
    """What stands below `/v1/projects/{id}` besides the management: each is a request to `/query`.

    Args:
        query: `/query` for API keys.
        managed: The same for an account's token as well.
        keys: Which key is whose.
        schemas: The projects' tables.
    """

    def __init__(self, query: Query, managed: Query, keys: Keys, schemas: Schemas) -> None:
        self._query = query
        self._managed = managed
        self._keys = keys
        self._schemas = schemas

    async def table(self, asking: Asking, rest: Rest) -> Response:
        """Rows of a table. INVALID_REQUEST where the query string or the key has the wrong form."""
        column = await self._key_column(asking, rest.table) if rest.key else ""
        return await self._query(table_body(asking.project, rest, column), *asking[1:])

    async def run(self, asking: Asking, query: str, parameters: Parameters, body: bytes | None) -> Response:
        """Run a saved query; without a body, only one that reads. INVALID_REQUEST where a parameter is given twice."""
        sent = run_body(asking.project, query, parameters, body or b"", read_only=body is None)
        return await self._managed(sent, *asking[1:])

    async def call(self, asking: Asking, function: str, body: bytes) -> Response:
        """Call a function."""
        return await self._query(call_body(asking.project, function, body), *asking[1:])

    async def _key_column(self, asking: Asking, table: str) -> str:
        try:
            identity = await self._keys.identify(bearer(asking.authorization) or "", asking.project)
            relation = (await self._schemas.current(identity.project)).resolve(table)
        except DbifyError:
            # It is for `/query` to say so, and to note it in the log.
            return ""
        key = relation.table.primary_key
        if len(key) != 1:
            raise DbifyError(
                Code.INVALID_REQUEST,
                f'The table "{relation.name}" has no primary key of one column: use filters, such as ?column=value.',
                {"table": relation.name, "primaryKey": list(key)},
            )
        return key[0]


class KeysOrTokens:
    """`Keys` that takes an account's token in place of a key: it may do what a key without a role may."""

    def __init__(self, keys: Keys, accounts: Accounts, projects: Projects) -> None:
        self._keys = keys
        self._accounts = accounts
        self._projects = projects

    async def identify(self, api_key: str, project: int | None) -> Identity:
        """Whose key this is, or the account's project. INVALID_API_KEY, UNAUTHENTICATED or PROJECT_NOT_FOUND."""
        if not api_key.startswith(ACCOUNT_TOKEN) or project is None:
            return await self._keys.identify(api_key, project)
        account = await self._accounts.by_token(api_key)
        found = await self._projects.get(account.id, ProjectId(project))
        return Identity(found.id, KeyId(""), "")
