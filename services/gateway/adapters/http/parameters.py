"""Parameters that several routes take, and the errors that all may answer."""

from typing import Annotated

from litestar.openapi import ResponseSpec
from litestar.params import PathParameter, QueryParameter

from libs.common.errors import ErrorBody
from services.gateway.core.pages import MAX_LIMIT

Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=MAX_LIMIT, description="The most entries on a page.")]
After = Annotated[
    str | None, QueryParameter(name="after", max_length=200, description="The `nextCursor` of the page before.")
]
ProjectNumber = Annotated[int, PathParameter(description="The project's number.")]

ERRORS = {
    status: ResponseSpec(ErrorBody, description=text, generate_examples=False)
    for status, text in (
        (400, "The request has the wrong form."),
        (401, "Who asks is not known."),
        (403, "The account may not do this."),
        (404, "No such thing, or it is not yours."),
        (409, "It conflicts with what is there."),
        (413, "The body is too large."),
        (422, "The database cannot be registered."),
        (429, "Too many attempts."),
        (503, "Something that this needs is down."),
        (504, "Something that this needs is slow."),
    )
}
