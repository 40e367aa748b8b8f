"""Refusals of the gateway and how they look on the wire: RFC 9457 problem+json, in the form of the services.

The gateway has statuses of its own (405, 414, 431, 502), so it raises `Refused` with the status instead
of a category of `antiphon_common.errors`.
"""

from collections.abc import Sequence
from http import HTTPStatus

import orjson

PROBLEM_JSON = b"application/problem+json"

Pairs = Sequence[tuple[bytes, bytes]]


class Refused(Exception):
    """The request ends here with this answer. `close` also ends the connection: its bytes are not trusted."""

    def __init__(
        self,
        status: int,
        code: str,
        *,
        detail: str,
        headers: Pairs = (),
        errors: Sequence[dict[str, str]] = (),
        close: bool = False,
    ) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.errors = errors
        self.close = close


class ClientGone(Exception):
    """The client hung up; there is nobody to answer."""


def problem_body(refused: Refused, *, instance: str, trace_id: str) -> bytes:
    """The JSON of a refusal."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(refused.status).phrase,
        "status": refused.status,
        "detail": refused.detail,
        "code": refused.code,
        "instance": instance,
        "trace_id": trace_id,
    }
    if refused.errors:
        body["errors"] = list(refused.errors)
    return orjson.dumps(body)


def unavailable(status: int, code: str, *, detail: str, retry_after: float = 1.0) -> Refused:
    """A refusal that may pass: 502 or 503 with `Retry-After` in whole seconds, at least one."""
    seconds = max(1, round(retry_after + 0.5))
    return Refused(status, code, detail=detail, headers=[(b"retry-after", b"%d" % seconds)])


_CODES = {404: "not_found", 405: "method_not_allowed", 500: "internal_error", 503: "service_unavailable"}
_KEPT = (b"allow", b"content-range", b"retry-after", b"www-authenticate")


def foreign_error(status: int, headers: Pairs) -> Refused | None:
    """Our problem in the place of a service's error in another form, whose words are not for clients."""
    if status < 400 or dict(headers).get(b"content-type", b"").startswith(PROBLEM_JSON):
        return None
    kept = [pair for pair in headers if pair[0] in _KEPT]
    if status < 500:
        return Refused(status, _CODES.get(status, "refused"), detail="The request was refused.", headers=kept)
    if status not in (500, 501, 503, 504):
        status = 502
    if status != 500 and not any(name == b"retry-after" for name, _ in kept):
        kept.append((b"retry-after", b"1"))
    code = _CODES.get(status, "bad_gateway")
    return Refused(status, code, detail="Something went wrong on our side.", headers=kept)
