"""Events about the same track that two instances handle at the same moment."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from antiphon_common.bus import open_bus
from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.db.outbox import Relay
from antiphon_common.ids import new_id
from antiphon_common.logs import open_log
from antiphon_common.testing.races import raced
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_stream import usecases
from antiphon_stream.repository import unit_of_work
from antiphon_stream.settings import Settings
from antiphon_stream.tables import OUTBOX, TrackRow


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings.database_url)
    yield database
    await database.stop()


@pytest.fixture
def open_unit(database: Database, clock: FixedClock) -> Any:
    relay = Relay(database, OUTBOX, open_bus("inproc:"), log=open_log("test", level="error"))
    return partial(unit_of_work, database, clock, relay, lambda _: None)


def changed(track_id: UUID, revision: int) -> TrackChanged:
    audio = {
        "blob_key": f"audio/{revision}", "mime": "audio/mpeg", "codec": "mp3", "bytes": 1, "sha256": "0",
        "bitrate": 1, "sample_rate": 44_100, "channels": 2, "duration_ms": 1,
    }  # fmt: skip
    return TrackChanged.model_validate(
        {
            "subject": track_id, "revision": revision, "owner_id": new_id(), "upload_id": new_id(),
            "status": "published", "visibility": "public", "title": "T", "artists": [], "audio": audio,
            "created_at": "2026-01-01T00:00:00Z",
        }
    )  # fmt: skip


async def known(database: Database) -> list[tuple[object, ...]]:
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(select(TrackRow.revision, TrackRow.deleted))]


async def test_of_two_first_events_of_a_track_the_newer_one_wins(database: Database, open_unit: Any) -> None:
    track_id = new_id()
    await raced(
        open_unit,
        lambda unit: usecases.apply_track(unit, changed(track_id, 3)),
        lambda unit: usecases.apply_track(unit, changed(track_id, 2)),
    )
    assert await known(database) == [(3, False)]


async def test_a_track_that_is_deleted_at_the_moment_it_is_heard_of_stays_deleted(
    database: Database, open_unit: Any
) -> None:
    track_id = new_id()
    gone = TrackDeleted(subject=track_id, revision=3, owner_id=new_id(), upload_id=new_id())
    await raced(
        open_unit,
        lambda unit: usecases.forget_track(unit, gone),
        lambda unit: usecases.apply_track(unit, changed(track_id, 2)),
    )
    assert await known(database) == [(3, True)]
