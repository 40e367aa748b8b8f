"""The upstream client on aiohttp: a connection pool, raw headers, bodies as they come.

Failure policy: a connection that cannot be made is `NotConnected`, one that ends early is `Broken`. Idle
connections are dropped after three seconds, before the services (five seconds) drop them, so that a write
rarely meets a connection which is just being closed.
"""

from collections.abc import Sequence
from functools import lru_cache

import aiohttp
from yarl import URL

from antiphon_gateway.upstream import Broken, NotConnected, Request

_IDLE_SECONDS = 3.0
_SKIP = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_ENCODING = ("Accept-Encoding", "identity")


class AiohttpAnswer:
    """One answer. It closes its connection unless it is read to the end."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status: int = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = response.raw_headers

    async def read(self) -> bytes:
        try:
            return await self._response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise Broken from error

    async def next(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise Broken from error

    def abort(self) -> None:
        self._response.close()


class AiohttpClient:
    """Sends requests through one pool."""

    def __init__(self, *, connections: int) -> None:
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(
            limit=0, limit_per_host=self._connections, keepalive_timeout=_IDLE_SECONDS, ttl_dns_cache=10
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_SKIP,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=2.0),
            max_field_size=16 * 1024,
            read_bufsize=64 * 1024,
        )
        # Its own second try would double every retry that the budget allows. There is no public switch.
        self._session._retry_connection = False  # noqa: SLF001 - a test fails when this stops working

    async def stop(self) -> None:
        if self._session:
            await self._session.close()

    async def send(self, base: str, request: Request) -> AiohttpAnswer:
        assert self._session is not None, "the client was not started"
        try:
            response = await self._session.request(
                request.method, _url(base + request.path), headers=[*request.headers, _ENCODING],
                data=request.body, allow_redirects=False,
            )  # fmt: skip
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotConnected from error
        except (aiohttp.ClientError, OSError) as error:
            raise Broken from error
        return AiohttpAnswer(response)


@lru_cache(maxsize=1024)
def _url(text: str) -> URL:
    # The path is canonical already: it must arrive as it is, not quoted again.
    return URL(text, encoded=True)
