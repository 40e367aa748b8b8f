"""The cache of tracks: one reading for many, and never older than the last event."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from antiphon_common.db import Database
from antiphon_common.errors import Unavailable
from antiphon_common.ids import new_id
from antiphon_common.testing.running import eventually
from antiphon_stream.queries import TrackCache
from antiphon_stream.settings import Settings
from antiphon_stream.tables import TrackRow


class Gate:
    """A database that counts its readers and lets them through when told to."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings.database_url)
        self.readers = 0
        self.open = asyncio.Event()
        self.away = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        self.readers += 1
        if self.away:
            raise Unavailable("database_unavailable")
        async with self._database.read() as connection:
            yield _Held(connection, self.open)

    async def stop(self) -> None:
        await self._database.stop()


class _Held:
    """What was read stays inside until the gate opens."""

    def __init__(self, connection: Any, opened: asyncio.Event) -> None:
        self._connection = connection
        self._opened = opened

    async def execute(self, query: Any) -> Any:
        answer = await self._connection.execute(query)
        await self._opened.wait()
        return answer


@pytest.fixture
async def gate(client: httpx.AsyncClient, settings: Settings) -> AsyncIterator[Gate]:
    gate = Gate(settings)
    yield gate
    await gate.stop()


async def _begun(gate: Gate, readers: int) -> None:
    deadline = asyncio.get_running_loop().time() + 5
    while gate.readers < readers:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.001)


async def test_many_who_ask_at_once_cost_one_reading(gate: Gate, catalogue: Any) -> None:
    track_id = await catalogue.track()
    cache = TrackCache(gate)  # type: ignore[arg-type]
    asking = [asyncio.create_task(cache.find(track_id)) for _ in range(50)]
    await _begun(gate, 1)
    asking[0].cancel()
    gate.open.set()
    found = await asyncio.gather(*asking[1:])
    assert {track.id for track in found if track} == {track_id}
    await cache.find(track_id)
    assert gate.readers == 1


async def test_a_change_during_a_reading_is_seen_by_the_next_who_asks(gate: Gate, catalogue: Any) -> None:
    track_id = await catalogue.track()
    cache = TrackCache(gate)  # type: ignore[arg-type]
    early = asyncio.create_task(cache.find(track_id))
    await _begun(gate, 1)
    await catalogue.track(track_id, revision=2, status="withdrawn")
    cache.forget(track_id)
    late = asyncio.create_task(cache.find(track_id))
    await _begun(gate, 2)
    gate.open.set()
    await early
    told = await late
    assert told is not None
    assert told.status == "withdrawn"
    after = await cache.find(track_id)
    assert after is not None
    assert after.status == "withdrawn"
    assert gate.readers == 2


async def test_an_unknown_track_is_asked_for_each_time(gate: Gate, app: FastAPI) -> None:
    cache = TrackCache(gate)  # type: ignore[arg-type]
    gate.open.set()
    unknown: UUID = new_id()
    assert await cache.find(unknown) is None
    assert await cache.find(unknown) is None
    assert gate.readers == 2


async def test_while_the_database_is_away_a_known_track_is_believed_and_no_other(
    gate: Gate, catalogue: Any
) -> None:
    track_id, other = await catalogue.track(), await catalogue.track()
    cache = TrackCache(gate)  # type: ignore[arg-type]
    gate.open.set()
    known = await cache.find(track_id)
    gate.away = True

    async def asked_again() -> bool:
        assert await cache.find(track_id) == known
        return gate.readers > 1

    await eventually(asked_again)
    with pytest.raises(Unavailable):
        await cache.find(other)
    # An event that was handled here is obeyed all the same.
    cache.forget(track_id)
    with pytest.raises(Unavailable):
        await cache.find(track_id)


async def test_what_was_withdrawn_through_another_process_is_not_believed_while_the_database_is_away(
    gate: Gate, catalogue: Any
) -> None:
    withdrawn, other = await catalogue.track(), await catalogue.track()
    cache = TrackCache(gate)  # type: ignore[arg-type]
    gate.open.set()
    await cache.find(withdrawn)
    known = await cache.find(other)
    # The service's own process handles the event; this cache is that of another one.
    await catalogue.track(withdrawn, revision=2, status="withdrawn")
    await cache.confirm()
    gate.away = True
    with pytest.raises(Unavailable):
        await cache.find(withdrawn)
    assert await cache.find(other) == known


async def test_a_service_sees_to_it_that_what_it_remembers_is_still_so(
    app: FastAPI, catalogue: Any, settings: Settings
) -> None:
    track_id = await catalogue.track()
    tracks: TrackCache = app.state.deps.tracks
    await tracks.find(track_id)
    elsewhere = Database(settings.database_url)
    async with elsewhere.write() as session:
        await session.execute(update(TrackRow).where(TrackRow.id == track_id).values(revision=2))
    await elsewhere.stop()

    async def remembered() -> int:
        return len(tracks)

    assert await remembered() == 1
    await eventually(remembered, lambda tracks: tracks == 0)
