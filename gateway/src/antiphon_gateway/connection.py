"""One connection to a service: HTTP/1.1 by httptools, one request after the other, bodies as they come.

It reads at most a window ahead of whoever takes the body, and writes no faster than the service takes it.
What ends early, cannot be parsed or says more than it should is `Broken`, and is never used again.
"""

import asyncio
from collections import deque
from typing import cast

import httptools

from antiphon_gateway.upstream import Broken

_WINDOW = 256 * 1024
_HEAD_BYTES = 64 * 1024


class Connection(asyncio.Protocol):
    """The state of one exchange at a time; `reusable` says whether another may follow."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._writable: asyncio.Future[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._expecting = False
        self.lost = False
        self.idle_since = 0.0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.closing = False
        self._bodiless = False
        self._head_done = False
        self._head_bytes = 0
        self._until_close = False
        self._keep_alive = False
        self._chunks: deque[bytes] = deque()
        self._held = 0

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The loop's own class need not be asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._head_done and self._until_close and exc is None:
            self.complete = True
        self._wake()
        if self._writable and not self._writable.done():
            self._writable.set_result(None)

    def data_received(self, data: bytes) -> None:
        if not self._expecting or self.complete:
            # A service that speaks unasked has lost count of the answers, and so would we.
            self.close()
            return
        self._head_bytes += 0 if self._head_done else len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close()
        if self._head_bytes > _HEAD_BYTES and not self._head_done:
            self.close()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # --- httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_done:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.complete:
            self.close()
            return
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = []
            return
        self.status = status
        self._head_done = True
        self._keep_alive = self._parser.should_keep_alive()
        self.closing = not self._keep_alive
        framed = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.headers)
        self._until_close = not framed and status not in (204, 304)
        if self._bodiless:
            # The parser cannot know that no body follows, so this is the last answer it is asked to read.
            self._keep_alive = False
            self.complete = True
        self._wake()

    def on_body(self, body: bytes) -> None:
        if self.complete:
            return
        self._chunks.append(body)
        self._held += len(body)
        if self._held > _WINDOW and not self._paused and self._transport:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self._head_done:
            self.complete = True
            self._wake()

    # --- the client

    @property
    def reusable(self) -> bool:
        """Whether the answer has been taken whole and another request may follow."""
        return self.complete and self._keep_alive and not self._chunks and not self.lost

    @property
    def is_silent(self) -> bool:
        """Whether not a byte of the answer has come."""
        return self._head_bytes == 0

    def begin(self, data: bytes, *, bodiless: bool) -> None:
        """Write the head of a request (and a small body) whose answer is read next. Raises `Broken`."""
        self.headers = []
        self.complete = self._head_done = self._until_close = self._keep_alive = False
        self._bodiless = bodiless
        self._head_bytes = 0
        self._expecting = True
        self._write(data)

    async def write(self, data: bytes) -> None:
        """Write a part of a body; waits while the service is slower. Raises `Broken`."""
        self._write(data)
        if self._writable is not None:
            await self._writable
        if self.lost:
            raise Broken

    async def head(self) -> None:
        """Wait until `status` and `headers` are there. Raises `Broken`."""
        while not self._head_done:
            await self._wait()

    async def next(self) -> bytes:
        """The next part of the body, empty at its end. Raises `Broken`."""
        while not self._chunks:
            if self.complete:
                return b""
            await self._wait()
        chunk = self._chunks.popleft()
        self._held -= len(chunk)
        if self._paused and self._held <= _WINDOW // 2 and self._transport and not self.lost:
            self._paused = False
            self._transport.resume_reading()
        return chunk

    def rest(self) -> None:
        """The exchange is over; what comes now was not asked for."""
        self._expecting = False
        self.idle_since = self._loop.time()

    def close(self) -> None:
        """End the connection at once; whoever waits gets `Broken`."""
        self.lost = True
        if self._transport:
            self._transport.abort()
        self._wake()

    def _write(self, data: bytes) -> None:
        if self.lost or self._transport is None:
            raise Broken
        self._transport.write(data)

    async def _wait(self) -> None:
        if self.lost:
            raise Broken
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)
