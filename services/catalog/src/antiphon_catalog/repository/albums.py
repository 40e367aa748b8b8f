"""Remembers albums."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_catalog.domain.credits import Credit
from antiphon_catalog.domain.music import Album, Face, Kind, Tally, album_identity
from antiphon_catalog.repository.mapping import album_of, album_values
from antiphon_catalog.repository.owning import OwnerLock
from antiphon_catalog.repository.upserting import insert_unless_there
from antiphon_catalog.tables import ALBUM, ALBUM_ARTIST, TRACK
from antiphon_common.db import is_conflict
from antiphon_common.errors import Conflict
from antiphon_common.ids import new_id

_HELD, _OTHER = TRACK.alias("held"), TRACK.alias("other")
_RECOUNTED = (
    "release_date", "cover_id", "dominant_color", "listed", "listed_at", "track_count", "play_count",
    "revision",
)  # fmt: skip


class SqlAlbums:
    """`Albums` in SQL."""

    def __init__(self, session: AsyncSession, owner: OwnerLock) -> None:
        self._session = session
        self._owner = owner

    async def find(self, album_id: UUID, owner_id: UUID | None = None) -> Album | None:
        chosen = [ALBUM.c.id == album_id]
        if owner_id is not None:
            chosen.append(ALBUM.c.owner_id == owner_id)
        return await self._one(*chosen)

    async def find_or_create(
        self, owner_id: UUID, title: str, credits_: tuple[Credit, ...], *, kind: Kind, at: datetime
    ) -> Album:
        await self._owner.hold(owner_id)
        identity = album_identity(title, credits_)
        chosen = (ALBUM.c.owner_id == owner_id, ALBUM.c.identity == identity)
        found = await self._one(*chosen)
        if found:
            return found
        made = Album(
            id=new_id(), owner_id=owner_id, title=title, kind=kind, credits=credits_, automatic=True,
            created_at=at,
        )  # fmt: skip
        unique = ["owner_id", "identity"]
        if await insert_unless_there(self._session, ALBUM, album_values(made), unique=unique):
            await self._link_artists(made)
            return made
        # Another unit made it between the two statements.
        found = await self._one(*chosen)
        assert found
        return found

    async def of_artist(self, artist_id: UUID) -> Sequence[Album]:
        ids = select(ALBUM_ARTIST.c.album_id).where(ALBUM_ARTIST.c.artist_id == artist_id)
        return await self._all(ALBUM.c.id.in_(ids))

    async def of_owner(self, owner_id: UUID) -> Sequence[Album]:
        return await self._all(ALBUM.c.owner_id == owner_id)

    async def add(self, album: Album) -> None:
        await self._write(insert(ALBUM).values(album_values(album)))
        await self._link_artists(album)

    async def save(self, album: Album) -> None:
        await self._write(update(ALBUM).where(ALBUM.c.id == album.id).values(album_values(album)))
        await self._session.execute(delete(ALBUM_ARTIST).where(ALBUM_ARTIST.c.album_id == album.id))
        await self._link_artists(album)

    async def recount(self, album: Album) -> None:
        values = {name: getattr(album, name) for name in _RECOUNTED}
        await self._session.execute(update(ALBUM).where(ALBUM.c.id == album.id).values(values))

    async def delete(self, album_id: UUID) -> None:
        await self._session.execute(delete(ALBUM_ARTIST).where(ALBUM_ARTIST.c.album_id == album_id))
        await self._session.execute(delete(ALBUM).where(ALBUM.c.id == album_id))

    async def tally(self, album_id: UUID) -> tuple[Tally, Face]:
        listed = func.sum(TRACK.c.listed.cast(Integer))
        plays = func.sum(TRACK.c.play_count).filter(TRACK.c.listed)
        query = select(
            func.count(),
            func.coalesce(listed, 0),
            func.coalesce(plays, 0),
            _first(_HELD.c.cover_id, album_id, having=_HELD.c.cover_id),
            _first(_HELD.c.dominant_color, album_id, having=_HELD.c.cover_id),
            _first(_HELD.c.release_date, album_id, having=_HELD.c.release_date),
        )
        row = (await self._session.execute(query.where(TRACK.c.album_id == album_id))).one()
        total, listed_total, played, cover_id, color, release_date = row
        return Tally(total, 0, listed_total, played), Face(cover_id, color, release_date)

    async def _one(self, *chosen: ColumnElement[bool]) -> Album | None:
        row = await self._owner.one(ALBUM, *chosen)
        return album_of(row) if row else None

    async def _all(self, chosen: ColumnElement[bool]) -> Sequence[Album]:
        query = select(ALBUM).where(chosen).order_by(ALBUM.c.id).with_for_update()
        return [album_of(row) for row in (await self._session.execute(query)).mappings()]

    async def _write(self, statement: Any) -> None:
        try:
            await self._session.execute(statement)
        except IntegrityError as error:
            if is_conflict(error, "uq_album_identity", "identity"):
                raise Conflict("album_exists", "There is such an album by this artist already.") from error
            raise

    async def _link_artists(self, album: Album) -> None:
        rows = [{"artist_id": artist_id, "album_id": album.id} for artist_id in sorted(album.artist_ids)]
        if rows:
            await self._session.execute(insert(ALBUM_ARTIST), rows)


def _first(column: Any, album_id: UUID, *, having: Any) -> Any:
    # What is private must not show through an album that is not: of one with listed tracks only these count.
    listed = select(_OTHER.c.id).where(_OTHER.c.album_id == album_id, _OTHER.c.listed).exists()
    query = select(column).where(_HELD.c.album_id == album_id, having.is_not(None))
    query = query.where(or_(_HELD.c.listed, ~listed))
    return query.order_by(_HELD.c.position, _HELD.c.id).limit(1).scalar_subquery()
