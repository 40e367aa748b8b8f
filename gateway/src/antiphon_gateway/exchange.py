"""One request and its answer: what is known so far, and the only way bytes leave for the client.

Every answer gets the security headers here, so no path through the gateway can forget them.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import Span

from antiphon_common.principal import Principal
from antiphon_gateway.headers import Fields
from antiphon_gateway.problems import PROBLEM_JSON, ClientGone, Pairs, Refused, problem_body

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# `sandbox` makes harmless what a browser would render of an answer; the docs page brings its own policy.
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox")
_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

_DRAIN_SECONDS, _DRAIN_BYTES = 1.0, 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Style:
    """What every answer of this gateway carries."""

    always: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def of(cls, *, hsts: bool, cross_origin: bool) -> "Style":
        """`cross_origin`: pages of other (allow-listed) origins may use the answers."""
        resource = b"cross-origin" if cross_origin else b"same-origin"
        extra = ((_HSTS,) if hsts else ()) + (((b"vary", b"origin"),) if cross_origin else ())
        return cls((*_SECURITY, (b"cross-origin-resource-policy", resource), *extra))


class Exchange:
    """The state of one request. `extra` are headers that earlier steps want on the answer, whatever it is."""

    __slots__ = (
        "_receive", "_send", "_style", "address", "answered", "extra", "fields", "finished", "ids", "last",
        "method", "path", "peer", "principal", "query", "scope", "sent_bytes", "span", "started", "status",
        "template", "trace_id", "traceparent", "unread",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, style: Style) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self._style = style
        self.started = time.perf_counter()
        self.method: str = scope["method"]
        self.path = ""
        self.template = ""
        self.query: bytes = scope["query_string"]
        self.fields: Fields = {}
        self.peer = self.address = ""
        self.ids: tuple[str, ...] = ()
        self.principal: Principal | None = None
        self.trace_id = ""
        self.traceparent = ""
        self.span: Span | None = None
        self.extra: list[tuple[bytes, bytes]] = []
        self.status = 0
        self.sent_bytes = 0
        self.answered = False
        self.finished = False
        # The connection ends with this answer, whatever of the request is still on its way.
        self.last = False
        self.unread = True

    async def start(self, status: int, headers: Pairs, *, policy: bytes | None = None) -> None:
        """Send the status and headers; `policy` replaces the content security policy."""
        self.status = status
        self.answered = True
        content_policy = _POLICY if policy is None else (_POLICY[0], policy)
        whole = [*headers, *self.extra, content_policy, *self._style.always]
        if self.last:
            whole.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": whole})

    async def write(self, chunk: bytes, *, more: bool) -> None:
        """Send a part of the body; waits while the client reads slower than we write."""
        self.sent_bytes += len(chunk)
        if self.last and not more:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            await self._drain()
            chunk = b""
        self.finished = not more
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def answer(self, status: int, body: bytes, *, headers: Pairs, policy: bytes | None = None) -> None:
        """Send a whole answer; HEAD gets its headers only."""
        length = (b"content-length", b"%d" % len(body))
        await self.start(status, [*headers, length], policy=policy)
        await self.write(b"" if self.method == "HEAD" else body, more=False)

    async def refuse(self, refused: Refused) -> None:
        """Send a problem. Without effect once an answer has begun."""
        if self.answered:
            return
        body = problem_body(refused, instance=self.path or "/", trace_id=self.trace_id)
        headers = [
            (b"content-type", PROBLEM_JSON),
            (b"cache-control", b"no-store"),
            *refused.headers,
            (b"content-length", b"%d" % len(body)),
        ]
        self.last = self.last or refused.close or self._much_is_unread()
        await self.start(refused.status, headers)
        await self.write(b"" if self.method == "HEAD" else body, more=False)

    def _much_is_unread(self) -> bool:
        """Whether so much of a body would follow this answer that ending the connection is cheaper."""
        length = self.fields.get(b"content-length", b"0")
        return self.unread and (b"transfer-encoding" in self.fields or len(length) > 5)

    async def receive(self) -> tuple[bytes, bool]:
        """The next part of the request body and whether more follows. Raises `ClientGone`."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.unread = message.get("more_body", False)
        return message.get("body", b""), self.unread

    async def _drain(self) -> None:
        """Read on for a moment after a last answer.

        Closing with unread bytes makes the kernel reset the connection, and the answer would be lost with it.
        """
        left = _DRAIN_BYTES
        with contextlib.suppress(ClientGone, TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self.unread and left > 0:
                    chunk, _ = await self.receive()
                    left -= len(chunk)
