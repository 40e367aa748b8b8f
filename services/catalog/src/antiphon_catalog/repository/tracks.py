"""Remembers tracks, and the tables by which lists find them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_catalog.domain.folding import sort_key
from antiphon_catalog.domain.music import Track
from antiphon_catalog.repository.mapping import track_of, track_values
from antiphon_catalog.repository.owning import OwnerLock
from antiphon_catalog.repository.upserting import upsert
from antiphon_catalog.tables import GENRE, TRACK, TRACK_ARTIST, TRACK_GENRE, WAVEFORM
from antiphon_common.db import is_conflict
from antiphon_common.errors import Unavailable


class SqlTracks:
    """`Tracks` in SQL."""

    def __init__(self, session: AsyncSession, owner: OwnerLock) -> None:
        self._session = session
        self._owner = owner
        self._genres: dict[str, str] = {}
        self._genre_steps: Counter[str] = Counter()

    async def find(self, track_id: UUID, owner_id: UUID | None = None) -> Track | None:
        return await self._one(TRACK.c.id == track_id, owner_id)

    async def of_upload(self, upload_id: UUID, owner_id: UUID | None = None) -> Track | None:
        return await self._one(TRACK.c.upload_id == upload_id, owner_id)

    async def of_artist(self, artist_id: UUID) -> Sequence[Track]:
        ids = select(TRACK_ARTIST.c.track_id).where(TRACK_ARTIST.c.artist_id == artist_id)
        return await self._all(TRACK.c.id.in_(ids))

    async def of_album(self, album_id: UUID) -> Sequence[Track]:
        return await self._all(TRACK.c.album_id == album_id)

    async def of_owner(self, owner_id: UUID) -> Sequence[Track]:
        return await self._all(TRACK.c.owner_id == owner_id)

    async def add(self, track: Track, waveform: str) -> None:
        try:
            await self._session.execute(insert(TRACK).values(track_values(track)))
        except IntegrityError as error:
            if is_conflict(error, "upload_id", "uq_track_upload"):
                # Another delivery of the same upload was faster; the next try finds its track.
                raise Unavailable("upload_in_progress", "This upload is being made a track.") from error
            raise
        await self.save_waveform(track.id, waveform)
        await self._link_artists(track)
        await self._link_genres(track)

    async def save(self, track: Track) -> None:
        await self._session.execute(update(TRACK).where(TRACK.c.id == track.id).values(track_values(track)))
        await self._unlink(track.id)
        await self._link_artists(track)
        await self._link_genres(track)

    async def save_waveform(self, track_id: UUID, data: str) -> None:
        await upsert(self._session, WAVEFORM, {"track_id": track_id, "data": data})

    async def delete(self, track: Track) -> None:
        await self._unlink(track.id)
        await self._session.execute(delete(WAVEFORM).where(WAVEFORM.c.track_id == track.id))
        await self._session.execute(delete(TRACK).where(TRACK.c.id == track.id))

    async def _one(self, chosen: ColumnElement[bool], owner_id: UUID | None) -> Track | None:
        if owner_id is not None:
            await self._owner.hold(owner_id)
            chosen = and_(chosen, TRACK.c.owner_id == owner_id)
        row = await self._owner.one(TRACK, chosen)
        return track_of(row) if row else None

    async def _all(self, chosen: ColumnElement[bool]) -> Sequence[Track]:
        query = select(TRACK).where(chosen).order_by(TRACK.c.id)
        return [track_of(row) for row in (await self._session.execute(query.with_for_update())).mappings()]

    async def _link_artists(self, track: Track) -> None:
        shared = {"track_id": track.id, "listed": track.listed, "play_count": track.play_count}
        rows = [{"artist_id": artist_id, **shared} for artist_id in sorted(track.artist_ids)]
        if rows:
            await self._session.execute(insert(TRACK_ARTIST), rows)

    async def _link_genres(self, track: Track) -> None:
        names = track.genre_names
        shared: dict[str, Any] = {
            "track_id": track.id,
            "listed": track.listed,
            "published_at": track.published_at,
            "play_count": track.play_count,
            "like_count": track.like_count,
            "title_key": sort_key(track.title),
        }
        rows = [{"genre_key": key, **shared} for key in sorted(names)]
        if rows:
            await self._session.execute(insert(TRACK_GENRE), rows)
        if track.listed:
            self._genres.update(names)
            self._genre_steps.update(names.keys())

    async def _unlink(self, track_id: UUID) -> None:
        await self._session.execute(delete(TRACK_ARTIST).where(TRACK_ARTIST.c.track_id == track_id))
        gone = delete(TRACK_GENRE).where(TRACK_GENRE.c.track_id == track_id)
        rows = await self._session.execute(gone.returning(TRACK_GENRE.c.genre_key, TRACK_GENRE.c.listed))
        self._genre_steps.subtract(row.genre_key for row in rows if row.listed)

    async def count_genres(self) -> None:
        """Count what this unit did to genres, as its last act: everybody shares them, so they are locked
        briefly.

        Sorted, so that two units that count the same genres wait for each other and never in a circle.
        """
        for key, step in sorted(self._genre_steps.items()):
            row = {"key": key, "name": self._genres.get(key, ""), "track_count": step}
            if step:
                await upsert(self._session, GENRE, row, changing={"track_count": GENRE.c.track_count + step})
