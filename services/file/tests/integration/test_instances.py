"""Several file services on one database and one bucket: each upload is analysed once, and nothing is left over."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from sqlalchemy import select

from antiphon_common.blobs import open_blobs
from antiphon_common.clock import SystemClock
from antiphon_common.db import Database
from antiphon_common.db.migrations import migrate
from antiphon_common.ids import new_id
from antiphon_common.logs import open_log
from antiphon_common.testing.databases import idle_relay
from antiphon_common.testing.running import Recorder, eventually, running
from antiphon_common.testing.suites.blobs import chunks, keys
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.file import UploadReady
from antiphon_file import usecases
from antiphon_file.app import create_app
from antiphon_file.domain import LEASE, Quota, Upload, audio_key
from antiphon_file.repository import unit_of_work
from antiphon_file.settings import Settings
from antiphon_file.tables import OUTBOX, UploadRow

pytestmark = pytest.mark.once("server")

LOG = open_log("test", level="error", file=None)
ROOM = Quota(10**9, 1000, 1000)


class Sound(Protocol):
    def __call__(self, kind: str, seconds: float = 1.0, **how: Any) -> Path: ...


@pytest.fixture
def shared(urls: dict[str, str], postgres_url: str, s3_url: str) -> Settings:
    """What every instance is told: one Postgres and one bucket."""
    migrate("antiphon_file", postgres_url)
    return Settings(**{**urls, "database_url": postgres_url}, blob_url=s3_url, collect_seconds=0.5)


@pytest.fixture
async def database(shared: Settings) -> AsyncIterator[Database]:
    database = Database(shared.database_url)
    yield database
    await database.stop()


def units(database: Database) -> Callable[[], Any]:
    return partial(unit_of_work, database, SystemClock(), idle_relay(database, OUTBOX), lambda: None)


async def rows(database: Database) -> dict[str, str]:
    """The key of each upload that has an object, and its state."""
    async with database.read() as connection:
        found = await connection.execute(select(UploadRow.id, UploadRow.state))
        return {audio_key(one): state for one, state in found.all()}


async def test_three_instances_analyse_each_upload_once_and_leave_objects_equal_to_rows(
    shared: Settings, database: Database, tokens: TokenMaker, sound: Sound
) -> None:
    store = open_blobs(shared.blob_url)
    await store.start()
    now = SystemClock().now()
    strays = [audio_key(new_id()) for _ in range(5)]
    for key in strays:
        await store.put(key, chunks(b"an object without a row"))
    dead = Upload(new_id(), new_id(), "receiving", now, now - timedelta(seconds=1), 10)
    async with units(database)() as unit:
        await usecases.begin_upload(unit, dead, ROOM)
    await store.put(audio_key(dead.id), chunks(b"half of what a killed instance received"))
    async with Recorder(shared.bus_url, UploadReady) as recorder, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(running(create_app(shared))) for _ in range(3)]
        await asyncio.gather(
            *(_sends(clients[number % 3], tokens, sound("mp3", 1 + number / 10)) for number in range(12))
        )
        events = await recorder.wait_for(12, seconds=60)

        async def compared() -> tuple[set[str], set[str]]:
            return set(await keys(store)), set(await rows(database))

        await eventually(compared, lambda both: both[0] == both[1] and len(both[0]) == 12, seconds=20)
        assert len({event.subject for event in events}) == len(recorder.events) == 12
    async with database.read() as connection:
        claims = (await connection.execute(select(UploadRow.claims))).scalars().all()
    assert list(claims) == [1] * 12
    await store.stop()


async def _sends(client: httpx.AsyncClient, tokens: TokenMaker, path: Path) -> None:
    files = {"file": ("song.mp3", path.read_bytes())}
    answer = await client.post("/api/uploads", headers=tokens.bearer(new_id()), files=files)
    assert answer.status_code == 202, answer.text


async def test_what_a_killed_instance_was_analysing_is_taken_over_when_its_lease_ends(
    shared: Settings, database: Database, sound: Sound
) -> None:
    store, content = open_blobs(shared.blob_url), sound("mp3").read_bytes()
    await store.start()
    now = SystemClock().now()
    upload = Upload(new_id(), new_id(), "analysing", now, now, len(content), sha256="0" * 64)
    async with units(database)() as unit:
        await usecases.begin_upload(unit, upload, ROOM)
    await store.put(audio_key(upload.id), chunks(content))
    async with units(database)() as unit:  # and then it was killed
        assert await usecases.claim_upload(unit, SystemClock().now()) is not None
    killed_at = time.monotonic()
    async with running(create_app(shared)), running(create_app(shared)):

        async def state() -> str:
            return (await rows(database))[audio_key(upload.id)]

        await eventually(state, lambda found: found == "ready", seconds=LEASE.total_seconds() + 15)
    assert time.monotonic() - killed_at >= LEASE.total_seconds() - 1
    async with database.read() as connection:
        assert (await connection.execute(select(UploadRow.claims))).scalars().all() == [2]
    await store.stop()


@pytest.mark.parametrize("path", ["/api/uploads", "/api/images"])
async def test_while_the_store_is_away_a_body_is_refused_before_it_is_read_and_later_taken(
    settings: Settings, private_server: Callable[[str], Any], tokens: TokenMaker, sound: Sound, path: str
) -> None:
    server, is_read = private_server("s3"), False

    async def body() -> AsyncIterator[bytes]:
        nonlocal is_read
        is_read = True
        yield b"--x\r\n"

    far = settings.model_copy(update={"blob_url": server.url})
    kind = {"content-type": "multipart/form-data; boundary=x"}
    async with running(create_app(far)) as client:
        for breaks, mends in ((server.stop, server.start), (server.freeze, server.thaw)):
            await asyncio.to_thread(breaks)
            try:
                begun = time.monotonic()
                answer = await client.post(path, headers={**tokens.bearer(), **kind}, content=body())
                took = time.monotonic() - begun
            finally:
                await asyncio.to_thread(mends)
            assert (answer.status_code, answer.json()["code"], is_read) == (503, "blob_unavailable", False)
            assert answer.headers["retry-after"]
            assert "bucket" not in answer.text  # the store's own words are the operator's
            assert took < 3, "a store's first byte is waited for so long"
        await _sends(client, tokens, sound("mp3"))
