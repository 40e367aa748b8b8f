"""What the tables promise: schema, atomicity, erasure, and the events that refill a projection."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.db.migrations import differences, downgrade, migrate
from antiphon_common.errors import Invalid, Unauthenticated
from antiphon_common.ids import new_id
from antiphon_common.pages import encode_cursor
from antiphon_common.principal import Principal
from antiphon_common.testing.plans import plans_of, sorts
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.playlist import PlaylistChanged
from antiphon_contracts.user import ProfileChanged
from antiphon_playlist import queries, usecases
from antiphon_playlist.domain import Playlist, Track
from antiphon_playlist.ports import Unit
from antiphon_playlist.settings import Settings
from antiphon_playlist.tables import OUTBOX, Base, ItemRow, PersonRow, PlaylistRow
from antiphon_playlist.usecases import Addition, PlaylistChange

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
NOW = FixedClock().now()


def person(user_id: UUID | None = None) -> Principal:
    return Principal(
        user_id=user_id or new_id(), roles=frozenset(), session=new_id(), verified=True, issued_at=NOW,
        authenticated_at=NOW,
    )  # fmt: skip


async def make(unit: Unit, owner: Principal, *, items: int = 0) -> Playlist:
    fields = {"title": "Mix", "description": "Slow", "cover_id": new_id(), "visibility": "public"}
    playlist = await usecases.create_playlist(unit, owner, PlaylistChange(fields), now=NOW)
    if items:
        track_id = new_id()
        await unit.tracks.save(Track(track_id, owner.user_id, reachable=True, card={}, revision=1))
        addition = Addition([track_id] * items, "last", skip=False)
        playlist, _ = await usecases.add_tracks(
            unit, owner, playlist.id, addition=addition, expected=None, now=NOW
        )
    return playlist


async def counted(database: Database, table: type[Base]) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


async def announced(database: Database) -> list[tuple[str, int]]:
    """Type and revision of what waits in the outbox."""
    async with database.read() as connection:
        rows = await connection.execute(select(OUTBOX.c.envelope).order_by(OUTBOX.c.seq))
        return [(envelope["type"], envelope["revision"]) for envelope in rows.scalars()]


def test_the_migrations_make_exactly_what_the_models_say(settings: Settings) -> None:
    assert differences(Base.metadata, settings.database_url) == []


def test_the_migrations_can_be_taken_back_and_run_again(settings: Settings) -> None:
    downgrade("antiphon_playlist", settings.database_url)
    migrate("antiphon_playlist", settings.database_url)
    assert differences(Base.metadata, settings.database_url) == []


async def test_a_change_that_fails_leaves_neither_rows_nor_events(
    database: Database, open_unit: OpenUnit
) -> None:
    async def fail_at_the_end() -> None:
        async with open_unit() as unit:
            await make(unit, person(), items=2)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_at_the_end()
    assert await announced(database) == []
    assert [await counted(database, table) for table in (PlaylistRow, ItemRow, PersonRow)] == [0, 0, 0]


async def test_current_events_say_what_every_playlist_is_now(database: Database, open_unit: OpenUnit) -> None:
    ada = person()
    async with open_unit() as unit:
        made = [await make(unit, ada), await make(unit, ada, items=2)]
    events = [event async for event in queries.current_events(database)]
    assert sorted(events, key=lambda event: event.item_count) == [usecases.announcement(one) for one in made]
    assert all(isinstance(event, PlaylistChanged) for event in events)


async def test_a_deleted_account_takes_its_playlists_along_and_only_those(
    database: Database, open_unit: OpenUnit
) -> None:
    ada, eve = person(), person()
    async with open_unit() as unit:
        await usecases.apply_profile(unit, ProfileChanged(subject=ada.user_id, revision=1, name="Ada"))
        await make(unit, ada, items=3)
        await make(unit, ada)
        kept = await make(unit, eve, items=1)
    for _ in range(2):
        async with open_unit() as unit:
            await usecases.erase_account(unit, AccountDeleted(subject=ada.user_id, revision=9))
    page = await queries.public_playlists(database, sort="recent", limit=20, cursor=None)
    assert [view.id for view in page.items] == [kept.id]
    assert await counted(database, ItemRow) == 1
    deletions = [entry for entry in await announced(database) if entry[0] == "playlist.playlist_deleted"]
    assert sorted(deletions) == [("playlist.playlist_deleted", 2), ("playlist.playlist_deleted", 3)]


async def test_nothing_comes_back_to_a_deleted_account(database: Database, open_unit: OpenUnit) -> None:
    ada = person()
    async with open_unit() as unit:
        await usecases.erase_account(unit, AccountDeleted(subject=ada.user_id, revision=2))
        await usecases.apply_profile(unit, ProfileChanged(subject=ada.user_id, revision=99, name="Ada"))
    with pytest.raises(Unauthenticated):
        async with open_unit() as unit:
            await make(unit, ada)
    async with database.read() as connection:
        row = (await connection.execute(select(PersonRow.name, PersonRow.deleted))).one()
    assert tuple(row) == (None, True)


async def test_every_list_is_read_along_its_index_without_sorting(
    database: Database, open_unit: OpenUnit
) -> None:
    ada = person()
    async with open_unit() as unit:
        playlist = await make(unit, ada, items=1)
    some = str(new_id())
    recent, title = encode_cursor("public-recent", (some,)), encode_cursor("public-title", ("x", some))
    place = encode_cursor(f"items-{playlist.id}", (0, 5, some))
    mine = encode_cursor("my-playlists", (some,))
    async with plans_of(database) as plans:
        await queries.my_playlists(database, ada.user_id, limit=20, cursor=mine)
        await queries.public_playlists(database, sort="recent", limit=20, cursor=recent)
        await queries.public_playlists(database, sort="title", limit=20, cursor=title)
        await queries.items(database, playlist.id, ada, limit=20, cursor=place)
    indexes = [
        "ix_playlist_owner",
        "ix_playlist_recent",
        "ix_playlist_title",
        "uq_item_position|autoindex_item",
    ]
    pages = [plan for plan in plans if any(name in plan for index in indexes for name in index.split("|"))]
    for plan, index in zip(pages, indexes, strict=True):
        assert any(name in plan for name in index.split("|")), plan
        assert not sorts(plan), plan


@pytest.mark.parametrize(
    "key", [(0, 1 << 63, "x"), (0, -(1 << 63), "x"), (7, 1, "x"), (1 << 63, 1, "x"), ("0", 1, "x"), (0, 1)]
)
async def test_a_cursor_that_somebody_made_up_is_refused_or_leads_somewhere(
    database: Database, open_unit: OpenUnit, key: tuple[Any, ...]
) -> None:
    ada = person()
    async with open_unit() as unit:
        playlist = await make(unit, ada, items=1)
    cursor = encode_cursor(f"items-{playlist.id}", key)
    with pytest.raises(Invalid):
        await queries.items(database, playlist.id, ada, limit=20, cursor=cursor)
    for scope, sort in (("public-recent", "recent"), ("public-title", "title")):
        with pytest.raises(Invalid):
            await queries.public_playlists(
                database,
                sort=sort,
                limit=20,
                cursor=encode_cursor(scope, ("x", "no uuid")[-1 if sort == "recent" else 0 :]),
            )
