"""Reads: SQL to views. What a viewer may not know of is never in the answer, or is not found."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from antiphon_common.db import Database
from antiphon_common.errors import FieldError, Invalid, NotFound
from antiphon_common.pages import Page, decode_cursor, encode_cursor, page_of
from antiphon_common.principal import Principal
from antiphon_contracts.playlist import PlaylistChanged
from antiphon_playlist.domain import Visibility
from antiphon_playlist.tables import ItemRow, PersonRow, PlaylistRow, TrackRow

PublicSort = Literal["recent", "title"]

_LARGEST = 1 << 62


@dataclass(frozen=True, slots=True)
class OwnerView:
    """Whose playlist it is; the name is none until user's event has arrived."""

    id: UUID
    name: str | None


@dataclass(frozen=True, slots=True)
class PlaylistView:
    """One playlist without its items."""

    id: UUID
    title: str
    description: str | None
    cover: UUID | None
    visibility: Visibility
    owner: OwnerView
    item_count: int
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ItemView:
    """One item; of a track that the viewer cannot see there is the id only."""

    item_id: UUID
    track: Mapping[str, Any]
    added_by: UUID
    added_at: datetime


async def playlist(database: Database, playlist_id: UUID, viewer: Principal | None) -> PlaylistView:
    """One playlist. Raises `NotFound`, also for one that the viewer may not know of."""
    async with database.read() as connection:
        return _view(await _readable(connection, playlist_id, viewer))


async def my_playlists(
    database: Database, owner_id: UUID, *, limit: int, cursor: str | None
) -> Page[PlaylistView]:
    """One's own playlists, the newest first."""
    query = _playlists().where(PlaylistRow.owner_id == owner_id)
    return await _newest_first(database, query, scope="my-playlists", limit=limit, cursor=cursor)


async def public_playlists(
    database: Database, *, sort: PublicSort, limit: int, cursor: str | None
) -> Page[PlaylistView]:
    """All public playlists, the newest first or by title."""
    query = _playlists().where(PlaylistRow.visibility == "public")
    if sort == "recent":
        return await _newest_first(database, query, scope="public-recent", limit=limit, cursor=cursor)
    place = tuple_(PlaylistRow.title_key, PlaylistRow.id)
    if cursor is not None:
        title_key, last = decode_cursor("public-title", cursor, str, str)
        if "\0" in str(title_key):
            raise _refused()
        query = query.where(place > tuple_(str(title_key), _uuid(last)))
    query = query.order_by(PlaylistRow.title_key, PlaylistRow.id).limit(limit + 1)
    async with database.read() as connection:
        rows = (await connection.execute(query)).all()
    page = page_of(rows, limit, scope="public-title", key=lambda row: (row.title_key, str(row.id)))
    return Page([_view(row) for row in page.items], page.next_cursor)


async def items(
    database: Database, playlist_id: UUID, viewer: Principal | None, *, limit: int, cursor: str | None
) -> Page[ItemView]:
    """The items in their order. A cursor stays right when items are moved, added or removed around it."""
    scope = f"items-{playlist_id}"
    # One moment for all of it: between two statements the items might move apart.
    async with database.read(snapshot=True) as connection:
        parent = await _readable(connection, playlist_id, viewer)
        query = (
            select(ItemRow, TrackRow.owner_id, TrackRow.reachable, TrackRow.deleted, TrackRow.card)
            .join_from(ItemRow, TrackRow, TrackRow.id == ItemRow.track_id, isouter=True)
            .where(ItemRow.playlist_id == playlist_id)
            .order_by(ItemRow.position)
            .limit(limit + 1)
        )
        if cursor is not None:
            after = await _position(connection, parent, decode_cursor(scope, cursor, int, int, str))
            query = query.where(ItemRow.position > after)
        rows = (await connection.execute(query)).all()
    kept = rows[:limit]
    more = len(rows) > limit
    following = encode_cursor(scope, (parent.layout, kept[-1].position, str(kept[-1].id))) if more else None
    return Page([_item_view(row, viewer) for row in kept], following)


async def current_events(database: Database) -> AsyncIterator[PlaylistChanged]:
    """The state of every playlist as events, to refill a consumer's projection."""
    async with database.read(snapshot=True) as connection:
        async for row in await connection.stream(select(*PlaylistRow.__table__.columns)):
            yield PlaylistChanged(
                subject=row.id, revision=row.revision, owner_id=row.owner_id, title=row.title,
                description=row.description, visibility=row.visibility, item_count=row.item_count,
                cover_id=row.cover_id,
            )  # fmt: skip


def _playlists() -> Select[Any]:
    return select(*PlaylistRow.__table__.columns, PersonRow.name).join_from(
        PlaylistRow, PersonRow, PersonRow.user_id == PlaylistRow.owner_id, isouter=True
    )


async def _readable(connection: AsyncConnection, playlist_id: UUID, viewer: Principal | None) -> Row[Any]:
    found = await connection.execute(_playlists().where(PlaylistRow.id == playlist_id))
    row: Row[Any] | None = found.first()
    private = row is not None and row.visibility == "private"
    if row is None or (private and not _is_for(viewer, row.owner_id)):
        raise NotFound("playlist_not_found", "There is no such playlist.")
    return row


async def _newest_first(
    database: Database, query: Select[Any], *, scope: str, limit: int, cursor: str | None
) -> Page[PlaylistView]:
    # An id begins with the time it was made, so the newest has the greatest.
    if cursor is not None:
        query = query.where(PlaylistRow.id < _uuid(decode_cursor(scope, cursor, str)[0]))
    async with database.read() as connection:
        rows = (await connection.execute(query.order_by(PlaylistRow.id.desc()).limit(limit + 1))).all()
    page = page_of(rows, limit, scope=scope, key=lambda row: (str(row.id),))
    return Page([_view(row) for row in page.items], page.next_cursor)


async def _position(connection: AsyncConnection, parent: Row[Any], key: tuple[Any, ...]) -> int:
    """The place after which a page begins. When places were spread out since, the item itself tells."""
    layout, position, item_id = key
    if layout == parent.layout and abs(position) <= _LARGEST:
        return int(position)
    query = select(ItemRow.position).where(ItemRow.playlist_id == parent.id, ItemRow.id == _uuid(item_id))
    found = (await connection.execute(query)).scalar()
    if found is None:
        raise _refused()
    return int(found)


def _uuid(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError as error:
        raise _refused() from error


def _refused() -> Invalid:
    field = FieldError("query.cursor", "invalid_cursor", "This cursor leads nowhere; begin the list again.")
    return Invalid("invalid_cursor", "The cursor is not valid.", errors=[field])


def _is_for(viewer: Principal | None, owner_id: UUID) -> bool:
    return viewer is not None and (viewer.user_id == owner_id or viewer.is_admin)


def _view(row: Row[Any]) -> PlaylistView:
    return PlaylistView(
        id=row.id,
        title=row.title,
        description=row.description,
        cover=row.cover_id,
        visibility=row.visibility,
        owner=OwnerView(row.owner_id, row.name),
        item_count=row.item_count,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _item_view(row: Row[Any], viewer: Principal | None) -> ItemView:
    known = row.card is not None and not row.deleted
    visible = known and (row.reachable or _is_for(viewer, row.owner_id))
    card = row.card if visible else {}
    track = {"id": row.track_id, "available": visible, **card}
    return ItemView(item_id=row.id, track=track, added_by=row.added_by, added_at=row.added_at)
