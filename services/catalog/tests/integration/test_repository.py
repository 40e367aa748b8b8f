"""Finding or making, told twice, in parallel and in any order; counts that equal their sets."""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from antiphon_catalog.consumers import HANDLERS
from antiphon_catalog.domain.credits import Credit
from antiphon_catalog.ports import Unit
from antiphon_catalog.queries import current_events
from antiphon_catalog.settings import Settings
from antiphon_catalog.tables import (
    OUTBOX,
    AlbumArtistRow,
    AlbumRow,
    ArtistRow,
    Base,
    GenreRow,
    TrackArtistRow,
    TrackGenreRow,
    TrackRow,
    WaveformRow,
)
from antiphon_common.db import Database
from antiphon_common.db.migrations import differences
from antiphon_common.errors import Unavailable
from antiphon_common.ids import new_id
from antiphon_contracts.catalog import AlbumChanged, ArtistChanged, TrackChanged
from antiphon_contracts.event import Event
from antiphon_contracts.file import UploadDeleted, UploadReady
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted

MakeUpload = Callable[..., UploadReady]
OpenUnit = Callable[[Database], AbstractAsyncContextManager[Unit]]
AT = datetime(2026, 1, 1, tzinfo=UTC)


async def apply(unit_on: OpenUnit, database: Database, events: Sequence[Event]) -> None:
    for event in events:
        async with unit_on(database) as unit:
            await HANDLERS[type(event)](unit, event)


async def count(database: Database, table: type[Base]) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


def test_the_migration_and_the_models_say_the_same(settings: Settings) -> None:
    assert differences(Base.metadata, settings.database_url) == []


async def test_the_same_artist_and_album_wanted_by_many_at_once_are_made_once(
    database: Database, rival: Database, unit_on: OpenUnit
) -> None:
    owner = new_id()

    async def want(where: Database, name: str) -> tuple[object, object]:
        async with unit_on(where) as unit:
            artist = await unit.artists.find_or_create(owner, name, at=AT)
            credits_ = (Credit(artist.id, artist.name),)
            album = await unit.albums.find_or_create(owner, "One", credits_, kind="album", at=AT)
            return artist.id, album.id

    wanted = zip(itertools.cycle([database, rival]), ["Ada", "ADA", "ada"] * 5, strict=False)
    found = await asyncio.gather(*(want(where, name) for where, name in wanted))
    assert len(set(found)) == 1
    assert (await count(database, ArtistRow), await count(database, AlbumRow)) == (1, 1)


async def test_uploads_told_in_parallel_and_twice_are_one_track_each(
    database: Database, rival: Database, unit_on: OpenUnit, upload: MakeUpload
) -> None:
    owner = new_id()
    events = [upload(owner, title=str(n), album="One", genres=("Jazz",)) for n in range(8)]
    await asyncio.gather(
        *(apply(unit_on, where, random.Random(seed).sample(events, len(events)))
          for seed, where in enumerate([database, rival, database, rival]))
    )  # fmt: skip
    assert await count(database, TrackRow) == 8
    await check(database)


async def test_any_order_of_the_same_events_ends_in_the_same_catalogue(
    database: Database, unit_on: OpenUnit, upload: MakeUpload
) -> None:
    seen = set()
    for order in itertools.permutations(range(4)):
        owner, uploads = new_id(), [new_id() for _ in range(2)]
        events = [
            upload(owner, upload_id=uploads[0], title="kept", album="One", genres=("Jazz",)),
            upload(owner, upload_id=uploads[1], title="gone", album="One", genres=("Jazz",)),
            UploadDeleted(subject=uploads[1], revision=2, owner_id=owner),
            upload(owner, upload_id=uploads[0], title="kept", album="One", genres=("Jazz",)),
        ]
        await apply(unit_on, database, [events[index] for index in order])
        async with unit_on(database) as unit:
            tracks = await unit.tracks.of_owner(owner)
            (album,) = await unit.albums.of_owner(owner)
            (artist,) = await unit.artists.of_owner(owner)
        seen.add((tuple(t.title for t in tracks), album.track_count, artist.track_count, artist.listed))
    assert seen == {(("kept",), 1, 1, True)}
    await check(database)


async def test_counts_that_arrive_before_their_track_are_kept(
    database: Database, unit_on: OpenUnit, upload: MakeUpload
) -> None:
    early = new_id()
    await apply(
        unit_on, database,
        [
            TrackPlaysCounted(subject=early, revision=2, play_count=5),
            TrackLikesCounted(subject=early, revision=1, like_count=3),
            TrackPlaysCounted(subject=early, revision=1, play_count=4),
        ],
    )  # fmt: skip
    async with unit_on(database) as unit:
        counters = await unit.counters.of(early)
    assert (counters.play_count, counters.like_count) == (5, 3)


async def test_after_a_random_life_every_count_equals_its_set(
    database: Database, unit_on: OpenUnit, upload: MakeUpload
) -> None:
    chance = random.Random(7)
    owners, uploads = [new_id(), new_id()], [new_id() for _ in range(12)]
    for step in range(150):
        await apply(unit_on, database, [await _something(chance, owners, uploads, step, database, upload)])
    await check(database)


