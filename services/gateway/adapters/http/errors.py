"""Every error in one form, whoever raises it: this service, Litestar, or a defect."""

import logging
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException
from litestar.types import ExceptionHandlersMap

from libs.common.errors import Code, DbifyError, Detail, ErrorBody

_logger = logging.getLogger(__name__)
_CODES = {
    401: Code.UNAUTHENTICATED,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.REQUEST_TOO_LARGE,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
    429: Code.RATE_LIMITED,
}
_SERVER_ERROR = 500
_MAX_PROBLEMS = 10

AnyRequest = Request[Any, Any, Any]


def encoded(error: DbifyError, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of an error, for ASGI."""
    headers = [(b"content-type", b"application/json")]
    headers += [(name.encode(), value.encode()) for name, value in _headers(error).items()]
    return error.code.status, headers, msgspec.json.encode(error.body(request_id))


def internal() -> DbifyError:
    """What a defect answers: nothing about itself but the way to its log line."""
    return DbifyError(Code.INTERNAL_ERROR, "A defect in Dbify. The request id finds it in the logs.")


def handlers() -> ExceptionHandlersMap:
    """For Litestar: what each exception answers."""
    return {
        DbifyError: _known,
        HTTPException: _of_litestar,
        # Out of the JSON decoder, which Litestar does not expect them from.
        RecursionError: _too_deep,
        UnicodeDecodeError: _not_utf8,
        Exception: _defect,
    }


def _known(request: AnyRequest, error: DbifyError) -> Response[ErrorBody]:
    return Response(
        error.body(request.state.request_id), status_code=error.code.status, headers=_headers(error),
        media_type="application/json",
    )  # fmt: skip


def _too_deep(request: AnyRequest, error: RecursionError) -> Response[ErrorBody]:
    del error
    return _known(request, DbifyError(Code.TOO_COMPLEX, "The body nests too deep."))


def _not_utf8(request: AnyRequest, error: UnicodeDecodeError) -> Response[ErrorBody]:
    del error
    return _known(request, DbifyError(Code.INVALID_JSON, Code.INVALID_JSON.meaning))


def _of_litestar(request: AnyRequest, error: HTTPException) -> Response[ErrorBody]:
    if error.status_code >= _SERVER_ERROR:
        return _defect(request, error)
    answer = _known(request, _translated(request, error))
    if allowed := (error.headers or {}).get("Allow") or (error.headers or {}).get("allow"):
        answer.headers["Allow"] = allowed
    return answer


def _translated(request: AnyRequest, error: HTTPException) -> DbifyError:
    code, path = _CODES.get(error.status_code), request.scope["path"][:200]
    if code is Code.NOT_FOUND:
        return DbifyError(code, f"Nothing stands at {path}. GET /openapi.json lists what does.")
    if code is Code.METHOD_NOT_ALLOWED:
        return DbifyError(code, f"{path} does not take {request.method[:20]}.")
    if code is not None:
        return DbifyError(code, code.meaning)
    if isinstance(error.__cause__, SerializationException) and _malformed(error.__cause__):
        return DbifyError(Code.INVALID_JSON, Code.INVALID_JSON.meaning)
    problems = _problems(error)
    message = "; ".join(f"{name}: {problem}" for name, problem in problems.items()) or "The request has the wrong form."
    details: dict[str, Detail] = {"problems": problems} if problems else {}
    return DbifyError(Code.INVALID_REQUEST, message, details)


def _malformed(error: BaseException) -> bool:
    """Whether the body is not JSON at all, rather than JSON of another form."""
    cause = error.__cause__
    return isinstance(cause, msgspec.DecodeError) and not isinstance(cause, msgspec.ValidationError)


def _problems(error: HTTPException) -> dict[str, str]:
    """Which part of the request does not fit, and why, in msgspec's words, which repeat no value."""
    problems = {}
    for problem in (error.extra if isinstance(error.extra, list) else [])[:_MAX_PROBLEMS]:
        if isinstance(problem, dict):
            name = str(problem.get("key") or problem.get("source") or "body")
            problems[name] = str(problem.get("message", "has the wrong form"))[:200]
    return problems


def _defect(request: AnyRequest, error: Exception) -> Response[ErrorBody]:
    _logger.error(
        "a defect answered a request",
        exc_info=error,
        extra={"fields": {"requestId": request.state.request_id, "method": request.method}},
    )
    return _known(request, internal())


def _headers(error: DbifyError) -> dict[str, str]:
    seconds = error.details.get("retryAfterSeconds")
    if seconds is not None:
        return {"Retry-After": str(seconds)}
    return {"WWW-Authenticate": "Bearer"} if error.code is Code.UNAUTHENTICATED else {}
