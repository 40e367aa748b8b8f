"""The connections themselves: how many, how slow, how large a head. No ASGI application can see any of it.

The server's protocol is uvicorn's own on httptools, watched: it counts connections by address, refuses
request targets that are no path, never takes a trailer for a header, and answers what cannot be parsed with a
problem. One sweep a second cuts whoever is too slow, so nothing is added to the cost of an honest request.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from antiphon_gateway.addresses import bucket_of
from antiphon_gateway.problems import PROBLEM_JSON, Refused, problem_body

_HEAD_BYTES = 32 * 1024


class Guard:
    """What all connections of one gateway share."""

    def __init__(
        self,
        *,
        is_proxy: Callable[[str], bool],
        total: int,
        per_address: int,
        head_seconds: float,
        stalled_seconds: float,
    ) -> None:
        self._is_proxy = is_proxy
        self._total = total
        self._per_address = per_address
        self._head_seconds = head_seconds
        self._stalled_seconds = stalled_seconds
        self._open: set[GuardedProtocol] = set()
        self._by_address: Counter[str] = Counter()

    def admits(self, protocol: "GuardedProtocol", peer: str) -> bool:
        """Count a new connection; false when it is one too many."""
        key = "" if self._is_proxy(peer) else bucket_of(peer)
        protocol.guard_key = key
        self._open.add(protocol)
        self._by_address[key] += 1
        return len(self._open) <= self._total and (not key or self._by_address[key] <= self._per_address)

    def forget(self, protocol: "GuardedProtocol") -> None:
        """A connection is gone."""
        if protocol not in self._open:
            return
        self._open.discard(protocol)
        self._by_address[protocol.guard_key] -= 1
        if self._by_address[protocol.guard_key] <= 0:
            del self._by_address[protocol.guard_key]

    async def sweep(self) -> None:
        """Cut connections that send their head too slowly or stopped reading what we write."""
        now = asyncio.get_running_loop().time()
        for protocol in list(self._open):
            protocol.check_pace(now, head_seconds=self._head_seconds, stalled_seconds=self._stalled_seconds)

    def protocol(self) -> type[asyncio.Protocol]:
        """The protocol class for `uvicorn.Config(http=...)`."""
        return type("GatewayProtocol", (GuardedProtocol,), {"guard": self})


class Corked:
    """What a request's answer is written to: holds the head back until the body follows in the same moment.

    One system call instead of two is a tenth of what a small answer costs. A head that nothing follows leaves
    at the next turn of the loop.
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(b"HTTP/1.1 "):
            self._held = data
            self._loop.call_soon(self.flush)
            return
        self._transport.write(data)

    def flush(self) -> None:
        if self._held:
            data, self._held = self._held, b""
            self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `head_since` is when it began to owe us a request head, none while it does not."""

    guard: Guard
    guard_key: str

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # What clients do wrong is no event of ours; only failures inside the gateway are worth a line.
        self.logger = logging.Logger("gateway-connection", logging.ERROR)
        self._in_head = True
        self._head_bytes = 0
        self._head_since: float | None = None
        self._deaf = False
        self._stalled_since: float | None = None
        self._unsent = 0
        self.guard_key = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._corked = Corked(transport, self.loop)
        self._head_since = self.loop.time()
        if not self.guard.admits(self, self.client[0] if self.client else ""):
            self._answer_raw(
                Refused(
                    503,
                    "too_many_connections",
                    detail="Too many connections.",
                    headers=[(b"retry-after", b"1")],
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._in_head and self._head_bytes > _HEAD_BYTES:
            self._fail(
                Refused(431, "headers_too_large", detail="Headers may have 64 fields and 16384 bytes.")
            )
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_since is None and self._idle():
            # Bytes between requests (blank lines, a half head) switch uvicorn's idle timer off; ours goes on.
            self._head_since = self.loop.time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the head these are trailers, which must never pass for headers.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_since = None
        origin_form = self.url.startswith(b"/") and b"#" not in self.url
        if not origin_form:
            self.url = b"/"
        super().on_headers_complete()
        self.cycle.transport = cast(asyncio.Transport, self._corked)
        upgrade = self.parser.should_upgrade()
        if not origin_form:
            detail = "The request target must be a path."
            self.scope["state"]["refusal"] = Refused(400, "target_not_a_path", detail=detail, close=True)
        if upgrade:
            # What follows would be another protocol, which we do not speak.
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the name is uvicorn's
        """Called by uvicorn for bytes that are no HTTP."""
        self._fail(Refused(400, "http_not_valid", detail="This is not a valid HTTP request."))

    def _unsupported_upgrade_warning(self) -> None:
        """Nobody needs to know."""

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled_since, self._unsent = self.loop.time(), self.transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled_since = None

    def check_pace(self, now: float, *, head_seconds: float, stalled_seconds: float) -> None:
        """Cut this connection if it is too slow."""
        if self._head_since is not None and now - self._head_since > head_seconds:
            if self._head_bytes and self._idle():
                self._answer_raw(Refused(408, "head_too_slow", detail="The request came too slowly."))
            else:
                self.transport.abort()
        elif self._stalled_since is not None:
            unsent = self.transport.get_write_buffer_size()
            if unsent < self._unsent:
                self._stalled_since, self._unsent = now, unsent
            elif now - self._stalled_since > stalled_seconds:
                self.transport.abort()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _fail(self, refused: Refused) -> None:
        """The bytes of this connection can no longer be trusted."""
        if self._idle():
            self._answer_raw(refused)
            return
        self._deaf = True
        cycle = self.cycle
        cycle.keep_alive = False
        if not cycle.more_body:
            # An earlier request is whole and deserves its answer; the bad bytes after it get none.
            return
        cycle.disconnected = True
        cycle.message_event.set()
        if cycle.response_started:
            self.transport.close()
        else:
            self._answer_raw(refused)

    def _answer_raw(self, refused: Refused) -> None:
        self._deaf = True
        self._corked.flush()
        body = problem_body(refused, instance="/", trace_id="0" * 32)
        lines = [STATUS_LINE[refused.status]]
        for name, value in (
            *self.server_state.default_headers,
            *refused.headers,
            (b"content-type", PROBLEM_JSON),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ):
            lines += [name, b": ", value, b"\r\n"]
        self.transport.write(b"".join([*lines, b"\r\n", body]))
        self.transport.close()
