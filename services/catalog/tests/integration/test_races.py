"""Units on the same owner's things at once: none is lost, none waits in a circle, and counts equal their sets."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from sqlalchemy import func, select

from antiphon_catalog.consumers import HANDLERS
from antiphon_catalog.ports import Unit
from antiphon_catalog.tables import (
    COUNTER,
    AlbumRow,
    ArtistRow,
    GenreRow,
    TrackArtistRow,
    TrackGenreRow,
    TrackRow,
)
from antiphon_catalog.usecases.ingesting import apply_upload, forget_upload
from antiphon_catalog.usecases.projecting import apply_likes, apply_plays, apply_profile, erase_account
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.testing.races import raced
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.event import Event
from antiphon_contracts.file import UploadDeleted, UploadReady
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted
from antiphon_contracts.user import ProfileChanged

MakeUpload = Callable[..., UploadReady]
OpenUnit = Callable[[Database], AbstractAsyncContextManager[Unit]]


async def test_plays_and_likes_of_a_track_not_heard_of_yet_are_both_kept(
    database: Database, unit_on: OpenUnit
) -> None:
    track_id = new_id()
    await raced(
        partial(unit_on, database),
        lambda unit: apply_plays(unit, TrackPlaysCounted(subject=track_id, revision=1, play_count=7)),
        lambda unit: apply_likes(unit, TrackLikesCounted(subject=track_id, revision=1, like_count=3)),
    )
    async with database.read() as connection:
        rows = (await connection.execute(select(COUNTER.c.play_count, COUNTER.c.like_count))).all()
    assert [tuple(row) for row in rows] == [(7, 3)]


async def test_an_upload_that_is_deleted_while_it_becomes_a_track_leaves_none(
    database: Database, unit_on: OpenUnit, upload: MakeUpload
) -> None:
    for deleted_first in (False, True):
        ready = upload()
        gone = UploadDeleted(subject=ready.subject, revision=2, owner_id=ready.owner_id)
        make = partial(_late, apply_upload, ready)
        forget = partial(_late, forget_upload, gone)
        await raced(partial(unit_on, database), *((forget, make) if deleted_first else (make, forget)))
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(TrackRow))).scalar_one() == 0


async def test_an_account_that_is_erased_while_it_uploads_leaves_nothing(
    database: Database, unit_on: OpenUnit, upload: MakeUpload
) -> None:
    for erased_first in (False, True):
        owner = new_id()
        make = partial(_late, apply_upload, upload(owner))
        erase = partial(_late, erase_account, AccountDeleted(subject=owner, revision=5))
        await raced(partial(unit_on, database), *((erase, make) if erased_first else (make, erase)))
    async with database.read() as connection:
        for row in (TrackRow, ArtistRow, AlbumRow):
            assert (await connection.execute(select(func.count()).select_from(row))).scalar_one() == 0


async def test_a_name_does_not_bring_an_account_back_that_is_being_erased(
    database: Database, unit_on: OpenUnit
) -> None:
    owner = new_id()
    erase = partial(_late, erase_account, AccountDeleted(subject=owner, revision=1))
    named = partial(_late, apply_profile, ProfileChanged(subject=owner, revision=9, name="Ada"))
    await raced(partial(unit_on, database), erase, named)
    async with unit_on(database) as unit:
        person = await unit.people.find(owner)
    assert person is not None
    assert (person.name, person.deleted) == ("", True)


async def _late(handle: Callable[..., object], event: Event, unit: Unit) -> None:
    await handle(unit, event)  # type: ignore[misc]


async def test_everything_at_once_waits_in_no_circle_and_counts_equal_their_sets(
    database: Database, rival: Database, unit_on: OpenUnit, upload: MakeUpload
) -> None:
    dice = random.Random(5)
    owners = [new_id(), new_id()]
    ready = [
        upload(
            dice.choice(owners), title=f"Song {number}", artists=tuple(dice.sample(["X", "Y", "Z"], 2)),
            album=dice.choice(["One", "Two"]), album_artist=dice.choice(["X", "Y"]),
            genres=tuple(dice.sample(["Jazz", "Pop", "Rock", "Dub"], 2)),
        )
        for number in range(24)
    ]  # fmt: skip
    slots = asyncio.Semaphore(4)

    async def handle(number: int, event: Event) -> None:
        async with slots, unit_on([database, rival][number % 2]) as unit:
            await HANDLERS[type(event)](unit, event)

    await asyncio.gather(*(handle(*each) for each in enumerate(ready)))
    async with database.read() as connection:
        ids = (await connection.execute(select(TrackRow.id))).scalars().all()
    later: list[Event] = [
        UploadDeleted(subject=each.subject, revision=2, owner_id=each.owner_id) for each in ready[:12]
    ]
    later += [TrackPlaysCounted(subject=each, revision=1, play_count=dice.randrange(9)) for each in ids]
    later += [TrackLikesCounted(subject=each, revision=1, like_count=dice.randrange(9)) for each in ids]
    later += [each.model_copy(update={"revision": 2, "waveform": "BBBB"}) for each in ready[12:]]
    dice.shuffle(later)
    # Nothing is tried again here: a circle of waiting units would raise.
    await asyncio.gather(*(handle(*each) for each in enumerate(later)))
    async with database.read() as connection:
        listed = {
            row.artist_id: (row.count, row.plays)
            for row in await connection.execute(
                select(TrackArtistRow.artist_id, func.count().label("count"), func.sum(TrackArtistRow.play_count).label("plays"))
                .where(TrackArtistRow.listed).group_by(TrackArtistRow.artist_id)
            )
        }  # fmt: skip
        shown = await connection.execute(select(ArtistRow.id, ArtistRow.track_count, ArtistRow.play_count))
        assert {row.id: (row.track_count, row.play_count) for row in shown} == listed
        by_genre = select(TrackGenreRow.genre_key, func.count()).where(TrackGenreRow.listed)
        counted = {
            row[0]: row[1] for row in await connection.execute(by_genre.group_by(TrackGenreRow.genre_key))
        }
        genres = await connection.execute(
            select(GenreRow.key, GenreRow.track_count).where(GenreRow.track_count > 0)
        )
        assert {row.key: row.track_count for row in genres} == counted
