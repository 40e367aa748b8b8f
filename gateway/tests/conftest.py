"""A real gateway before a real upstream, both under uvicorn on loopback sockets, and raw bytes for them."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
import uvicorn
import uvloop

from antiphon_common.testing.tokens import TokenMaker
from antiphon_gateway.app import create_app
from antiphon_gateway.boundary import Gateway
from antiphon_gateway.ratelimit import LIMITS
from antiphon_gateway.serving import server
from antiphon_gateway.settings import SERVICES, Settings

pytest_plugins = ["antiphon_common.testing.plugin"]

Handler = Callable[["Seen", Any], Awaitable[None]]


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """The loop of production."""
    return uvloop.EventLoopPolicy()


@dataclass
class Seen:
    """One request as it reached the upstream."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    receive: Any = None
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


async def reply(
    send: Any,
    status: int,
    body: object,
    headers: dict[str, str] | None = None,
    kind: str = "application/json",
) -> None:
    """Send a small answer."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {"content-type": kind, "content-length": str(len(raw)), **(headers or {})}
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": raw})


async def read_body(seen: Seen) -> bytes:
    """The body of a request that reached the upstream."""
    parts, more = [], True
    while more:
        message = await seen.receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    seen.body = b"".join(parts)
    return seen.body


@dataclass
class FakeServices:
    """All eight services in one app: it answers what a test told it to, else an echo of the request."""

    seen: list[Seen] = field(default_factory=list)
    handlers: dict[str, Handler] = field(default_factory=dict)
    revoked: list[dict[str, object]] = field(default_factory=list)
    feed_status: int = 200
    feed_seconds: float = 0
    ready_status: int = 200
    documents: dict[str, object] = field(default_factory=dict)
    port: int = 0
    reply = staticmethod(reply)
    read_body = staticmethod(read_body)

    def reset(self) -> None:
        self.seen.clear()
        self.handlers.clear()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        seen = Seen(
            scope["method"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            headers,
            receive,
        )
        if seen.path == "/internal/revocations":
            await asyncio.sleep(self.feed_seconds)
            await reply(send, self.feed_status, {"cursor": str(len(self.revoked)), "items": self.revoked})
        elif seen.path == "/readyz":
            await reply(send, self.ready_status, {})
        elif seen.path == "/openapi.json":
            await reply(send, 200, self.documents)
        else:
            self.seen.append(seen)
            handler = self.handlers.get(seen.path, echo)
            await handler(seen, send)

    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]


async def echo(seen: Seen, send: Any) -> None:
    """Answer with what arrived."""
    try:
        await read_body(seen)
    except ConnectionError:
        return
    body = {
        "method": seen.method, "path": seen.path, "query": seen.query, "headers": seen.headers,
        "bytes": len(seen.body),
    }  # fmt: skip
    await reply(send, 200, body)


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


def parse(raw: bytes, *, head: bool = False) -> Reply:
    """The first answer in the bytes of a connection."""
    assert raw, "the connection was closed without an answer"
    top, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if headers.get("transfer-encoding") == "chunked" and not head:
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    else:
        body = rest[: int(headers.get("content-length", "0"))]
    return Reply(int(first.split(" ")[1]), headers, body)


@dataclass
class Site:
    """A running gateway with its services."""

    port: int
    services: FakeServices
    tokens: TokenMaker
    gateway: Gateway
    settings: Settings
    http: aiohttp.ClientSession
    parse = staticmethod(parse)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bearer(self, **claims: Any) -> dict[str, str]:
        return self.tokens.bearer(**claims)

    async def raw(self, data: bytes, *, seconds: float = 5.0, quiet: float = 0.15) -> bytes:
        """Send bytes, then read until the gateway closes or has been quiet for a moment after an answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            await writer.drain()
            answer = b""
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                async with asyncio.timeout(seconds):
                    while True:
                        # After an answer, silence means that no second one is coming.
                        chunk = await asyncio.wait_for(reader.read(65536), quiet if answer else seconds)
                        if not chunk:
                            break
                        answer += chunk
            return answer
        finally:
            writer.close()

    async def get(self, path: str, *, headers: dict[str, str] | None = None, method: str = "GET") -> "Reply":
        """Send one request whose path is not touched by any client library."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        data = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return parse(await self.raw(data, quiet=5.0), head=method == "HEAD")


@contextlib.asynccontextmanager
async def serving(app: uvicorn.Server, port: int = 0) -> AsyncIterator[int]:
    """Run a server on a free listen port until the block ends."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        task = asyncio.create_task(app.serve(sockets=[listener]))
        while not app.started:
            if task.done():
                await task
            await asyncio.sleep(0.005)
        try:
            yield listener.getsockname()[1]
        finally:
            app.should_exit = True
            app.force_exit = False
            await task


def plain(app: Any) -> uvicorn.Server:
    """A server without anything of ours, for upstreams."""
    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    return uvicorn.Server(config)


@contextlib.asynccontextmanager
async def running_site(directory: Path, **overrides: Any) -> AsyncIterator[Site]:
    """A gateway before fake services; the settings can be replaced one by one."""
    services, tokens = FakeServices(), TokenMaker(directory)
    async with serving(plain(services)) as port:
        services.port = port
        urls = {f"{name}_url": f"http://127.0.0.1:{port}" for name in SERVICES}
        values = {
            "bus_url": f"inproc://{directory}/bus.db", "jwks_url": tokens.jwks_url, "access_log": False,
            "revocation_poll_seconds": 0.05, "connections_per_address": 200,
            "rates": dict.fromkeys(LIMITS, "100000/60"),
            **urls, **overrides,
        }  # fmt: skip
        settings = Settings(**values)
        gateway = create_app(settings)
        async with serving(server(gateway, settings)) as own, aiohttp.ClientSession() as http:
            site = Site(own, services, tokens, gateway, settings, http)
            await _until_ready(site)
            yield site


async def _until_ready(site: Site) -> None:
    revocations = site.gateway._parts.gatekeeper._revocations
    async with asyncio.timeout(5):
        while not revocations.known and site.services.feed_status == 200:
            await asyncio.sleep(0.005)


@pytest.fixture
def new_site() -> Callable[..., contextlib.AbstractAsyncContextManager[Site]]:
    """Makes a site of its own for a test that needs other settings."""
    return running_site


@pytest.fixture
def free_ports() -> list[int]:
    """Two listen ports that nobody uses."""
    with socket.socket() as one, socket.socket() as other:
        for bound in (one, other):
            bound.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], other.getsockname()[1]]


@contextlib.asynccontextmanager
async def beside(site: Site, **overrides: Any) -> AsyncIterator[Site]:
    """Another gateway before the same services, asked like the first."""
    settings = site.settings.model_copy(update=overrides)
    gateway = create_app(settings)
    async with serving(server(gateway, settings)) as port:
        yield replace(site, port=port, gateway=gateway, settings=settings)


@pytest.fixture
def another() -> Callable[..., contextlib.AbstractAsyncContextManager[Site]]:
    """Makes a second gateway of a site."""
    return beside


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """One site for all tests of a module; `site` gives it to a test with nothing left from the last one."""
    async with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Site:
    """The module's site, with the answers of its services back to an echo."""
    shared_site.services.reset()
    return shared_site
