"""Stream on a real object store: the same answers as from files, and the same bytes whatever is killed."""

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from antiphon_common.blobs import open_blobs
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.testing.running import eventually
from antiphon_common.testing.suites.blobs import chunks
from antiphon_stream.adapters.keys import FILE, KeyFile, read_keys
from antiphon_stream.domain import Ticket, Track, sign
from antiphon_stream.repository import SqlTracks
from antiphon_stream.settings import Settings

pytestmark = pytest.mark.once("server")

AUDIO = hashlib.shake_256(b"far").digest(12 * 1024 * 1024 + 11)
LISTENERS = 20


@pytest.fixture(scope="module")
def server(private_server: Callable[[str], Any]) -> Any:
    return private_server("s3")


async def _stored(settings: Settings, blob_url: str) -> str:
    """One playable track in the store and the database; the path of its signed address."""
    key, track_id = f"audio/{new_id().hex}", new_id()
    blobs = open_blobs(blob_url)
    await blobs.start()
    await blobs.put(key, chunks(*(AUDIO[at : at + 1_000_000] for at in range(0, len(AUDIO), 1_000_000))))
    await blobs.stop()
    track = Track(
        id=track_id, revision=1, owner_id=new_id(), status="published", visibility="public", blob_key=key,
        mime="audio/mpeg", bytes=len(AUDIO), sha256=hashlib.sha256(AUDIO).hexdigest(), bitrate=320_000,
        duration_ms=300_000, gain_db=None,
    )  # fmt: skip
    database = Database(settings.database_url)
    async with database.write() as session:
        await SqlTracks(session).save(track)
    await database.stop()
    await KeyFile(settings.secrets_dir, create=True).start()
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    ticket = Ticket(track_id, "original", new_id(), new_id(), until, track.state)
    return f"/api/stream/{track_id}?ticket={sign(ticket, read_keys(settings.secrets_dir / FILE))}"


@pytest.fixture
def process(settings: Settings, server: Any, tmp_path: Path) -> Iterator[str]:
    """A stream service as a process of its own; its base URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "STREAM_PORT": str(port), "STREAM_DATABASE_URL": settings.database_url, "STREAM_BUS_URL": settings.bus_url,
        "STREAM_JWKS_URL": settings.jwks_url, "STREAM_BLOB_URL": server.url, "STREAM_CREATE_SECRETS": "true",
        "STREAM_SECRETS_DIR": str(settings.secrets_dir), "STREAM_LOG_FILE": str(tmp_path / "log.jsonl"),
        "STREAM_CACHE_BYTES": str(1 << 20),
    }  # fmt: skip
    running = subprocess.Popen(
        [sys.executable, "-m", "antiphon_stream", "serve"], env={**os.environ, **environment}
    )
    yield f"http://127.0.0.1:{port}"
    running.terminate()
    running.wait(15)


@pytest.fixture
async def listener(process: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=process, timeout=20, limits=httpx.Limits()) as client:

        async def is_ready() -> bool:
            try:
                return (await client.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(is_ready, seconds=30)
        yield client


async def _listens(client: httpx.AsyncClient, path: str, progress: list[int], number: int) -> str:
    """Read the whole track as a player does: what breaks off is asked for again from there."""
    heard = bytearray()
    while len(heard) < len(AUDIO):
        try:
            headers = {"range": f"bytes={len(heard)}-"}
            async with client.stream("GET", path, headers=headers) as answer:
                if answer.status_code == 503:
                    assert answer.headers["retry-after"]
                    await asyncio.sleep(0.1)
                    continue
                assert answer.status_code == 206
                async for piece in answer.aiter_bytes(65_536):
                    heard += piece
                    progress[number] = len(heard)
                    await asyncio.sleep(0.005)
        except httpx.TransportError:
            await asyncio.sleep(0.1)
    return hashlib.sha256(heard).hexdigest()


async def test_ranges_that_were_resumed_while_the_store_was_killed_give_the_original(
    listener: httpx.AsyncClient, settings: Settings, server: Any
) -> None:
    paths = [await _stored(settings, server.url) for _ in range(2)]
    progress = [0] * LISTENERS
    listening = [
        asyncio.create_task(_listens(listener, paths[number % 2], progress, number))
        for number in range(LISTENERS)
    ]
    for share in (8, 3, 2):

        async def heard() -> int:
            return sum(progress)

        wanted = LISTENERS * len(AUDIO) // share
        await eventually(heard, lambda got, wanted=wanted: got > wanted, seconds=60)
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(0.3)  # long enough for those who read now to notice
        await asyncio.to_thread(server.start)
    assert set(await asyncio.gather(*listening)) == {hashlib.sha256(AUDIO).hexdigest()}


async def test_a_store_that_is_down_is_503_and_one_that_hangs_too_within_the_gateways_patience(
    listener: httpx.AsyncClient, settings: Settings, server: Any
) -> None:
    path = await _stored(settings, server.url)
    whole = await listener.get(path)
    assert (whole.status_code, hashlib.sha256(whole.content).hexdigest()) == (
        200,
        whole.headers["etag"][1:-1],
    )
    fresh = await _stored(settings, server.url)
    for breaks, mends, seconds in ((server.stop, server.start, 2.0), (server.freeze, server.thaw, 8.0)):
        await asyncio.to_thread(breaks)
        try:
            for one in (path, fresh):
                begun = time.monotonic()
                answer = await listener.get(one, headers={"range": "bytes=100-200"})
                took = time.monotonic() - begun
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
                assert answer.headers["content-type"] == "application/problem+json"
                assert took < seconds
        finally:
            await asyncio.to_thread(mends)
        again = await listener.get(fresh, headers={"range": "bytes=100-200"})
        assert (again.status_code, again.content) == (206, AUDIO[100:201])
        fresh = await _stored(settings, server.url)
