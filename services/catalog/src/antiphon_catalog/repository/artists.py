"""Remembers artists."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_catalog.domain.folding import fold
from antiphon_catalog.domain.music import Artist, Tally
from antiphon_catalog.repository.mapping import artist_of, artist_values
from antiphon_catalog.repository.owning import OwnerLock
from antiphon_catalog.repository.upserting import insert_unless_there
from antiphon_catalog.tables import ALBUM_ARTIST, ARTIST, TRACK_ARTIST
from antiphon_common.db import is_conflict
from antiphon_common.errors import Conflict
from antiphon_common.ids import new_id


class SqlArtists:
    """`Artists` in SQL."""

    def __init__(self, session: AsyncSession, owner: OwnerLock) -> None:
        self._session = session
        self._owner = owner

    async def find(self, artist_id: UUID, owner_id: UUID | None = None) -> Artist | None:
        chosen = [ARTIST.c.id == artist_id]
        if owner_id is not None:
            chosen.append(ARTIST.c.owner_id == owner_id)
        return await self._one(*chosen)

    async def find_or_create(self, owner_id: UUID, name: str, *, at: datetime) -> Artist:
        await self._owner.hold(owner_id)
        chosen = (ARTIST.c.owner_id == owner_id, ARTIST.c.name_key == fold(name))
        found = await self._one(*chosen)
        if found:
            return found
        made = Artist(id=new_id(), owner_id=owner_id, name=name, automatic=True, created_at=at)
        unique = ["owner_id", "name_key"]
        if await insert_unless_there(self._session, ARTIST, artist_values(made), unique=unique):
            return made
        # Another unit made it between the two statements.
        found = await self._one(*chosen)
        assert found
        return found

    async def of_owner(self, owner_id: UUID) -> Sequence[Artist]:
        query = select(ARTIST).where(ARTIST.c.owner_id == owner_id).order_by(ARTIST.c.id)
        return [artist_of(row) for row in (await self._session.execute(query.with_for_update())).mappings()]

    async def add(self, artist: Artist) -> None:
        await self._write(insert(ARTIST).values(artist_values(artist)))

    async def save(self, artist: Artist) -> None:
        await self._write(update(ARTIST).where(ARTIST.c.id == artist.id).values(artist_values(artist)))

    async def delete(self, artist_id: UUID) -> None:
        await self._session.execute(delete(ARTIST).where(ARTIST.c.id == artist_id))

    async def tally(self, artist_id: UUID) -> Tally:
        listed = func.sum(TRACK_ARTIST.c.listed.cast(Integer))
        plays = func.sum(TRACK_ARTIST.c.play_count).filter(TRACK_ARTIST.c.listed)
        albums = select(func.count()).where(ALBUM_ARTIST.c.artist_id == artist_id).scalar_subquery()
        query = select(func.count(), func.coalesce(listed, 0), func.coalesce(plays, 0), albums)
        row = await self._session.execute(query.where(TRACK_ARTIST.c.artist_id == artist_id))
        total, listed_total, played, on_albums = row.one()
        return Tally(tracks=total, albums=on_albums, listed_tracks=listed_total, play_count=played)

    async def _one(self, *chosen: ColumnElement[bool]) -> Artist | None:
        row = await self._owner.one(ARTIST, *chosen)
        return artist_of(row) if row else None

    async def _write(self, statement: Any) -> None:
        try:
            await self._session.execute(statement)
        except IntegrityError as error:
            if is_conflict(error, "uq_artist_name", "name_key"):
                raise Conflict("artist_exists", "There is an artist of this name already.") from error
            raise
