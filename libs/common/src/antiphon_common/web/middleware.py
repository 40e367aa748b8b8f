"""Pure ASGI middleware of a service: trace and log line, last-resort problem, and strict request text.

`StrictText` exists because the framework's JSON reading is lenient where we are not: NaN, duplicate keys,
lone surrogates, NUL, any depth and any size (docs/architecture.md, "What bad input gets").
"""

import json
import math
import re
import time
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from antiphon_common.errors import Invalid, Malformed, ServiceError, TooLarge
from antiphon_common.telemetry import Telemetry, describe_request
from antiphon_common.web.measuring import Requests
from antiphon_common.web.problems import PROBLEM_JSON, problem_body, problem_headers, status_of

MAX_JSON_BYTES = 256 * 1024
MAX_JSON_DEPTH = 32
# A model names each value that it refuses: tens of thousands of them would take the event loop for a second.
MAX_JSON_ITEMS = 1000
# A string that never ends is read to its end once: a try from each of its quotes would take minutes.
_DEEP = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class RequestContext:
    """Opens the trace of a request, answers what nobody caught, and writes one log line."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry, log: FilteringBoundLogger) -> None:
        self._app = app
        self._telemetry = telemetry
        self._requests = Requests(telemetry.metrics) if telemetry.metrics.on else None
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        parent = _header(scope, b"traceparent")
        with self._telemetry.span(scope["method"], parent=parent) as trace:
            try:
                await self._app(scope, receive, watch)
            except ServiceError as error:
                if status == 0:
                    await _send_problem(scope, watch, error)
                else:
                    # The head has left, so only a broken body can say it: returning early makes it one.
                    self._log.error("answer_broken", path=scope["path"], code=error.code)
            except Exception:  # noqa: BLE001 - the boundary: logged with its stack, answered without it
                self._log.exception("request_failed", method=scope["method"], path=scope["path"])
                if status == 0:
                    await _send_500(scope, watch)
            finally:
                took = time.perf_counter() - started
                route: str = getattr(scope.get("route"), "path", "")
                if self._requests:
                    self._requests.note(scope["method"], route, status, took)
                if trace.span:
                    describe_request(trace.span, scope["method"], route, status)
                ms = round(took * 1000, 1)
                self._log.debug("request", method=scope["method"], path=scope["path"], status=status, ms=ms)


class StrictText:
    """Refuses JSON and query strings that are not exactly what they should be, before any route sees them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            check_query(scope.get("query_string", b""))
            replay = await self._checked(scope, receive)
        except ServiceError as error:
            await _send_problem(scope, send, error)
            return
        await self._app(scope, replay, send)

    async def _checked(self, scope: Scope, receive: Receive) -> Receive:
        content_type = (_header(scope, b"content-type") or "").partition(";")[0].strip().lower()
        if content_type != "application/json" and not content_type.endswith("+json"):
            return receive
        body = await _read_body(receive)
        if body:
            check_json(body)
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        return replay


def check_query(raw: bytes) -> None:
    """Raise `Invalid` for a query string with a NUL, text that is not UTF-8, or one name twice."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as error:
        raise Invalid(
            "invalid_query", "The query string is not valid UTF-8, or has too many fields."
        ) from error
    if any("\0" in text for pair in pairs for text in pair):
        raise Invalid("invalid_query", "The query string contains a NUL.")
    if len({name for name, _ in pairs}) != len(pairs):
        raise Invalid("invalid_query", "The query string names one parameter twice.")


def check_json(body: bytes) -> None:
    """Raise `Malformed` for what is no JSON (RFC 8259) and `Invalid` for text we never store."""
    if json_nests_deeper(body, MAX_JSON_DEPTH):
        raise Malformed("json_too_deep", f"The JSON is nested deeper than {MAX_JSON_DEPTH} levels.")
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_constant=_no_constant,
            parse_float=_finite,
            object_pairs_hook=_no_duplicates,
        )
    except ValueError as error:
        raise Malformed("broken_json", "The body is not valid JSON.") from error
    _check_values(value)


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("too large")
    return number


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def json_nests_deeper(body: bytes, levels: int) -> bool:
    """Whether the brackets of a JSON text nest deeper, without parsing it; linear, whatever it holds."""
    if body.count(b"[") + body.count(b"{") <= levels:
        return False
    depth = 0
    for match in _DEEP.finditer(body):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth > levels:
                return True
        elif token in b"]}":
            depth -= 1
    return False


def _check_values(value: object, seen: int = 0) -> int:
    """Look at every value below this one; how many there were, added to `seen`."""
    seen += 1
    if seen > MAX_JSON_ITEMS:
        raise Malformed("json_too_large", f"The JSON holds more than {MAX_JSON_ITEMS} values.")
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            raise Invalid("invalid_text", "A text contains a NUL or half a surrogate pair.")
    elif isinstance(value, list):
        for item in value:
            seen = _check_values(item, seen)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_values(key)
            seen = _check_values(item, seen)
    return seen


async def _read_body(receive: Receive) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed("incomplete_body", "The body ended early.")
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_JSON_BYTES:
            raise TooLarge("body_too_large", f"A JSON body may have {MAX_JSON_BYTES} bytes.")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


async def _send_problem(scope: Scope, send: Send, error: ServiceError) -> None:
    status = status_of(error)
    body = problem_body(status, error.code, error.detail, instance=scope["path"], fields=error.errors)
    await _send(send, status, body, error.retry_after)


async def _send_500(scope: Scope, send: Send) -> None:
    body = problem_body(500, "internal_error", "Something went wrong on our side.", instance=scope["path"])
    await _send(send, 500, body, None)


async def _send(send: Send, status: int, body: bytes, retry_after: int | None) -> None:
    named = {
        "content-type": PROBLEM_JSON,
        "content-length": str(len(body)),
        **problem_headers(status, retry_after),
    }
    headers = [(name.encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
