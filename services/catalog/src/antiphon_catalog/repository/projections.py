"""Remembers what other services said: counters, uploaders' names, uploads that are gone."""

from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_catalog.domain.music import Counters, Person
from antiphon_catalog.tables import (
    CounterRow,
    GoneUploadRow,
    PersonRow,
    TrackArtistRow,
    TrackGenreRow,
    TrackRow,
)


class SqlCounters:
    """`CountersOfTracks` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def of(self, track_id: UUID) -> Counters:
        row = await self._session.get(CounterRow, track_id, with_for_update=True)
        if row is None:
            return Counters(track_id)
        return Counters(track_id, row.like_count, row.like_revision, row.play_count, row.play_revision)

    async def save(self, counters: Counters) -> None:
        values = {name: getattr(counters, name) for name in Counters.__dataclass_fields__}
        await self._session.merge(CounterRow(**values))
        await self._session.flush()
        likes, plays = {"like_count": counters.like_count}, {"play_count": counters.play_count}
        track_id = counters.track_id
        await self._session.execute(update(TrackRow).where(TrackRow.id == track_id).values(**likes, **plays))
        await self._session.execute(
            update(TrackArtistRow).where(TrackArtistRow.track_id == track_id).values(**plays)
        )
        await self._session.execute(
            update(TrackGenreRow).where(TrackGenreRow.track_id == track_id).values(**likes, **plays)
        )


class SqlPeople:
    """`People` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, user_id: UUID) -> Person | None:
        row = await self._session.get(PersonRow, user_id, with_for_update=True)
        return Person(row.user_id, row.name, row.revision, row.deleted) if row else None

    async def save(self, person: Person) -> None:
        values = {name: getattr(person, name) for name in Person.__dataclass_fields__}
        await self._session.merge(PersonRow(**values))
        await self._session.flush()


class SqlGoneUploads:
    """`GoneUploads` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def has(self, upload_id: UUID) -> bool:
        return await self._session.get(GoneUploadRow, upload_id) is not None

    async def add(self, upload_id: UUID) -> None:
        await self._session.merge(GoneUploadRow(upload_id=upload_id))
        await self._session.flush()
