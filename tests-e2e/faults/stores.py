"""What lies behind the API of a platform on real servers, read for the checker."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
from e2e_support.server_platform import ServerPlatform

from antiphon_common.blobs import BlobStore, open_blobs
from antiphon_common.bus import open_bus
from antiphon_gateway.settings import SERVICES


class ServerStores:
    """Reads by the accounts of the services themselves."""

    def __init__(self, platform: ServerPlatform) -> None:
        self._platform = platform

    def _told(self, service: str, name: str) -> str:
        return self._platform.environment(service)[f"{service.upper()}_{name}"]

    async def sql(self, service: str, query: str) -> Sequence[tuple[Any, ...]]:
        connection = await asyncpg.connect(self._told(service, "DATABASE_URL").replace("+asyncpg", ""))
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def documents(self) -> Sequence[tuple[str, str, int]]:
        parts = urlsplit(self._told("search", "INDEX_URL"))
        body = {"size": 10_000, "query": {"exists": {"field": "kind"}}, "docvalue_fields": ["kind"]}
        body |= {"version": True, "_source": False, "track_total_hits": True}
        async with httpx.AsyncClient(base_url=f"http://{parts.netloc}") as client:
            await client.post(f"{parts.path}/_refresh")
            answer = (await client.post(f"{parts.path}/_search", json=body)).raise_for_status().json()
        hits = answer["hits"]["hits"]
        assert len(hits) == answer["hits"]["total"]["value"], "more documents than one page"
        return [(str(UUID(hex=hit["_id"])), hit["fields"]["kind"][0], hit["_version"]) for hit in hits]

    async def objects(self) -> Mapping[str, str]:
        blobs = open_blobs(self._told("file", "BLOB_URL"))
        await blobs.start()
        try:
            return {info.key: await _digest(blobs, info.key) async for info in blobs.list()}
        finally:
            await blobs.stop()

    async def waiting(self) -> Sequence[str]:
        found = []
        for consumer in ("gateway", *SERVICES):
            bus = open_bus(self._told(consumer, "BUS_URL"))
            await bus.start()
            try:
                if depth := await bus.depth(consumer):
                    found.append(f"I8 {depth} messages wait for {consumer}")
                found += [
                    f"I8 dead letter of {consumer}: {letter}" for letter in await bus.dead_letters(consumer)
                ]
            finally:
                await bus.stop()
        return found


async def _digest(blobs: BlobStore, key: str) -> str:
    blob = await blobs.open(key)
    try:
        return hashlib.sha256(await blob.read(0, blob.size)).hexdigest()
    finally:
        blob.close()
