"""Remembers albums."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Integer, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_catalog.domain.credits import Credit
from antiphon_catalog.domain.music import Album, Face, Kind, Tally
from antiphon_catalog.repository.mapping import album_of, album_values
from antiphon_catalog.tables import AlbumArtistRow, AlbumRow, TrackRow
from antiphon_common.db import is_conflict
from antiphon_common.errors import Conflict
from antiphon_common.ids import new_id


class SqlAlbums:
    """`Albums` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, album_id: UUID, owner_id: UUID | None = None) -> Album | None:
        query = select(AlbumRow).where(AlbumRow.id == album_id)
        if owner_id is not None:
            query = query.where(AlbumRow.owner_id == owner_id)
        row = (await self._session.scalars(query.with_for_update())).one_or_none()
        return album_of(row) if row else None

    async def find_or_create(
        self, owner_id: UUID, title: str, credits_: tuple[Credit, ...], *, kind: Kind, at: datetime
    ) -> Album:
        made = Album(
            id=new_id(), owner_id=owner_id, title=title, kind=kind, credits=credits_, automatic=True,
            created_at=at,
        )  # fmt: skip
        dialect = postgresql if self._session.get_bind().dialect.name == "postgresql" else sqlite
        row = dialect.insert(AlbumRow).values(album_values(made))
        inserted = await self._session.execute(
            row.on_conflict_do_nothing(index_elements=["owner_id", "identity"]).returning(AlbumRow.id)
        )
        if inserted.first():
            await self._link_artists(made)
        query = select(AlbumRow).where(AlbumRow.owner_id == owner_id, AlbumRow.identity == made.identity)
        return album_of((await self._session.scalars(query.with_for_update())).one())

    async def of_artist(self, artist_id: UUID) -> Sequence[Album]:
        ids = select(AlbumArtistRow.album_id).where(AlbumArtistRow.artist_id == artist_id)
        query = select(AlbumRow).where(AlbumRow.id.in_(ids)).order_by(AlbumRow.id)
        return [album_of(row) for row in await self._session.scalars(query.with_for_update())]

    async def of_owner(self, owner_id: UUID) -> Sequence[Album]:
        query = select(AlbumRow).where(AlbumRow.owner_id == owner_id).order_by(AlbumRow.id)
        return [album_of(row) for row in await self._session.scalars(query.with_for_update())]

    async def save(self, album: Album) -> None:
        try:
            await self._session.merge(AlbumRow(**album_values(album)))
            await self._session.flush()
        except IntegrityError as error:
            if is_conflict(error, "uq_album_identity", "identity"):
                raise Conflict("album_exists", "There is such an album by this artist already.") from error
            raise
        await self._link_artists(album)

    async def delete(self, album_id: UUID) -> None:
        await self._session.execute(delete(AlbumArtistRow).where(AlbumArtistRow.album_id == album_id))
        await self._session.execute(delete(AlbumRow).where(AlbumRow.id == album_id))

    async def tally(self, album_id: UUID) -> Tally:
        listed = func.sum(TrackRow.listed.cast(Integer))
        plays = func.sum(TrackRow.play_count).filter(TrackRow.listed)
        query = select(func.count(), func.coalesce(listed, 0), func.coalesce(plays, 0))
        total, listed_total, played = (
            await self._session.execute(query.where(TrackRow.album_id == album_id))
        ).one()
        return Tally(tracks=total, albums=0, listed_tracks=listed_total, play_count=played)

    async def face(self, album_id: UUID) -> Face:
        first = (TrackRow.listed.desc(), TrackRow.position, TrackRow.id)
        query = select(TrackRow.cover_id, TrackRow.dominant_color, TrackRow.release_date)
        query = query.where(TrackRow.album_id == album_id).order_by(*first).limit(1)
        covers = await self._session.execute(query.where(TrackRow.cover_id.is_not(None)))
        dates = await self._session.execute(query.where(TrackRow.release_date.is_not(None)))
        covered, dated = covers.first(), dates.first()
        return Face(
            cover_id=covered.cover_id if covered else None,
            dominant_color=covered.dominant_color if covered else None,
            release_date=dated.release_date if dated else None,
        )

    async def _link_artists(self, album: Album) -> None:
        await self._session.execute(delete(AlbumArtistRow).where(AlbumArtistRow.album_id == album.id))
        rows = [{"artist_id": artist_id, "album_id": album.id} for artist_id in sorted(album.artist_ids)]
        if rows:
            await self._session.execute(insert(AlbumArtistRow), rows)
