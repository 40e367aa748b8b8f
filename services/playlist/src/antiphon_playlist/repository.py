"""Remembers playlists: rows in, dataclasses out."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast
from uuid import UUID

from sqlalchemy import BigInteger, CursorResult, delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.clock import Clock
from antiphon_common.db import Database, get_locked, inbox, insert_for, outbox
from antiphon_contracts.event import Event
from antiphon_playlist.domain import GAP, Item, Person, Playlist, Spot, Track, Visibility, spread_from
from antiphon_playlist.tables import INBOX, OUTBOX, ItemRow, PersonRow, PlaylistRow, TrackRow


class SqlPlaylists:
    """`Playlists` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, playlist_id: UUID) -> Playlist | None:
        row = await self._session.get(PlaylistRow, playlist_id, with_for_update=True)
        return _playlist(row) if row else None

    async def of_owner(self, owner_id: UUID) -> Sequence[Playlist]:
        query = select(PlaylistRow).where(PlaylistRow.owner_id == owner_id).order_by(PlaylistRow.id)
        return [_playlist(row) for row in await self._session.scalars(query.with_for_update())]

    async def save(self, playlist: Playlist) -> None:
        await self._session.merge(_row(playlist))
        await self._session.flush()

    async def delete(self, playlist_id: UUID) -> None:
        await self._session.execute(delete(PlaylistRow).where(PlaylistRow.id == playlist_id))


class SqlItems:
    """`Items` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, playlist_id: UUID, item_id: UUID) -> Item | None:
        query = select(ItemRow).where(ItemRow.id == item_id, ItemRow.playlist_id == playlist_id)
        # Positions are also written by statements, so what the session remembers of a row is not asked.
        row = await self._session.scalar(query, execution_options={"populate_existing": True})
        return _item(row) if row else None

    async def neighbours(
        self, playlist_id: UUID, spot: Spot, *, without: UUID | None = None
    ) -> tuple[int | None, int | None] | None:
        here = ItemRow.playlist_id == playlist_id
        others = here if without is None else here & (ItemRow.id != without)
        lowest, highest = func.min(ItemRow.position), func.max(ItemRow.position)
        if spot == "first":
            return None, await self._session.scalar(select(lowest).where(others))
        if spot == "last":
            return await self._session.scalar(select(highest).where(others)), None
        low = await self._session.scalar(select(ItemRow.position).where(here, ItemRow.id == spot))
        if low is None:
            return None
        return low, await self._session.scalar(select(lowest).where(others, ItemRow.position > low))

    async def present(self, playlist_id: UUID, track_ids: Sequence[UUID]) -> frozenset[UUID]:
        query = select(ItemRow.track_id).where(
            ItemRow.playlist_id == playlist_id, ItemRow.track_id.in_(track_ids)
        )
        return frozenset(await self._session.scalars(query))

    async def add(self, items: Sequence[Item]) -> None:
        rows = [{name: getattr(item, name) for name in ItemRow.__table__.columns.keys()} for item in items]  # noqa: SIM118
        await self._session.execute(insert(ItemRow), rows)

    async def move(self, item_id: UUID, position: int) -> None:
        await self._session.execute(update(ItemRow).where(ItemRow.id == item_id).values(position=position))

    async def remove(self, item_id: UUID) -> None:
        await self._session.execute(delete(ItemRow).where(ItemRow.id == item_id))

    async def remove_track(self, playlist_id: UUID, track_id: UUID) -> int:
        statement = delete(ItemRow).where(ItemRow.playlist_id == playlist_id, ItemRow.track_id == track_id)
        return cast("CursorResult[object]", await self._session.execute(statement)).rowcount

    async def spread(self, playlist_id: UUID) -> None:
        here = ItemRow.playlist_id == playlist_id
        extent = select(func.min(ItemRow.position), func.max(ItemRow.position), func.count()).where(here)
        lowest, highest, count = (await self._session.execute(extent)).one()
        if count == 0:
            return
        rank = func.row_number().over(order_by=ItemRow.position) - 1
        ranked = select(ItemRow.id.label("id"), rank.label("rank")).where(here).subquery()
        # Typed, because Postgres would take the numbers for 32-bit ones.
        start = literal(spread_from(lowest, highest, count), BigInteger)
        spread = start + literal(GAP, BigInteger) * ranked.c.rank
        statement = update(ItemRow).where(ItemRow.id == ranked.c.id).values(position=spread)
        await self._session.execute(statement, execution_options={"synchronize_session": False})


class SqlTracks:
    """`Tracks` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, track_ids: Sequence[UUID]) -> Mapping[UUID, Track]:
        rows = await self._session.scalars(select(TrackRow).where(TrackRow.id.in_(track_ids)))
        return {row.id: _track(row) for row in rows}

    async def hold(self, track_id: UUID) -> Track | None:
        row = await get_locked(self._session, TrackRow, track_id)
        return _track(row) if row else None

    async def save(self, track: Track) -> None:
        row = TrackRow(
            id=track.id, owner_id=track.owner_id, reachable=track.reachable, card=dict(track.card),
            revision=track.revision, deleted=track.deleted,
        )  # fmt: skip
        await self._session.merge(row)


class SqlPeople:
    """`People` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def hold(self, user_id: UUID) -> Person:
        # Only a row that exists can be locked.
        empty = insert_for(self._session, PersonRow).values(user_id=user_id, revision=0, deleted=False)
        await self._session.execute(empty.on_conflict_do_nothing())
        row = await self._session.get_one(PersonRow, user_id, with_for_update=True)
        return Person(row.user_id, row.name, row.revision, row.deleted)

    async def save(self, person: Person) -> None:
        row = PersonRow(
            user_id=person.user_id, name=person.name, revision=person.revision, deleted=person.deleted
        )
        await self._session.merge(row)


class SqlUnit:
    """One transaction of this service."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self.playlists = SqlPlaylists(session)
        self.items = SqlItems(session)
        self.tracks = SqlTracks(session)
        self.people = SqlPeople(session)
        self.announced = False

    async def announce(self, *events: Event) -> None:
        self.announced = True
        await outbox.announce(self._session, OUTBOX, events, self._clock)

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        return await inbox.first_time(self._session, INBOX, consumer, event_ids, self._clock)


@asynccontextmanager
async def unit_of_work(database: Database, clock: Clock, relay: outbox.Relay) -> AsyncIterator[SqlUnit]:
    """Open a unit; it is committed when the block ends, and then the relay is told."""
    async with database.write() as session:
        unit = SqlUnit(session, clock)
        yield unit
    if unit.announced:
        relay.wake()


def _playlist(row: PlaylistRow) -> Playlist:
    return Playlist(
        id=row.id,
        owner_id=row.owner_id,
        title=row.title,
        description=row.description,
        cover_id=row.cover_id,
        visibility=cast(Visibility, row.visibility),
        item_count=row.item_count,
        revision=row.revision,
        layout=row.layout,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _row(playlist: Playlist) -> PlaylistRow:
    names = [name for name in PlaylistRow.__table__.columns.keys() if name != "title_key"]  # noqa: SIM118
    values = {name: getattr(playlist, name) for name in names}
    return PlaylistRow(**values, title_key=playlist.title.casefold()[:300])


def _item(row: ItemRow) -> Item:
    return Item(row.id, row.playlist_id, row.track_id, row.position, row.added_by, row.added_at)


def _track(row: TrackRow) -> Track:
    return Track(row.id, row.owner_id, row.reachable, row.card, row.revision, row.deleted)