async def _something(
    chance: random.Random, owners: list, uploads: list, step: int, database: Database, upload: MakeUpload
) -> Event:  # fmt: skip
    index = chance.randrange(len(uploads))
    owner = owners[index % 2]
    if chance.random() < 0.2:
        gone, uploads[index] = uploads[index], new_id()
        return UploadDeleted(subject=gone, revision=2, owner_id=owner)
    if chance.random() < 0.4:
        async with database.read() as connection:
            ids = list((await connection.execute(select(TrackRow.id))).scalars())
        track_id = chance.choice([*ids, new_id()])
        kind = chance.choice([TrackPlaysCounted, TrackLikesCounted])
        field = "play_count" if kind is TrackPlaysCounted else "like_count"
        return kind.model_validate({"subject": track_id, "revision": step + 1, field: chance.randrange(50)})
    return upload(
        owner, upload_id=uploads[index], title=chance.choice(["x", "y (feat. C)"]),
        artists=chance.choice([(), ("A",), ("A", "B"), ("B feat. A",)]), album=chance.choice([None, "One", "Two"]),
        compilation=chance.random() < 0.3, genres=chance.choice([(), ("Jazz",), ("Jazz", "Pop")]),
        visibility=chance.choice(["public", "public", "private", "unlisted"]),
    )  # fmt: skip


async def check(database: Database) -> None:
    """Every derived value against the tracks it is derived from."""
    async with database.read() as connection:
        tracks = (await connection.execute(select(TrackRow.__table__))).mappings().all()
        artists = (await connection.execute(select(ArtistRow.__table__))).mappings().all()
        albums = (await connection.execute(select(AlbumRow.__table__))).mappings().all()
        genres = dict((await connection.execute(select(GenreRow.key, GenreRow.track_count))).all())
        links = (await connection.execute(select(TrackArtistRow.__table__))).mappings().all()
        by_genre = (await connection.execute(select(TrackGenreRow.__table__))).mappings().all()
        on_albums = set((await connection.execute(select(AlbumArtistRow.artist_id))).scalars())
        waveforms = set((await connection.execute(select(WaveformRow.track_id))).scalars())
    assert waveforms == {t["id"] for t in tracks}
    for track in tracks:
        assert track["listed"] == (track["status"] == "published" and track["visibility"] == "public")
        mine = [link for link in links if link["track_id"] == track["id"]]
        assert {str(link["artist_id"]) for link in mine} == {c["id"] for c in track["credits"]}
        assert {(x["listed"], x["play_count"]) for x in mine} <= {(track["listed"], track["play_count"])}
        repeated = [g for g in by_genre if g["track_id"] == track["id"]]
        assert {g["genre_key"] for g in repeated} == {name.casefold() for name in track["genres"]}
        for name in ("listed", "published_at", "play_count", "like_count", "title_key"):
            assert {g[name] for g in repeated} <= {track[name]}
    for artist in artists:
        held = [t for t in tracks if str(artist["id"]) in {c["id"] for c in t["credits"]}]
        assert held or artist["id"] in on_albums
        _check_counts(artist, [t for t in held if t["listed"]])
    for album in albums:
        held = [t for t in tracks if t["album_id"] == album["id"]]
        assert held
        _check_counts(album, [t for t in held if t["listed"]])
    for key, number in genres.items():
        assert number == len([g for g in by_genre if g["genre_key"] == key and g["listed"]])


def _check_counts(row, listed) -> None:  # type: ignore[no-untyped-def]
    assert (row["listed"], row["track_count"]) == (bool(listed), len(listed))
    assert row["play_count"] == sum(t["play_count"] for t in listed)
    assert row["revision"] >= 1


async def test_the_present_state_can_be_told_again(
    database: Database, unit_on: OpenUnit, upload: MakeUpload
) -> None:
    await apply(unit_on, database, [upload(album="One"), upload(title=None, visibility="private")])
    events = [event async for event in current_events(database)]
    kinds = [type(event) for event in events]
    assert kinds == [ArtistChanged, ArtistChanged, AlbumChanged, TrackChanged, TrackChanged]
    async with database.read() as connection:
        told = list((await connection.execute(select(OUTBOX.c.envelope))).scalars())
    assert sorted(e["data"]["subject"] for e in told) == sorted(str(e.subject) for e in events)
    for event in events:
        assert event.model_dump(mode="json") in [envelope["data"] for envelope in told]


async def test_a_newer_analysis_of_an_upload_replaces_its_audio_and_nothing_else(
    database: Database, unit_on: OpenUnit, upload: MakeUpload
) -> None:
    first = upload(title="Song")
    newer = upload(
        first.owner_id, upload_id=first.subject, revision=2, title="Other", duration_ms=1
    ).model_copy(update={"waveform": "BBBB"})
    await apply(unit_on, database, [first, newer, first])
    async with unit_on(database) as unit:
        track = await unit.tracks.of_upload(first.subject)
    assert track
    assert (track.title, track.audio.duration_ms, track.revision) == ("Song", 1, 2)
    async with database.read() as connection:
        assert (await connection.execute(select(WaveformRow.data))).scalars().all() == ["BBBB"]


async def test_a_second_track_of_one_upload_is_asked_to_try_again_later(
    database: Database, unit_on: OpenUnit, upload: MakeUpload
) -> None:
    event = upload()
    await apply(unit_on, database, [event])
    async with unit_on(database) as unit:
        track = await unit.tracks.of_upload(event.subject)
    assert track
    with pytest.raises(Unavailable) as refused:
        async with unit_on(database) as unit:
            await unit.tracks.add(replace(track, id=new_id()), "AAAA")
    assert refused.value.code == "upload_in_progress"
    await check(database)
