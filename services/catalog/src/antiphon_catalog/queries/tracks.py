"""Tracks as they are shown: pages, one track, its waveform. Each page is one query without ORM objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import RowMapping, Select, select

from antiphon_catalog.domain.folding import fold
from antiphon_catalog.queries.paging import Slice, Sort, page, scope_of
from antiphon_catalog.queries.viewing import Viewer, readable_track
from antiphon_catalog.tables import PersonRow, TrackArtistRow, TrackGenreRow, TrackRow, WaveformRow
from antiphon_common.db import Database
from antiphon_common.errors import NotFound
from antiphon_common.pages import Page

TrackSort = Literal["recent", "popular", "most_liked", "title"]
View = Mapping[str, object]

_SORTS: Mapping[TrackSort, tuple[str, type, bool]] = {
    "recent": ("published_at", datetime, True),
    "popular": ("play_count", int, True),
    "most_liked": ("like_count", int, True),
    "title": ("title_key", str, False),
}
_SHOWN = select(
    TrackRow.id, TrackRow.owner_id, TrackRow.status, TrackRow.visibility, TrackRow.title,
    TrackRow.title_key, TrackRow.credits, TrackRow.album_id, TrackRow.album_title, TrackRow.disc_number,
    TrackRow.track_number, TrackRow.position, TrackRow.genres, TrackRow.explicit, TrackRow.release_date,
    TrackRow.cover_id, TrackRow.dominant_color, TrackRow.duration_ms, TrackRow.gain_db, TrackRow.peak,
    TrackRow.created_at, TrackRow.published_at, TrackRow.like_count, TrackRow.play_count, TrackRow.revision,
    PersonRow.name.label("uploader_name"),
).outerjoin(PersonRow, PersonRow.user_id == TrackRow.owner_id)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrackFilter:
    """Which tracks a list holds. With `owner_id` that person's, drafts included; else the public ones."""

    owner_id: UUID | None = None
    genre: str | None = None
    artist_id: UUID | None = None
    album_id: UUID | None = None
    year_from: int | None = None
    year_to: int | None = None


async def list_tracks(database: Database, wanted: TrackFilter, sort: TrackSort, part: Slice) -> Page[View]:
    """A page of tracks in one of the orders everybody may ask for."""
    field, kind, descending = _SORTS[sort]
    if wanted.owner_id and field == "published_at":
        # Drafts were never published, and a list of one's own has them, too.
        field = "created_at"
    query, source, row_id = _source(wanted, field)
    chosen = Sort(field, getattr(source, field), row_id, kind, descending)
    scope = scope_of(f"tracks:{sort}", wanted)
    async with database.read() as connection:
        return await page(connection, query, chosen, part=part, scope=scope, view=track_view)


async def album_tracks(database: Database, wanted: TrackFilter, part: Slice) -> Page[View]:
    """A page of an album, in the order of the album."""
    sort = Sort("position", TrackRow.position, TrackRow.id, int, descending=False)
    query, _, _ = _source(wanted, "position")
    scope = scope_of("tracks:album", wanted)
    async with database.read() as connection:
        return await page(connection, query, sort, part=part, scope=scope, view=track_view)


async def one_track(database: Database, track_id: UUID, viewer: Viewer) -> View:
    """A track. Raises `NotFound`, also for one the viewer may not know of."""
    query = _SHOWN.where(TrackRow.id == track_id, readable_track(viewer))
    async with database.read() as connection:
        row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise _unknown()
    return track_view(row)


async def waveform(database: Database, track_id: UUID, viewer: Viewer) -> tuple[str, bool]:
    """The waveform of a track and whether everybody may see it. Raises `NotFound`."""
    query = select(WaveformRow.data, TrackRow.listed).join(TrackRow, TrackRow.id == WaveformRow.track_id)
    async with database.read() as connection:
        row = (await connection.execute(query.where(TrackRow.id == track_id, readable_track(viewer)))).first()
    if row is None:
        raise _unknown()
    return row.data, row.listed


def track_view(row: RowMapping) -> dict[str, object]:
    """A track as the API shows it, in lists and alone."""
    uploader = {"id": row["owner_id"], "name": row["uploader_name"]}
    album = {"id": row["album_id"], "title": row["album_title"]} if row["album_id"] else None
    return {
        "id": row["id"],
        "title": row["title"],
        "artists": row["credits"],
        "album": album,
        "disc_number": row["disc_number"],
        "track_number": row["track_number"],
        "duration_ms": row["duration_ms"],
        "genres": row["genres"],
        "explicit": row["explicit"],
        "release_date": row["release_date"],
        "cover": row["cover_id"],
        "dominant_color": row["dominant_color"],
        "gain_db": row["gain_db"],
        "peak": row["peak"],
        "play_count": row["play_count"],
        "like_count": row["like_count"],
        "uploader": uploader,
        "status": row["status"],
        "visibility": row["visibility"],
        "created_at": row["created_at"],
        "published_at": row["published_at"],
        "revision": row["revision"],
    }


def _source(wanted: TrackFilter, field: str) -> tuple[Select[*tuple[Any, ...]], Any, Any]:
    """The query of a list, and the table and id that it is sorted by.

    Each kind of list takes `listed` and the sort column from the table that finds its tracks, so that a page
    is one walk of an index there, and no planner is led to walk all tracks for the few of an artist.
    """
    query: Select[*tuple[Any, ...]] = _SHOWN
    source: Any = TrackRow
    row_id: Any = TrackRow.id
    listed: list[Any] = [TrackRow.listed]
    if wanted.album_id:
        query = query.where(TrackRow.album_id == wanted.album_id)
        # Not `listed`: that would offer the indexes over all tracks.
        listed = [TrackRow.status == "published", TrackRow.visibility == "public"]
    if wanted.artist_id:
        query = query.join(TrackArtistRow, TrackArtistRow.track_id == TrackRow.id)
        query = query.where(TrackArtistRow.artist_id == wanted.artist_id)
        listed = [TrackArtistRow.listed]
        if field == "play_count":
            source, row_id = TrackArtistRow, TrackArtistRow.track_id
    if wanted.genre is not None:
        query = query.join(TrackGenreRow, TrackGenreRow.track_id == TrackRow.id)
        query = query.where(TrackGenreRow.genre_key == fold(wanted.genre))
        if not wanted.owner_id and not wanted.artist_id and not wanted.album_id:
            listed, source, row_id = [TrackGenreRow.listed], TrackGenreRow, TrackGenreRow.track_id
    query = query.where(TrackRow.owner_id == wanted.owner_id) if wanted.owner_id else query.where(*listed)
    if wanted.year_from is not None:
        query = query.where(TrackRow.release_year >= wanted.year_from)
    if wanted.year_to is not None:
        query = query.where(TrackRow.release_year <= wanted.year_to)
    return query, source, row_id


def _unknown() -> NotFound:
    return NotFound("track_not_found", "There is no such track.")
