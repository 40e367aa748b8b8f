"""Keyset pages: together they are the whole list, with any ties, and each is one walk of an index."""

import itertools
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from antiphon_catalog.ports import Unit
from antiphon_catalog.queries import albums, artists, genres, tracks
from antiphon_catalog.queries.albums import AlbumFilter
from antiphon_catalog.queries.artists import ArtistFilter
from antiphon_catalog.queries.paging import Slice
from antiphon_catalog.queries.tracks import TrackFilter
from antiphon_catalog.tables import AlbumRow, ArtistRow
from antiphon_catalog.usecases.ingesting import apply_upload
from antiphon_catalog.usecases.projecting import apply_likes, apply_plays
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.pages import Page
from antiphon_common.testing.plans import plans_of, sorts
from antiphon_contracts.file import UploadReady
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted

MakeUpload = Callable[..., UploadReady]
OpenUnit = Callable[[Database], AbstractAsyncContextManager[Unit]]
View = Mapping[str, object]

OWNER = new_id()
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def filled(database: Database, unit_on: OpenUnit, upload: MakeUpload) -> Database:
    """Sixty tracks with many ties in every order there is."""
    chance = random.Random(3)
    async with unit_on(database) as unit:
        for number in range(60):
            event_ = upload(
                OWNER if number % 3 else new_id(), title=chance.choice("abÄ"), artists=(chance.choice("XYZ"),),
                album=chance.choice(["One", "Two", None]), genres=chance.choice([("Jazz",), ("Jazz", "Pop"), ()]),
                release_date=chance.choice([None, "1999", "2010-05"]), track_number=chance.choice([1, 2, None]),
                visibility=chance.choice(["public", "public", "public", "private"]),
                created_at=START + timedelta(seconds=chance.randrange(5)),
            )  # fmt: skip
            await apply_upload(unit, event_)
            track = await unit.tracks.of_upload(event_.subject)
            assert track
            plays, likes = chance.randrange(3), chance.randrange(3)
            await apply_plays(unit, TrackPlaysCounted(subject=track.id, revision=1, play_count=plays))
            await apply_likes(unit, TrackLikesCounted(subject=track.id, revision=1, like_count=likes))
    return database


async def whole(load: Callable[[Slice], Any], limit: int) -> list[View]:
    items: list[View] = []
    cursor = None
    for _ in range(200):
        page: Page[View] = await load(Slice(limit, cursor))
        items += page.items
        cursor = page.next_cursor
        if cursor is None:
            return items
        assert len(page.items) == limit
    raise AssertionError("the list does not end")


def in_order(items: list[View], field: str, *, descending: bool) -> bool:
    keys = [(str(i[field]).casefold() if field == "title" else i[field], str(i["id"])) for i in items]
    return keys == sorted(keys, reverse=descending)  # type: ignore[type-var]


FILTERS = [
    TrackFilter(), TrackFilter(genre="jazz"), TrackFilter(year_from=2000), TrackFilter(owner_id=OWNER),
    TrackFilter(owner_id=OWNER, genre="pop"),
]  # fmt: skip
SORTS: dict[Any, str] = {
    "recent": "published_at",
    "popular": "play_count",
    "most_liked": "like_count",
    "title": "title",
}


async def test_pages_of_tracks_are_the_whole_list_once_and_in_order(filled: Database) -> None:
    every = await whole(lambda part: tracks.list_tracks(filled, TrackFilter(), "title", part), 100)
    one = every[0]
    artist, album = one["artists"][0]["id"], one["album"]  # type: ignore[index]
    more = [TrackFilter(artist_id=UUID(artist)), TrackFilter(artist_id=UUID(artist), genre="jazz")]
    if album:
        more.append(TrackFilter(album_id=album["id"]))  # type: ignore[index]
    for wanted, sort in itertools.product([*FILTERS, *more], SORTS):

        def load(part: Slice, wanted: TrackFilter = wanted, sort: Any = sort) -> Any:
            return tracks.list_tracks(filled, wanted, sort, part)

        expected = await whole(load, 100)
        field = "created_at" if wanted.owner_id and sort == "recent" else SORTS[sort]
        assert expected
        assert in_order(expected, field, descending=sort != "title"), (sort, wanted)
        assert max(Counter(item["id"] for item in expected).values()) == 1
        for limit in (2, 7):
            assert await whole(load, limit) == expected, (sort, wanted, limit)


