"""The gateway's own pages for whoever runs it: is it alive, can it serve, which version."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version

import orjson

from antiphon_common.errors import Unavailable
from antiphon_common.web.identity import JwksClient
from antiphon_gateway.addresses import is_local
from antiphon_gateway.exchange import Exchange
from antiphon_gateway.problems import Refused
from antiphon_gateway.revocations import Revocations
from antiphon_gateway.stores import Stores
from antiphon_gateway.upstream import Upstreams

VERSION = version("antiphon-gateway")
_JSON = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
_KEPT_SECONDS = 1.0


class Operations:
    """Answers `/healthz`, `/readyz` and `/version`."""

    def __init__(
        self,
        upstreams: Upstreams,
        revocations: Revocations,
        stores: Stores,
        *,
        keys: JwksClient,
        now: Callable[[], float],
    ) -> None:
        self._upstreams = upstreams
        self._revocations = revocations
        self._stores = stores
        self._keys = keys
        self._now = now
        self._asked_at = float("-inf")
        self._missing: list[str] = []
        self._asking = asyncio.Lock()
        self._stopping = False

    def stop(self) -> None:
        """The gateway was told to end: it is not ready from now on, whatever it could still do."""
        self._stopping = True

    async def healthz(self, exchange: Exchange) -> None:
        """The process lives."""
        await exchange.answer(200, b'{"status":"ok"}', headers=_JSON)

    async def root(self, exchange: Exchange) -> None:
        """Somebody has opened the address in a browser."""
        await exchange.answer(
            307, b"", headers=((b"location", b"/api/docs"), (b"cache-control", b"no-store"))
        )

    async def version(self, exchange: Exchange) -> None:
        await exchange.answer(200, orjson.dumps({"version": VERSION}), headers=_JSON)

    async def readyz(self, exchange: Exchange) -> None:
        """Whether every service is ready; asked at most once a second, however many want to know.

        What is missing is said on this machine only: to others it would be a map of the inside.
        """
        async with self._asking:
            if self._now() - self._asked_at > _KEPT_SECONDS:
                self._missing = await self.missing()
                self._asked_at = self._now()
        missing = ["stopping"] if self._stopping else self._missing
        body: dict[str, object] = {"status": "not ready" if missing else "ready"}
        if is_local(exchange.peer, exchange.fields):
            body["missing"] = missing
        await exchange.answer(503 if missing else 200, orjson.dumps(body), headers=_JSON)

    async def missing(self) -> list[str]:
        """The names of what is not ready."""
        names = self._upstreams.names()
        ready = await asyncio.gather(*(self._ready(name) for name in names))
        missing = [name for name, is_ready in zip(names, ready, strict=True) if not is_ready]
        await self._stores.look()
        missing += self._stores.missing
        if not self._revocations.known:
            missing.append("revocations")
        try:
            await self._keys.ping()
        except Unavailable:
            missing.append("keys")
        return missing

    async def _ready(self, name: str) -> bool:
        try:
            status, _ = await self._upstreams.fetch(name, "/readyz")
        except Refused:
            return False
        return status == 200
