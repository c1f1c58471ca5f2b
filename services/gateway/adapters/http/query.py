"""What the OpenAPI says of `POST /query`, which does not pass through Litestar."""

from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from libs.common.errors import Code

_OPERATIONS = ["read", "create", "update", "delete"]
_EXAMPLE = {
    "projectId": 4,
    "apiKey": "dbk_...",
    "operation": "read",
    "tableName": "Project",
    "payload": {"where": {"title": {"contains": "a"}}, "orderBy": {"id": "desc"}, "limit": 10},
}
_TEXT = Schema(type=OpenAPIType.STRING)
_REQUEST = Schema(
    type=OpenAPIType.OBJECT,
    required=["operation", "tableName", "payload"],
    properties={
        "projectId": Schema(type=OpenAPIType.INTEGER, description="May be left out with an Authorization header."),
        "apiKey": Schema(type=OpenAPIType.STRING, description="Or send it as `Authorization: Bearer dbk_...`."),
        "operation": Schema(type=OpenAPIType.STRING, enum=_OPERATIONS),
        "tableName": Schema(type=OpenAPIType.STRING, description="`table` or `schema.table`."),
        "payload": Schema(type=OpenAPIType.OBJECT),
    },
)
_ANSWER = Schema(
    type=OpenAPIType.OBJECT,
    required=["data"],
    properties={
        "data": Schema(description="Rows, one row, or nothing, as the operation has it."),
        "count": Schema(type=OpenAPIType.INTEGER),
        "nextCursor": _TEXT,
    },
)


_PROJECT = ("project_id", OpenAPIType.INTEGER, "The project's number.")
_TABLE = ("table", OpenAPIType.STRING, "`table` or `schema.table`.")
_KEY = ("key", OpenAPIType.STRING, "The row's primary key, where that is one column.")
_BELOW = (
    (
        "/v1/projects/{project_id}/tables/{table}",
        (_TABLE,),
        (
            ("get", "list_rows", "Read a table's rows"),
            ("post", "create_rows", "Create rows"),
            ("patch", "update_rows", "Change the rows that the filters meet"),
            ("delete", "delete_rows", "Delete the rows that the filters meet"),
        ),
    ),
    (
        "/v1/projects/{project_id}/tables/{table}/{key}",
        (_TABLE, _KEY),
        (
            ("get", "get_row", "Read one row"),
            ("patch", "update_row", "Change one row"),
            ("delete", "delete_row", "Delete one row"),
        ),
    ),
    (
        "/v1/projects/{project_id}/queries/{query_name}/run",
        (("query_name", OpenAPIType.STRING, "The saved query's name."),),
        (
            ("get", "run_query", "Run a saved query that only reads"),
            ("post", "run_query_by_body", "Run a saved query with its parameters in the body"),
        ),
    ),
    (
        "/v1/projects/{project_id}/functions/{function}",
        (("function", OpenAPIType.STRING, "`name`, `schema.name`, or either with its types."),),
        (("post", "call_function", "Call a function with its arguments in the body"),),
    ),
)


def document_query(openapi: OpenAPI, error: Reference) -> None:
    """Add the hot path to the description of the management API."""
    statuses = sorted({code.status for code in Code})
    failures = {str(status): _failure(status, error) for status in statuses}
    operation = Operation(
        operation_id="query",
        summary="Read, create, update or delete rows",
        description="One request to one table of the project's database.",
        tags=["Query"],
        security=[{"apiKey": []}, {}],
        request_body=RequestBody({"application/json": OpenAPIMediaType(_REQUEST, example=_EXAMPLE)}, required=True),
        responses={
            "200": OpenAPIResponse("It was done.", content={"application/json": OpenAPIMediaType(_ANSWER)}),
            **failures,
        },
    )
    openapi.paths = {"/query": PathItem(post=operation), **(openapi.paths or {})}


def document_tables(openapi: OpenAPI, error: Reference) -> None:
    """Add the endpoints of tables, saved queries and functions, which a project's own description has one by one."""
    failures = {str(status): _failure(status, error) for status in sorted({code.status for code in Code})}
    answer = OpenAPIResponse("It was done.", content={"application/json": OpenAPIMediaType(_ANSWER)})
    body = RequestBody({"application/json": OpenAPIMediaType(Schema())}, required=True)
    paths: dict[str, PathItem] = {}
    for path, names, verbs in _BELOW:
        parameters: list[Parameter | Reference] = [
            Parameter(name, "path", schema=Schema(type=kind), required=True, description=text)
            for name, kind, text in (_PROJECT, *names)
        ]
        item = PathItem()
        for method, name, summary in verbs:
            operation = Operation(
                operation_id=name,
                summary=summary,
                description=f"{summary}. GET /v1/projects/{{id}}/openapi.json describes each by itself.",
                tags=["Query"],
                security=[{"apiKey": []}],
                parameters=parameters,
                request_body=body if method in ("post", "patch") else None,
                responses={"200": answer, **failures},
            )
            setattr(item, method, operation)
        paths[path] = item
    openapi.paths = {**(openapi.paths or {}), **paths}


def _failure(status: int, error: Reference) -> OpenAPIResponse:
    codes = ", ".join(code.name for code in Code if code.status == status)
    return OpenAPIResponse(codes, content={"application/json": OpenAPIMediaType(error)})
