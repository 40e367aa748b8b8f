"""The one place where a category becomes an HTTP answer: RFC 9457 problem+json.

No stack, SQL, host name or submitted value ever reaches a client.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from antiphon_common import errors, telemetry
from antiphon_common.errors import FieldError, ServiceError

PROBLEM_JSON = "application/problem+json"
_MAX_FIELDS = 20
_SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_QUOTING = {"union_tag_invalid", "uuid_parsing", "json_invalid"}

STATUS: Mapping[type[ServiceError], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.Stale: 412,
    errors.TooLarge: 413,
    errors.Unsupported: 415,
    errors.Invalid: 422,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}


class ProblemField(BaseModel):
    """One rejected field."""

    loc: str = Field(examples=["body.title"])
    code: str = Field(examples=["string_too_long"])
    message: str


class Problem(BaseModel):
    """RFC 9457. `code` is stable; `errors` is there for 422 only and never repeats what was sent."""

    type: str = Field(examples=["about:blank"])
    title: str
    status: int
    detail: str
    code: str
    instance: str
    trace_id: str | None
    errors: list[ProblemField] | None = None


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer these problems."""
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def problem_body(
    status: int, code: str, detail: str, *, instance: str, fields: Sequence[FieldError] = ()
) -> bytes:
    """The JSON of a problem, with the current trace id."""
    trace = telemetry.current()
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": instance,
        "trace_id": trace.trace_id if trace else None,
    }
    if fields:
        body["errors"] = [{"loc": f.loc, "code": f.code, "message": f.message} for f in fields]
    return orjson.dumps(body)


def problem_headers(status: int, retry_after: int | None = None) -> dict[str, str]:
    """The headers that belong to a problem with this status."""
    headers = {"cache-control": "no-store"}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    elif status == 503:
        headers["retry-after"] = "1"
    return headers


def status_of(error: ServiceError) -> int:
    """The HTTP status of a category."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every failure of this app with a problem."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)


def _answer(
    request: Request, status: int, code: str, detail: str, *, fields: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None, retry_after: int | None = None,
) -> Response:  # fmt: skip
    # Not `request.url`: that one is put together with whatever the Host header says.
    body = problem_body(status, code, detail, instance=request.scope["path"], fields=fields)
    return Response(
        body, status, {**problem_headers(status, retry_after), **(headers or {})}, media_type=PROBLEM_JSON
    )


async def _service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    status = status_of(error)
    detail = error.detail or HTTPStatus(status).phrase
    return _answer(request, status, error.code, detail, fields=error.errors, retry_after=error.retry_after)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = [_rejected(e) for e in error.errors()[:_MAX_FIELDS]]
    return _answer(
        request, 422, "invalid_request", "The request has fields that are not valid.", fields=fields
    )


def _rejected(error: Mapping[str, Any]) -> FieldError:
    # The name of an unknown field is what somebody sent, and so is the tag that some messages quote.
    names = (str(part) if _SAFE_NAME.fullmatch(str(part)) else "?" for part in error["loc"])
    message = "Input is not valid." if error["type"] in _QUOTING else str(error["msg"])
    return FieldError(".".join(names), str(error["type"]), message)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed", 400: "malformed"}.get(
        error.status_code, "http_error"
    )
    phrase = HTTPStatus(error.status_code).phrase
    if error.status_code == 405:
        headers = {"allow": _methods(request.app, request.scope["path"])}
        return _answer(request, 405, code, phrase, headers=headers)
    return _answer(request, error.status_code, code, phrase, headers=error.headers)


def _methods(app: FastAPI, path: str) -> str:
    """All methods of a path. The framework names those of the first route only, and each has its own."""
    operations: Mapping[str, Mapping[str, Any]] = app.openapi()["paths"]
    found = {
        method.upper()
        for template, methods in operations.items()
        if compile_path(template)[0].fullmatch(path)
        for method in methods
    }
    return ", ".join(sorted(found or {"GET"}))
