"""Fetches the services' documents and keeps the merged one: `/api/openapi.json` and `/api/docs`.

A document is asked for when somebody wants it, and asked again after a minute, or after two seconds while a
service has not given its own yet.
"""

import asyncio
from collections.abc import Callable, Sequence

import orjson

from antiphon_gateway import docs
from antiphon_gateway.exchange import Exchange
from antiphon_gateway.openapi import Document, merge
from antiphon_gateway.operations import VERSION
from antiphon_gateway.policy import Route
from antiphon_gateway.problems import Refused
from antiphon_gateway.upstream import Upstreams

_KEPT_SECONDS = 60.0
_RETRY_SECONDS = 2.0


class Description:
    """What the platform says about its API."""

    def __init__(self, upstreams: Upstreams, routes: Sequence[Route], *, now: Callable[[], float]) -> None:
        self._upstreams = upstreams
        self._routes = routes
        self._now = now
        self._documents: dict[str, Document] = {}
        self._fresh_until = float("-inf")
        self._json = b""
        self._page = b""
        self._asking = asyncio.Lock()

    async def openapi(self, exchange: Exchange) -> None:
        """The merged document; what a silent service offers is missing from it until that answers."""
        await self._refresh()
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache")]
        await exchange.answer(200, self._json, headers=headers)

    async def page(self, exchange: Exchange) -> None:
        """The same to read."""
        await self._refresh()
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-cache")]
        await exchange.answer(200, self._page, headers=headers, policy=docs.POLICY)

    async def _refresh(self) -> None:
        async with self._asking:
            if self._now() < self._fresh_until:
                return
            names = self._upstreams.names()
            found = await asyncio.gather(*(self._ask(name) for name in names))
            self._documents |= {name: one for name, one in zip(names, found, strict=True) if one is not None}
            merged = merge(self._documents, self._routes, version=VERSION)
            self._json, self._page = orjson.dumps(merged), docs.render(merged)
            whole = all(one is not None for one in found)
            self._fresh_until = self._now() + (_KEPT_SECONDS if whole else _RETRY_SECONDS)

    async def _ask(self, name: str) -> Document | None:
        try:
            status, body = await self._upstreams.fetch(name, "/openapi.json")
            if status != 200:
                return None
            document = orjson.loads(body)
        except (Refused, ValueError):
            return None
        return document if isinstance(document, dict) else None
