"""Covers kept in the store: one for an album, none that is no good, nothing left when the store fails."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from antiphon_common.blobs import open_blobs
from antiphon_common.bus import open_bus
from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.db.outbox import Relay
from antiphon_common.ids import new_id
from antiphon_common.logs import open_log
from antiphon_file.adapters.gallery import BlobGallery
from antiphon_file.domain import Analysis, Picture, Quota, Refused, image_key
from antiphon_file.repository import unit_of_work
from antiphon_file.settings import Settings
from antiphon_file.tables import OUTBOX


class FakeReader:
    """Finds the same cover in every file, or refuses it."""

    def __init__(self) -> None:
        self.covers = 0
        self.refuses = False

    async def analyse(self, path: Path) -> Analysis:
        raise NotImplementedError

    async def embedded_cover(self, path: Path) -> Picture:
        self.covers += 1
        await asyncio.sleep(0)  # others get their turn, as they would with a real child
        if self.refuses:
            raise Refused("image_broken")
        return Picture(100, 100, "#112233", {64: b"small", 160: b"large"})

    async def picture(self, path: Path) -> Picture:
        raise NotImplementedError


class Kept:
    """A gallery and what is behind it."""

    def __init__(self, settings: Settings, *, images: int = 9) -> None:
        log = open_log("test", level="error", file=None)
        self.database = Database(settings.database_url)
        self.blobs = open_blobs(settings.blob_url)
        self.reader = FakeReader()
        clock = FixedClock()
        relay = Relay(self.database, OUTBOX, open_bus("inproc:"), log=log)
        units = partial(unit_of_work, self.database, clock, relay, lambda: None)
        quota = Quota(size=0, files=0, images=images)
        self.gallery = BlobGallery(units, self.blobs, self.reader, clock=clock, quota=quota, max_bytes=1000)


@pytest.fixture
async def kept(settings: Settings) -> AsyncIterator[Kept]:
    kept = Kept(settings)
    await kept.blobs.start()
    yield kept
    await kept.database.stop()


async def test_tracks_that_arrive_together_share_one_cover(kept: Kept) -> None:
    owner = new_id()
    wanted = (kept.gallery.keep_cover(owner, "ab" * 32, Path("x")) for _ in range(5))
    images = await asyncio.gather(*wanted)
    first = images[0]
    assert first is not None
    assert {image.id for image in images if image} == {first.id}
    assert kept.reader.covers == 1
    keys = {info.key async for info in kept.blobs.list()}
    assert keys == {image_key(first.id, 64), image_key(first.id, 160)}


async def test_the_same_cover_of_another_person_is_another_image(kept: Kept) -> None:
    mine = await kept.gallery.keep_cover(new_id(), "ab" * 32, Path("x"))
    other = await kept.gallery.keep_cover(new_id(), "ab" * 32, Path("x"))
    assert mine is not None
    assert other is not None
    assert mine.id != other.id


async def test_a_cover_that_is_no_good_or_has_no_room_is_none(settings: Settings, kept: Kept) -> None:
    kept.reader.refuses = True
    assert await kept.gallery.keep_cover(new_id(), "ab" * 32, Path("x")) is None
    full = Kept(settings, images=0)
    assert await full.gallery.keep_cover(new_id(), "ab" * 32, Path("x")) is None
    assert [info async for info in kept.blobs.list()] == []
    await full.database.stop()