async def test_pages_of_artists_albums_and_genres_are_the_whole_list_once(filled: Database) -> None:
    async with filled.read() as connection:
        artist_id = (await connection.execute(select(ArtistRow.id).where(ArtistRow.listed))).scalars().first()
        listed = len((await connection.execute(select(AlbumRow.id).where(AlbumRow.listed))).all())
    assert artist_id
    loads: list[Callable[[Slice], Any]] = [lambda part: genres.list_genres(filled, part)]
    for owner_id in (None, OWNER):
        loads += [
            lambda part, s=sort, o=owner_id: artists.list_artists(filled, ArtistFilter(o), s, part)
            for sort in ("recent", "popular", "name")
        ]
        loads += [
            lambda part, s=sort, o=owner_id: albums.list_albums(filled, AlbumFilter(o), s, part)
            for sort in ("recent", "popular", "title")
        ]
        loads.append(lambda part, o=owner_id: albums.artist_albums(filled, artist_id, AlbumFilter(o), part))
    for load in loads:
        expected = await whole(load, 100)
        assert await whole(load, 1) == expected
        assert await whole(load, 3) == expected
    assert len(await whole(loads[4], 100)) == listed


WALKS: list[tuple[Any, TrackFilter, str]] = [
    ("recent", TrackFilter(), "ix_track_recent"), ("popular", TrackFilter(), "ix_track_popular"),
    ("most_liked", TrackFilter(), "ix_track_liked"), ("title", TrackFilter(), "ix_track_title"),
    ("recent", TrackFilter(genre="jazz"), "ix_track_genre_recent"),
    ("popular", TrackFilter(genre="jazz"), "ix_track_genre_popular"),
    ("most_liked", TrackFilter(genre="jazz"), "ix_track_genre_liked"),
    ("title", TrackFilter(genre="jazz"), "ix_track_genre_title"),
    ("recent", TrackFilter(owner_id=OWNER), "ix_track_owner"),
    ("popular", TrackFilter(artist_id=OWNER), "ix_track_artist_popular"),
]  # fmt: skip


async def test_a_page_far_down_is_one_query_and_one_walk_of_an_index(filled: Database) -> None:
    async with filled.read() as connection:
        ids = await connection.execute(select(ArtistRow.id).order_by(ArtistRow.track_count.desc()))
    somebody = ids.scalars().first()
    for sort, shown, index in WALKS:
        wanted = replace(shown, artist_id=somebody) if shown.artist_id else shown
        first = await tracks.list_tracks(filled, wanted, sort, Slice(1))
        async with plans_of(filled) as plans:
            await tracks.list_tracks(filled, wanted, sort, Slice(1, first.next_cursor))
        [plan] = plans
        assert index in plan, plan
        # Both halves of the cursor's pair narrow the index, not only its first column.
        assert re.search(r",(track_)?id\)|, (track_)?id\) <|, (track_)?id\) >", plan), plan
        assert not sorts(plan), plan
        assert "SCAN" not in plan, plan
        assert "Seq Scan" not in plan, plan


async def test_a_list_of_one_album_or_artist_never_walks_all_tracks(filled: Database) -> None:
    walked = "ix_track_recent", "ix_track_popular", "ix_track_liked", "ix_track_title"
    for sort in SORTS:
        for wanted in (TrackFilter(album_id=new_id()), TrackFilter(artist_id=new_id())):
            async with plans_of(filled) as plans:
                await tracks.list_tracks(filled, wanted, sort, Slice(20))
            [plan] = plans
            assert not any(name in plan for name in ("SCAN", "Seq Scan", *walked)), plan


async def test_plays_that_change_between_pages_neither_repeat_nor_break_a_list(filled: Database) -> None:
    first = await tracks.list_tracks(filled, TrackFilter(), "popular", Slice(5))
    async with filled.write() as session:
        await session.execute(text("UPDATE track SET play_count = play_count + 1 WHERE play_count = 0"))
    seen = [item["id"] for item in first.items]
    rest = await tracks.list_tracks(filled, TrackFilter(), "popular", Slice(100, first.next_cursor))
    assert not set(seen) & {item["id"] for item in rest.items}
