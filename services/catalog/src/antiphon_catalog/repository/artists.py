"""Remembers artists."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Integer, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_catalog.domain.folding import fold
from antiphon_catalog.domain.music import Artist, Tally
from antiphon_catalog.repository.mapping import artist_of, artist_values
from antiphon_catalog.tables import AlbumArtistRow, ArtistRow, TrackArtistRow
from antiphon_common.db import is_conflict
from antiphon_common.errors import Conflict
from antiphon_common.ids import new_id


class SqlArtists:
    """`Artists` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, artist_id: UUID, owner_id: UUID | None = None) -> Artist | None:
        query = select(ArtistRow).where(ArtistRow.id == artist_id)
        if owner_id is not None:
            query = query.where(ArtistRow.owner_id == owner_id)
        row = (await self._session.scalars(query.with_for_update())).one_or_none()
        return artist_of(row) if row else None

    async def find_or_create(self, owner_id: UUID, name: str, *, at: datetime) -> Artist:
        made = Artist(id=new_id(), owner_id=owner_id, name=name, automatic=True, created_at=at)
        dialect = postgresql if self._session.get_bind().dialect.name == "postgresql" else sqlite
        # Inserting first leaves no moment between looking and making, on any database.
        row = dialect.insert(ArtistRow).values(artist_values(made))
        await self._session.execute(row.on_conflict_do_nothing(index_elements=["owner_id", "name_key"]))
        query = select(ArtistRow).where(ArtistRow.owner_id == owner_id, ArtistRow.name_key == fold(name))
        return artist_of((await self._session.scalars(query.with_for_update())).one())

    async def of_owner(self, owner_id: UUID) -> Sequence[Artist]:
        query = select(ArtistRow).where(ArtistRow.owner_id == owner_id).order_by(ArtistRow.id)
        return [artist_of(row) for row in await self._session.scalars(query.with_for_update())]

    async def save(self, artist: Artist) -> None:
        try:
            await self._session.merge(ArtistRow(**artist_values(artist)))
            await self._session.flush()
        except IntegrityError as error:
            if is_conflict(error, "uq_artist_name", "name_key"):
                raise Conflict("artist_exists", "There is an artist of this name already.") from error
            raise

    async def delete(self, artist_id: UUID) -> None:
        await self._session.execute(delete(ArtistRow).where(ArtistRow.id == artist_id))

    async def tally(self, artist_id: UUID) -> Tally:
        listed = func.sum(TrackArtistRow.listed.cast(Integer))
        plays = func.sum(TrackArtistRow.play_count).filter(TrackArtistRow.listed)
        tracks = select(func.count(), func.coalesce(listed, 0), func.coalesce(plays, 0))
        query = tracks.where(TrackArtistRow.artist_id == artist_id)
        albums = select(func.count()).where(AlbumArtistRow.artist_id == artist_id).scalar_subquery()
        total, listed_total, played, on_albums = (
            await self._session.execute(query.add_columns(albums))
        ).one()
        return Tally(tracks=total, albums=on_albums, listed_tracks=listed_total, play_count=played)
