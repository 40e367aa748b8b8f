"""Remembers what other services said: counters, uploaders' names, uploads that are gone."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_catalog.domain.music import Counters, Person
from antiphon_catalog.repository.owning import OwnerLock
from antiphon_catalog.repository.upserting import upsert
from antiphon_catalog.tables import COUNTER, GONE_UPLOAD, PERSON, TRACK, TRACK_ARTIST, TRACK_GENRE
from antiphon_common.db import hold


class SqlCounters:
    """`CountersOfTracks` in SQL."""

    def __init__(self, session: AsyncSession, owner: OwnerLock) -> None:
        self._session = session
        self._owner = owner

    async def of(self, track_id: UUID) -> Counters:
        await self._owner.one(TRACK, TRACK.c.id == track_id)
        # Also for a track that we do not have: plays and likes share the row that is made here.
        await hold(self._session, "counter", track_id)
        query = select(COUNTER).where(COUNTER.c.track_id == track_id).with_for_update()
        row = (await self._session.execute(query)).mappings().one_or_none()
        return Counters(**row) if row else Counters(track_id)

    async def save(self, counters: Counters) -> None:
        values = {name: getattr(counters, name) for name in Counters.__dataclass_fields__}
        await upsert(self._session, COUNTER, values)
        track_id, plays = counters.track_id, {"play_count": counters.play_count}
        both = {**plays, "like_count": counters.like_count}
        await self._session.execute(update(TRACK).where(TRACK.c.id == track_id).values(both))
        for table, values in ((TRACK_GENRE, both), (TRACK_ARTIST, plays)):
            changed = update(table).where(table.c.track_id == track_id).values(values)
            await self._session.execute(changed)


class SqlPeople:
    """`People` in SQL."""

    def __init__(self, session: AsyncSession, owner: OwnerLock) -> None:
        self._session = session
        self._owner = owner

    async def find(self, user_id: UUID) -> Person | None:
        await self._owner.hold(user_id)
        query = select(PERSON).where(PERSON.c.user_id == user_id).with_for_update()
        row = (await self._session.execute(query)).mappings().one_or_none()
        return Person(**row) if row else None

    async def save(self, person: Person) -> None:
        await self._owner.hold(person.user_id)
        values = {name: getattr(person, name) for name in Person.__dataclass_fields__}
        await upsert(self._session, PERSON, values)


class SqlGoneUploads:
    """`GoneUploads` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def has(self, upload_id: UUID) -> bool:
        query = select(GONE_UPLOAD.c.upload_id).where(GONE_UPLOAD.c.upload_id == upload_id)
        return (await self._session.execute(query)).first() is not None

    async def add(self, upload_id: UUID) -> None:
        await upsert(self._session, GONE_UPLOAD, {"upload_id": upload_id})
