"""A project's request log and analytics over HTTP: the logger's answers as they are."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from litestar import Controller, MediaType, Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter

from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.logs import Analytics, AnalyticsFilter, LogFilter, LogPage
from services.gateway.adapters.http.parameters import ERRORS, After, Limit, ProjectNumber
from services.gateway.core.pages import DEFAULT_LIMIT
from services.gateway.handlers.accounts import Account
from services.gateway.handlers.logs import Logs
from services.gateway.handlers.projects import Projects

_TEXT = 300
Time = datetime | None
From = Annotated[Time, QueryParameter(name="from", description="The earliest time, RFC 3339, included.")]
To = Annotated[Time, QueryParameter(name="to", description="The latest time, RFC 3339, not included.")]
Table = Annotated[str | None, QueryParameter(name="tableName", max_length=_TEXT, description="`schema.table`.")]
Operation = Annotated[str | None, QueryParameter(name="operation", max_length=_TEXT)]
Status = Annotated[int | None, QueryParameter(name="status", ge=100, le=599)]
StatusClass = Annotated[
    Literal[2, 4, 5] | None, QueryParameter(name="statusClass", description="The status's first digit.")
]
ErrorCode = Annotated[str | None, QueryParameter(name="errorCode", max_length=_TEXT)]
KeyText = Annotated[str | None, QueryParameter(name="keyId", max_length=_TEXT)]
RequestText = Annotated[str | None, QueryParameter(name="requestId", max_length=_TEXT)]
Step = Annotated[
    int | None,
    QueryParameter(name="stepSeconds", ge=60, le=86_400 * 31, description="The series' step, a multiple of 60."),
]


class LogsController(Controller):
    """What was asked of a project, and how that went."""

    path = "/v1/projects/{project_id:int}"
    tags = ("Logs",)

    @get(
        "/logs",
        responses={**ERRORS, 200: ResponseSpec(LogPage, description="A page of entries.", generate_examples=False)},
    )
    async def list_logs(  # noqa: PLR0913, PLR0917  every parameter of the query string is one
        self,
        project_id: ProjectNumber,
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        logs: NamedDependency[Logs],
        from_time: From = None,
        to_time: To = None,
        table_name: Table = None,
        operation: Operation = None,
        status: Status = None,
        status_class: StatusClass = None,
        error_code: ErrorCode = None,
        key_id: KeyText = None,
        request_id: RequestText = None,
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
    ) -> Response[bytes]:
        """The requests, newest first."""
        project = await projects.get(account.id, ProjectId(project_id))
        wanted = LogFilter(
            project_id=project.id,
            from_time=_utc(from_time),
            to_time=_utc(to_time),
            table_name=table_name,
            operation=operation,
            status=status,
            status_class=status_class,
            error_code=error_code,
            key_id=key_id,
            request_id=request_id,
            limit=limit,
            after=after,
        )
        return Response(await logs.entries(wanted), media_type=MediaType.JSON)

    @get(
        "/analytics",
        responses={**ERRORS, 200: ResponseSpec(Analytics, description="The analytics.", generate_examples=False)},
    )
    async def get_analytics(  # noqa: PLR0913, PLR0917  every parameter of the query string is one
        self,
        project_id: ProjectNumber,
        account: NamedDependency[Account],
        projects: NamedDependency[Projects],
        logs: NamedDependency[Logs],
        from_time: From = None,
        to_time: To = None,
        table_name: Table = None,
        operation: Operation = None,
        step_seconds: Step = None,
    ) -> Response[bytes]:
        """Requests, errors and times, in all, over time, by table and by operation; of the last 24 hours."""
        project = await projects.get(account.id, ProjectId(project_id))
        wanted = AnalyticsFilter(
            project_id=project.id,
            from_time=_utc(from_time),
            to_time=_utc(to_time),
            table_name=table_name,
            operation=operation,
            step_s=step_seconds,
        )
        return Response(await logs.analytics(wanted), media_type=MediaType.JSON)


def _utc(time: datetime | None) -> str | None:
    if time is None:
        return None
    if time.tzinfo is None:
        raise DbifyError(Code.INVALID_REQUEST, "A time needs its zone, such as 2026-01-31T12:00:00Z.")
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
