"""The order of items against a plain list: whatever is done, the database holds the same."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update

from antiphon_common.bus import open_bus
from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.db.outbox import Relay
from antiphon_common.errors import Conflict, Invalid
from antiphon_common.ids import new_id
from antiphon_common.logs import open_log
from antiphon_common.principal import Principal
from antiphon_common.testing.databases import Migrated, idle_relay
from antiphon_playlist import queries, usecases
from antiphon_playlist.domain import MAX_ITEMS, Playlist, Spot, Track
from antiphon_playlist.ports import Unit
from antiphon_playlist.repository import unit_of_work
from antiphon_playlist.tables import OUTBOX, ItemRow, PlaylistRow
from antiphon_playlist.usecases import Addition, PlaylistChange

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
NOW = FixedClock().now()
ADA = Principal(
    user_id=new_id(), roles=frozenset(), session=new_id(), verified=True, issued_at=NOW, authenticated_at=NOW
)
TRACKS = [new_id() for _ in range(4)]
FIELDS = PlaylistChange({"title": "Mix", "description": None, "cover_id": None, "visibility": "private"})


async def make(open_unit: OpenUnit) -> Playlist:
    """An empty playlist, and some tracks."""
    async with open_unit() as unit:
        for track_id in TRACKS:
            await unit.tracks.save(Track(track_id, ADA.user_id, reachable=True, card={}, revision=1))
        return await usecases.create_playlist(unit, ADA, FIELDS, now=NOW)


async def add(
    open_unit: OpenUnit, playlist_id: UUID, tracks: list[UUID], spot: Spot, *, skip: bool = False
) -> list[UUID]:
    """Add tracks; the ids of the new items."""
    addition = Addition(tracks, spot, skip=skip)
    async with open_unit() as unit:
        _, items = await usecases.add_tracks(
            unit, ADA, playlist_id, addition=addition, expected=None, now=NOW
        )
    return [item.id for item in items]


async def move(open_unit: OpenUnit, playlist_id: UUID, item_id: UUID, spot: Spot) -> None:
    async with open_unit() as unit:
        await usecases.move_item(unit, ADA, playlist_id, item_id=item_id, spot=spot, expected=None, now=NOW)


async def stored(database: Database, playlist_id: UUID, *, limit: int = 100) -> list[tuple[UUID, UUID]]:
    """All items and their tracks in order, page by page."""
    found: list[tuple[UUID, UUID]] = []
    cursor = None
    while True:
        page = await queries.items(database, playlist_id, ADA, limit=limit, cursor=cursor)
        found += [(item.item_id, item.track["id"]) for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


async def layout(database: Database, playlist_id: UUID) -> int:
    async with database.read() as connection:
        query = select(PlaylistRow.layout).where(PlaylistRow.id == playlist_id)
        return int((await connection.execute(query)).scalar_one())


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.lists(st.integers(0, 3), min_size=1, max_size=3),
            st.integers(-2, 9),
            st.booleans(),
        ),
        st.tuples(st.just("move"), st.integers(0, 9), st.integers(-1, 9)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("remove_track"), st.integers(0, 3)),
        st.tuples(st.just("spread")),
    ),
    max_size=12,
)


class Model:
    """A plain list that does what the service should do, beside the service doing it."""

    def __init__(self, open_unit: OpenUnit, playlist_id: UUID) -> None:
        self.open_unit = open_unit
        self.playlist_id = playlist_id
        self.items: list[tuple[UUID, UUID]] = []

    async def apply(self, operation: tuple[Any, ...]) -> None:
        name, *arguments = operation
        await getattr(self, name)(*arguments)

    async def add(self, numbers: list[int], at: int, skip: bool) -> None:
        tracks = [TRACKS[number] for number in numbers]
        spot: Spot = "first" if at == -1 else "last"
        index = 0 if at == -1 else len(self.items)
        if 0 <= at < len(self.items):
            spot, index = self.items[at][0], at + 1
        ids = await add(self.open_unit, self.playlist_id, tracks, spot, skip=skip)
        if skip:
            present = {track_id for _, track_id in self.items}
            tracks = [track_id for track_id in dict.fromkeys(tracks) if track_id not in present]
        self.items[index:index] = list(zip(ids, tracks, strict=True))

    async def move(self, source: int, after: int) -> None:
        if not self.items:
            return
        item = self.items[source % len(self.items)]
        anchor = None if after == -1 else self.items[after % len(self.items)]
        await move(self.open_unit, self.playlist_id, item[0], anchor[0] if anchor else "first")
        if anchor != item:
            self.items.remove(item)
            self.items.insert(self.items.index(anchor) + 1 if anchor else 0, item)

    async def remove(self, source: int) -> None:
        if not self.items:
            return
        item = self.items.pop(source % len(self.items))
        async with self.open_unit() as unit:
            await usecases.remove_item(unit, ADA, self.playlist_id, item_id=item[0], expected=None, now=NOW)

    async def remove_track(self, number: int) -> None:
        track_id = TRACKS[number]
        if track_id not in [track for _, track in self.items]:
            return
        self.items = [item for item in self.items if item[1] != track_id]
        async with self.open_unit() as unit:
            await usecases.remove_track(
                unit, ADA, self.playlist_id, track_id=track_id, expected=None, now=NOW
            )

    async def spread(self) -> None:
        async with self.open_unit() as unit:
            await unit.items.spread(self.playlist_id)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_any_sequence_of_changes_leaves_exactly_the_order_that_was_asked_for(
    operations: list[tuple[Any, ...]], migrated: Migrated
) -> None:
    url = migrated("antiphon_playlist")

    async def run() -> None:
        database = Database(url)
        await database.start()
        relay = idle_relay(database, OUTBOX)
        open_unit: OpenUnit = lambda: unit_of_work(database, FixedClock(), relay)  # noqa: E731
        model = Model(open_unit, (await make(open_unit)).id)
        for operation in operations:
            await model.apply(operation)
        assert await stored(database, model.playlist_id, limit=2) == model.items
        view = await queries.playlist(database, model.playlist_id, ADA)
        assert view.item_count == len(model.items)
        await database.stop()

    asyncio.run(run())


async def test_forty_insertions_at_one_place_run_out_of_room_and_stay_exact(
    database: Database, open_unit: OpenUnit
) -> None:
    playlist = await make(open_unit)
    first, last = await add(open_unit, playlist.id, [TRACKS[0], TRACKS[1]], "last")
    middle: list[UUID] = []
    for _ in range(40):
        middle = [*await add(open_unit, playlist.id, [TRACKS[2]], first), *middle]
    assert [item_id for item_id, _ in await stored(database, playlist.id)] == [first, *middle, last]
    assert await layout(database, playlist.id) == 1


async def test_endless_moves_between_the_same_neighbours_stay_exact(
    database: Database, open_unit: OpenUnit
) -> None:
    playlist = await make(open_unit)
    a, b, c, d = await add(open_unit, playlist.id, TRACKS, "last")
    for _ in range(35):
        await move(open_unit, playlist.id, c, a)
        await move(open_unit, playlist.id, b, a)
    assert [item_id for item_id, _ in await stored(database, playlist.id)] == [a, b, c, d]
    assert await layout(database, playlist.id) >= 2


async def test_a_page_goes_on_where_it_was_when_items_are_spread_out_meanwhile(
    database: Database, open_unit: OpenUnit
) -> None:
    playlist = await make(open_unit)
    items = await add(open_unit, playlist.id, TRACKS, "last")
    page = await queries.items(database, playlist.id, ADA, limit=2, cursor=None)
    async with open_unit() as unit:
        await unit.items.spread(playlist.id)
        held = await unit.playlists.find(playlist.id)
        assert held is not None
        await unit.playlists.save(replace(held, layout=held.layout + 1))
    rest = await queries.items(database, playlist.id, ADA, limit=2, cursor=page.next_cursor)
    assert [item.item_id for item in rest.items] == items[2:]
    async with open_unit() as unit:
        await usecases.remove_item(unit, ADA, playlist.id, item_id=items[1], expected=None, now=NOW)
    with pytest.raises(Invalid):
        await queries.items(database, playlist.id, ADA, limit=2, cursor=page.next_cursor)


async def test_a_page_goes_on_where_it_was_when_its_last_item_is_moved_or_removed(
    database: Database, open_unit: OpenUnit
) -> None:
    playlist = await make(open_unit)
    items = await add(open_unit, playlist.id, TRACKS, "last")
    page = await queries.items(database, playlist.id, ADA, limit=2, cursor=None)
    await move(open_unit, playlist.id, items[1], items[3])
    rest = await queries.items(database, playlist.id, ADA, limit=3, cursor=page.next_cursor)
    assert [item.item_id for item in rest.items] == [items[2], items[3], items[1]]
    async with open_unit() as unit:
        await usecases.remove_item(unit, ADA, playlist.id, item_id=items[1], expected=None, now=NOW)
    rest = await queries.items(database, playlist.id, ADA, limit=3, cursor=page.next_cursor)
    assert [item.item_id for item in rest.items] == items[2:]


async def test_a_full_playlist_takes_no_more_and_is_still_quick_to_page_and_to_spread(
    database: Database, open_unit: OpenUnit
) -> None:
    playlist = await make(open_unit)
    async with database.write() as session:
        row = {"playlist_id": playlist.id, "track_id": TRACKS[0], "added_by": ADA.user_id, "added_at": NOW}
        rows = [{**row, "id": new_id(), "position": place} for place in range(MAX_ITEMS - 1)]
        await session.execute(insert(ItemRow), rows)
        await session.execute(update(PlaylistRow).values(item_count=MAX_ITEMS - 1))
    with pytest.raises(Conflict):
        await add(open_unit, playlist.id, TRACKS[:2], "last")
    # There is no room at this place, so all the others move.
    (item_id,) = await add(open_unit, playlist.id, TRACKS[:1], rows[4_999]["id"])
    with pytest.raises(Conflict):
        await add(open_unit, playlist.id, TRACKS[:1], "first")
    assert await add(open_unit, playlist.id, TRACKS[:1], "first", skip=True) == []
    found = [found_id for found_id, _ in await stored(database, playlist.id)]
    ids = [row["id"] for row in rows]
    assert found == [*ids[:5_000], item_id, *ids[5_000:]]


async def test_two_processes_that_change_one_playlist_wait_for_each_other(
    database: Database, open_unit: OpenUnit, clock: FixedClock
) -> None:
    playlist = await make(open_unit)
    (first,) = await add(open_unit, playlist.id, TRACKS[:1], "last")
    other = Database(database.url)
    relay = Relay(other, OUTBOX, open_bus("inproc:"), log=open_log("test", level="error"))

    def open_other() -> AbstractAsyncContextManager[Unit]:
        return unit_of_work(other, clock, relay)

    parts = await asyncio.gather(
        *(
            add(opener, playlist.id, [TRACKS[1]], first)
            for opener in (open_unit, open_other)
            for _ in range(8)
        )
    )
    await other.stop()
    found = await stored(database, playlist.id)
    assert found[0][0] == first
    assert sorted(item_id for item_id, _ in found[1:]) == sorted(
        item_id for part in parts for item_id in part
    )
    async with database.read() as connection:
        revision, count = (
            await connection.execute(select(PlaylistRow.revision, PlaylistRow.item_count))
        ).one()
        places = (await connection.execute(select(func.count(ItemRow.position.distinct())))).scalar()
    assert (revision, count, places) == (18, 17, 17)
