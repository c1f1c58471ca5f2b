"""What the OpenAPI says of `POST /query`, which does not pass through Litestar."""

from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
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


def _failure(status: int, error: Reference) -> OpenAPIResponse:
    codes = ", ".join(code.name for code in Code if code.status == status)
    return OpenAPIResponse(codes, content={"application/json": OpenAPIMediaType(error)})
