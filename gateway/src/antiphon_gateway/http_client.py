"""The upstream client: a pool of connections to each service, thin because every request pays for it.

Failure policy: a connection that cannot be made within two seconds is `NotConnected`, one that ends early is
`Broken`; nothing is repeated here. Idle connections are given up after three seconds, before the services
(five seconds) give them up, so that a request rarely meets a connection which is just being closed.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

from antiphon_gateway.connection import Connection
from antiphon_gateway.problems import ClientGone, Refused
from antiphon_gateway.upstream import Broken, NotConnected, Request, Unanswered

_CONNECT_SECONDS = 2.0


class Exchanged:
    """One answer. Read to its end it gives its connection back to the pool; otherwise it closes it."""

    __slots__ = ("_connection", "_idle", "_over", "_pump", "closing", "headers", "status")

    def __init__(
        self, connection: Connection, idle: deque[Connection], *, pump: asyncio.Task[None] | None
    ) -> None:
        self._connection = connection
        self._idle = idle
        self._pump = pump
        self._over = False
        self.status: int = connection.status
        self.headers: Sequence[tuple[bytes, bytes]] = connection.headers
        self.closing: bool = connection.closing

    async def read(self) -> bytes:
        first = await self.next()
        second = await self.next() if first else b""
        if not second:
            return first
        chunks = [first, second]
        while chunk := await self.next():
            chunks.append(chunk)
        return b"".join(chunks)

    async def next(self) -> bytes:
        if self._over:
            return b""
        try:
            chunk = await self._connection.next()
        except BaseException:
            self.abort()
            raise
        if not chunk:
            self._finish()
        return chunk

    def abort(self) -> None:
        if self._over:
            # The connection may long be answering somebody else.
            return
        self._over = True
        if self._pump:
            self._pump.cancel()
        self._connection.close()

    def _finish(self) -> None:
        # Answered before the body was sent, the service still expects the rest of it on this connection.
        sent = self._pump is None or self._pump.done()
        if not (sent and self._connection.reusable):
            self.abort()
            return
        self._over = True
        self._connection.rest()
        self._idle.append(self._connection)
        while self._idle[0].lost:
            self._idle.popleft()


class HttpClient:
    """Sends requests through one pool an address; `idle_seconds` is how long a connection may rest there."""

    def __init__(self, *, idle_seconds: float = 3.0) -> None:
        self._idle_seconds = idle_seconds
        self._idle: defaultdict[str, deque[Connection]] = defaultdict(deque)

    async def start(self) -> None:
        """Connections are made when they are needed."""

    async def stop(self) -> None:
        for base in self._idle:
            self.forget(base)

    def forget(self, base: str) -> None:
        idle = self._idle[base]
        while idle:
            idle.pop().close()

    async def send(self, base: str, request: Request) -> Exchanged:
        idle = self._idle[base]
        rested = self._rested(idle)
        connection = rested or await _connect(base)
        pump = None
        try:
            connection.begin(_head(base, request), bodiless=request.method == "HEAD")
            if request.body is not None and not isinstance(request.body, bytes):
                chunked = not any(name == "content-length" for name, _ in request.headers)
                pump = asyncio.create_task(_send_body(connection, request.body, chunked=chunked))
            await connection.head()
        except BaseException as error:
            if pump:
                pump.cancel()
            connection.close()
            if rested and connection.is_silent and isinstance(error, Broken):
                raise Unanswered from error
            raise
        return Exchanged(connection, idle, pump=pump)

    def _rested(self, idle: deque[Connection]) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - self._idle_seconds
        while idle:
            connection = idle.pop()
            if not connection.lost and connection.idle_since > oldest:
                return connection
            connection.close()
        return None


async def _connect(base: str) -> Connection:
    loop = asyncio.get_running_loop()
    parts = urlsplit(base)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, connection = await loop.create_connection(
                lambda: Connection(loop), parts.hostname or "", parts.port or 80
            )
    except (OSError, TimeoutError) as error:
        raise NotConnected from error
    return connection


def _head(base: str, request: Request) -> bytes:
    """The bytes of a request, with its body when that is small. Raises `ValueError` for a broken line."""
    lines = [f"{request.method} {request.path} HTTP/1.1", f"host: {base[7:]}", "accept-encoding: identity"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    body = request.body
    if body is None:
        if request.method not in ("GET", "HEAD"):
            lines.append("content-length: 0")
    elif isinstance(body, bytes):
        lines.append(f"content-length: {len(body)}")
    elif not any(name == "content-length" for name, _ in request.headers):
        lines.append("transfer-encoding: chunked")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or "\0" in head:
        raise ValueError("a header holds a line break")
    whole = head.encode("ascii") + b"\r\n\r\n"
    return whole + body if isinstance(body, bytes) else whole


async def _send_body(connection: Connection, body: AsyncIterator[bytes], *, chunked: bool) -> None:
    """Send a body as it comes; when it ends early, so does the connection."""
    try:
        async for chunk in body:
            await connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        if chunked:
            await connection.write(b"0\r\n\r\n")
    except (Broken, Refused, ClientGone):
        # Whoever reads the client's body has noted why it ended.
        connection.close()
    except BaseException:
        connection.close()
        raise
