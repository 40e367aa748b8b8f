"""Remembers tracks, and the tables by which lists find them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_catalog.domain.folding import sort_key
from antiphon_catalog.domain.music import Track
from antiphon_catalog.repository.mapping import track_of, track_row
from antiphon_catalog.tables import GenreRow, TrackArtistRow, TrackGenreRow, TrackRow, WaveformRow
from antiphon_common.db import is_conflict
from antiphon_common.errors import Unavailable


class SqlTracks:
    """`Tracks` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, track_id: UUID, owner_id: UUID | None = None) -> Track | None:
        query = select(TrackRow).where(TrackRow.id == track_id)
        return await self._one(query if owner_id is None else query.where(TrackRow.owner_id == owner_id))

    async def of_upload(self, upload_id: UUID, owner_id: UUID | None = None) -> Track | None:
        query = select(TrackRow).where(TrackRow.upload_id == upload_id)
        return await self._one(query if owner_id is None else query.where(TrackRow.owner_id == owner_id))

    async def of_artist(self, artist_id: UUID) -> Sequence[Track]:
        ids = select(TrackArtistRow.track_id).where(TrackArtistRow.artist_id == artist_id)
        return await self._all(select(TrackRow).where(TrackRow.id.in_(ids)))

    async def of_album(self, album_id: UUID) -> Sequence[Track]:
        return await self._all(select(TrackRow).where(TrackRow.album_id == album_id))

    async def of_owner(self, owner_id: UUID) -> Sequence[Track]:
        return await self._all(select(TrackRow).where(TrackRow.owner_id == owner_id))

    async def save(self, track: Track) -> None:
        try:
            await self._session.merge(track_row(track))
            await self._session.flush()
        except IntegrityError as error:
            if is_conflict(error, "upload_id", "uq_track_upload"):
                # Another delivery of the same upload was faster; the next try finds its track.
                raise Unavailable("upload_in_progress", "This upload is being made a track.") from error
            raise
        await self._link_artists(track)
        await self._link_genres(track)

    async def save_waveform(self, track_id: UUID, data: str) -> None:
        await self._session.merge(WaveformRow(track_id=track_id, data=data))
        await self._session.flush()

    async def delete(self, track: Track) -> None:
        await self._unlink_genres(track.id)
        await self._session.execute(delete(TrackArtistRow).where(TrackArtistRow.track_id == track.id))
        await self._session.execute(delete(WaveformRow).where(WaveformRow.track_id == track.id))
        await self._session.execute(delete(TrackRow).where(TrackRow.id == track.id))

    async def _one(self, query: Select[TrackRow]) -> Track | None:
        row = (await self._session.scalars(query.with_for_update())).one_or_none()
        return track_of(row) if row else None

    async def _all(self, query: Select[TrackRow]) -> Sequence[Track]:
        rows = await self._session.scalars(query.order_by(TrackRow.id).with_for_update())
        return [track_of(row) for row in rows]

    async def _link_artists(self, track: Track) -> None:
        await self._session.execute(delete(TrackArtistRow).where(TrackArtistRow.track_id == track.id))
        rows = [
            {
                "artist_id": artist_id,
                "track_id": track.id,
                "listed": track.listed,
                "play_count": track.play_count,
            }
            for artist_id in sorted(track.artist_ids)
        ]
        if rows:
            await self._session.execute(insert(TrackArtistRow), rows)

    async def _link_genres(self, track: Track) -> None:
        await self._unlink_genres(track.id)
        for key, name in sorted(track.genre_names.items()):
            await self._session.execute(
                insert(TrackGenreRow).values(
                    genre_key=key,
                    track_id=track.id,
                    listed=track.listed,
                    published_at=track.published_at,
                    play_count=track.play_count,
                    like_count=track.like_count,
                    title_key=sort_key(track.title),
                )
            )
            if track.listed:
                await self._count_genre(key, name, 1)

    async def _unlink_genres(self, track_id: UUID) -> None:
        gone = delete(TrackGenreRow).where(TrackGenreRow.track_id == track_id)
        rows = await self._session.execute(gone.returning(TrackGenreRow.genre_key, TrackGenreRow.listed))
        for key in sorted(row.genre_key for row in rows if row.listed):
            await self._count_genre(key, "", -1)

    async def _count_genre(self, key: str, name: str, step: int) -> None:
        dialect = postgresql if self._session.get_bind().dialect.name == "postgresql" else sqlite
        row = dialect.insert(GenreRow).values(key=key, name=name, track_count=step)
        counted = row.on_conflict_do_update(
            index_elements=[GenreRow.key], set_={"track_count": GenreRow.track_count + step}
        )
        await self._session.execute(counted)
