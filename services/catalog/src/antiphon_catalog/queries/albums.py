"""Albums as they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import RowMapping, Select, func, select

from antiphon_catalog.domain.folding import fold
from antiphon_catalog.domain.music import Kind
from antiphon_catalog.queries.paging import Slice, Sort, page, scope_of
from antiphon_catalog.queries.viewing import Viewer, readable
from antiphon_catalog.tables import AlbumArtistRow, AlbumRow, TrackGenreRow, TrackRow
from antiphon_common.db import Database
from antiphon_common.errors import NotFound
from antiphon_common.pages import Page

AlbumSort = Literal["recent", "popular", "title"]
View = Mapping[str, object]

_RELEASED = func.coalesce(AlbumRow.release_date, "").label("released")
_SHOWN = (
    AlbumRow.id, AlbumRow.title, AlbumRow.title_key, AlbumRow.kind, AlbumRow.credits, AlbumRow.release_date,
    AlbumRow.cover_id, AlbumRow.dominant_color, AlbumRow.track_count, AlbumRow.play_count, AlbumRow.owner_id,
    AlbumRow.listed_at, AlbumRow.created_at, AlbumRow.revision,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AlbumFilter:
    """Which albums a list holds. With `owner_id` all of that person; else those with public tracks."""

    owner_id: UUID | None = None
    genre: str | None = None
    kind: Kind | None = None


async def list_albums(database: Database, wanted: AlbumFilter, sort: AlbumSort, part: Slice) -> Page[View]:
    """A page of albums."""
    recent = Sort("created_at", AlbumRow.created_at, AlbumRow.id, datetime)
    if not wanted.owner_id:
        recent = Sort("listed_at", AlbumRow.listed_at, AlbumRow.id, datetime)
    sorts = {
        "recent": recent,
        "popular": Sort("play_count", AlbumRow.play_count, AlbumRow.id, int),
        "title": Sort("title_key", AlbumRow.title_key, AlbumRow.id, str, descending=False),
    }
    scope = scope_of(f"albums:{sort}", wanted)
    async with database.read() as connection:
        return await page(connection, _filtered(wanted), sorts[sort], part=part, scope=scope, view=album_view)


async def artist_albums(database: Database, artist_id: UUID, wanted: AlbumFilter, part: Slice) -> Page[View]:
    """A page of the albums credited to an artist, the newest release first, those without a date last."""
    ids = select(AlbumArtistRow.album_id).where(AlbumArtistRow.artist_id == artist_id)
    query = _filtered(wanted).add_columns(_RELEASED).where(AlbumRow.id.in_(ids))
    sort = Sort("released", _RELEASED.element, AlbumRow.id, str)
    scope = scope_of(f"albums:artist:{artist_id}", wanted)
    async with database.read() as connection:
        return await page(connection, query, sort, part=part, scope=scope, view=album_view)


async def one_album(database: Database, album_id: UUID, viewer: Viewer) -> View:
    """An album. Raises `NotFound`, also for one the viewer may not know of."""
    query = select(*_SHOWN).where(AlbumRow.id == album_id, readable(viewer, AlbumRow))
    async with database.read() as connection:
        row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise NotFound("album_not_found", "There is no such album.")
    return album_view(row)


def album_view(row: RowMapping) -> dict[str, object]:
    """An album as the API shows it. The counts are of its public tracks."""
    return {
        "id": row["id"],
        "title": row["title"],
        "type": row["kind"],
        "artists": row["credits"],
        "release_date": row["release_date"],
        "cover": row["cover_id"],
        "dominant_color": row["dominant_color"],
        "track_count": row["track_count"],
        "play_count": row["play_count"],
        "owner_id": row["owner_id"],
        "created_at": row["created_at"],
        "revision": row["revision"],
    }


def _filtered(wanted: AlbumFilter) -> Select[*tuple[Any, ...]]:
    query = select(*_SHOWN)
    query = query.where(AlbumRow.owner_id == wanted.owner_id if wanted.owner_id else AlbumRow.listed)
    if wanted.kind:
        query = query.where(AlbumRow.kind == wanted.kind)
    if wanted.genre is not None:
        held = select(TrackRow.album_id).join(TrackGenreRow, TrackGenreRow.track_id == TrackRow.id)
        held = held.where(TrackGenreRow.genre_key == fold(wanted.genre), TrackRow.album_id.is_not(None))
        # Of one's own albums a draft may show the genre, of anybody else's it may not.
        query = query.where(AlbumRow.id.in_(held if wanted.owner_id else held.where(TrackGenreRow.listed)))
    return query
