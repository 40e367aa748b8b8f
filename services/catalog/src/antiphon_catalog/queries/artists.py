"""Artists as they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import RowMapping, Select, or_, select

from antiphon_catalog.domain.folding import fold
from antiphon_catalog.queries.paging import Slice, Sort, page, scope_of
from antiphon_catalog.queries.viewing import Viewer, readable
from antiphon_catalog.tables import AlbumArtistRow, AlbumRow, ArtistRow
from antiphon_common.db import Database
from antiphon_common.errors import NotFound
from antiphon_common.pages import Page

ArtistSort = Literal["recent", "popular", "name"]
View = Mapping[str, object]

_SHOWN = (
    ArtistRow.id, ArtistRow.name, ArtistRow.name_key, ArtistRow.image_id, ArtistRow.track_count,
    ArtistRow.play_count, ArtistRow.owner_id, ArtistRow.listed_at, ArtistRow.created_at, ArtistRow.revision,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ArtistFilter:
    """Which artists a list holds. With `owner_id` all of that person; else those with public tracks."""

    owner_id: UUID | None = None
    text: str | None = None


async def list_artists(database: Database, wanted: ArtistFilter, sort: ArtistSort, part: Slice) -> Page[View]:
    """A page of artists."""
    recent = Sort("created_at", ArtistRow.created_at, ArtistRow.id, datetime)
    if not wanted.owner_id:
        recent = Sort("listed_at", ArtistRow.listed_at, ArtistRow.id, datetime)
    sorts = {
        "recent": recent,
        "popular": Sort("play_count", ArtistRow.play_count, ArtistRow.id, int),
        "name": Sort("name_key", ArtistRow.name_key, ArtistRow.id, str, descending=False),
    }
    query: Select[*tuple[Any, ...]] = select(*_SHOWN)
    query = query.where(ArtistRow.owner_id == wanted.owner_id if wanted.owner_id else ArtistRow.listed)
    if wanted.text:
        query = query.where(ArtistRow.name_key.contains(fold(wanted.text), autoescape=True))
    scope = scope_of(f"artists:{sort}", wanted)
    async with database.read() as connection:
        return await page(connection, query, sorts[sort], part=part, scope=scope, view=artist_view)


async def one_artist(database: Database, artist_id: UUID, viewer: Viewer) -> View:
    """An artist. Raises `NotFound`, also for one the viewer may not know of.

    Whoever is credited on a listed album only ("Various Artists") is in no list, and readable by id.
    """
    on_album = select(AlbumArtistRow.album_id).join(AlbumRow, AlbumRow.id == AlbumArtistRow.album_id)
    on_album = on_album.where(AlbumArtistRow.artist_id == ArtistRow.id, AlbumRow.listed)
    visible = or_(readable(viewer, ArtistRow), on_album.exists())
    query = select(*_SHOWN).where(ArtistRow.id == artist_id, visible)
    async with database.read() as connection:
        row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise NotFound("artist_not_found", "There is no such artist.")
    return artist_view(row)


def artist_view(row: RowMapping) -> dict[str, object]:
    """An artist as the API shows it. The counts are of its public tracks."""
    return {
        "id": row["id"],
        "name": row["name"],
        "image": row["image_id"],
        "track_count": row["track_count"],
        "play_count": row["play_count"],
        "owner_id": row["owner_id"],
        "created_at": row["created_at"],
        "revision": row["revision"],
    }
