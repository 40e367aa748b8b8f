"""Likes and saves: tracks, albums and playlists, each with the same five operations."""

from uuid import UUID

from fastapi import APIRouter, Response

from antiphon_common.principal import Principal
from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import User
from antiphon_common.web.problems import documented
from antiphon_library import queries, usecases
from antiphon_library.domain import Kind
from antiphon_library.ports import Deps
from antiphon_library.routes.inside import Cursor, Ids, Inside, Limit
from antiphon_library.schemas import (
    AlbumIn,
    AlbumPage,
    ContainedList,
    KeptOut,
    PlaylistIn,
    PlaylistPage,
    TrackIn,
    TrackPage,
)

router = APIRouter(tags=["library"])

_KEEPING = {**documented(404), 200: {"model": KeptOut, "description": "It was there already"}}


async def _list(deps: Deps, kind: Kind, user: Principal, *, limit: int, cursor: str | None) -> Response:
    return json_answer(await queries.kept(deps.database, kind, user, limit=limit, cursor=cursor))


async def _keep(deps: Deps, kind: Kind, user: Principal, *, item_id: UUID) -> Response:
    async with deps.open_unit() as unit:
        keep, new = await usecases.keep_item(unit, user, kind, item_id=item_id, now=deps.clock.now())
    return json_answer({"id": keep.item_id, "added_at": keep.kept_at}, status=201 if new else 200)


async def _put(deps: Deps, kind: Kind, user: Principal, *, item_id: UUID) -> Response:
    await _keep(deps, kind, user, item_id=item_id)
    return Response(status_code=204)


async def _drop(deps: Deps, kind: Kind, user: Principal, *, item_id: UUID) -> Response:
    async with deps.open_unit() as unit:
        await usecases.drop_item(unit, user, kind, item_id=item_id)
    return Response(status_code=204)


async def _contains(deps: Deps, kind: Kind, user: Principal, *, ids: list[UUID]) -> Response:
    return json_answer({"items": await queries.contained(deps.database, kind, user.user_id, ids)})


@router.get("/api/me/tracks", operation_id="list_liked_tracks", response_model=TrackPage)
@router.get("/api/me/liked", operation_id="list_liked", response_model=TrackPage)
async def list_liked_tracks(user: User, deps: Inside, limit: Limit = 20, cursor: Cursor = None) -> Response:
    """The tracks I liked, the newest first."""
    return await _list(deps, "track", user, limit=limit, cursor=cursor)


@router.post(
    "/api/me/tracks",
    operation_id="like_track",
    response_model=KeptOut,
    status_code=201,
    responses=_KEEPING,
)
@router.post(
    "/api/me/liked", operation_id="like", response_model=KeptOut, status_code=201, responses=_KEEPING
)
async def like_track(user: User, body: TrackIn, deps: Inside) -> Response:
    """Like a track; again changes nothing."""
    return await _keep(deps, "track", user, item_id=body.track_id)


@router.get("/api/me/tracks/contains", operation_id="contains_liked_tracks", response_model=ContainedList)
async def contains_liked_tracks(user: User, ids: Ids, deps: Inside) -> Response:
    """Which of these tracks I liked."""
    return await _contains(deps, "track", user, ids=ids)


@router.put(
    "/api/me/tracks/{track_id}",
    operation_id="put_liked_track",
    status_code=204,
    responses=documented(404),
)
async def put_liked_track(track_id: UUID, user: User, deps: Inside) -> Response:
    """Like a track; again changes nothing."""
    return await _put(deps, "track", user, item_id=track_id)


@router.delete("/api/me/tracks/{track_id}", operation_id="unlike_track", status_code=204)
@router.delete("/api/me/liked/{track_id}", operation_id="unlike", status_code=204)
async def unlike_track(track_id: UUID, user: User, deps: Inside) -> Response:
    """Take it back; that it is not there is no error."""
    return await _drop(deps, "track", user, item_id=track_id)


@router.get("/api/me/albums", operation_id="list_saved_albums", response_model=AlbumPage)
async def list_saved_albums(user: User, deps: Inside, limit: Limit = 20, cursor: Cursor = None) -> Response:
    """The albums I saved, the newest first."""
    return await _list(deps, "album", user, limit=limit, cursor=cursor)


@router.post(
    "/api/me/albums",
    operation_id="save_album",
    response_model=KeptOut,
    status_code=201,
    responses=_KEEPING,
)
async def save_album(user: User, body: AlbumIn, deps: Inside) -> Response:
    """Save an album; again changes nothing."""
    return await _keep(deps, "album", user, item_id=body.album_id)


@router.get("/api/me/albums/contains", operation_id="contains_saved_albums", response_model=ContainedList)
async def contains_saved_albums(user: User, ids: Ids, deps: Inside) -> Response:
    """Which of these albums I saved."""
    return await _contains(deps, "album", user, ids=ids)


@router.put(
    "/api/me/albums/{album_id}",
    operation_id="put_saved_album",
    status_code=204,
    responses=documented(404),
)
async def put_saved_album(album_id: UUID, user: User, deps: Inside) -> Response:
    """Save an album; again changes nothing."""
    return await _put(deps, "album", user, item_id=album_id)


@router.delete("/api/me/albums/{album_id}", operation_id="remove_saved_album", status_code=204)
async def remove_saved_album(album_id: UUID, user: User, deps: Inside) -> Response:
    """Take it back; that it is not there is no error."""
    return await _drop(deps, "album", user, item_id=album_id)


@router.get("/api/me/playlists", operation_id="list_saved_playlists", response_model=PlaylistPage)
async def list_saved_playlists(
    user: User, deps: Inside, limit: Limit = 20, cursor: Cursor = None
) -> Response:
    """The playlists I saved, the newest first."""
    return await _list(deps, "playlist", user, limit=limit, cursor=cursor)


@router.post(
    "/api/me/playlists",
    operation_id="save_playlist",
    response_model=KeptOut,
    status_code=201,
    responses=_KEEPING,
)
async def save_playlist(user: User, body: PlaylistIn, deps: Inside) -> Response:
    """Save a playlist; again changes nothing."""
    return await _keep(deps, "playlist", user, item_id=body.playlist_id)


@router.get(
    "/api/me/playlists/contains", operation_id="contains_saved_playlists", response_model=ContainedList
)
async def contains_saved_playlists(user: User, ids: Ids, deps: Inside) -> Response:
    """Which of these playlists I saved."""
    return await _contains(deps, "playlist", user, ids=ids)


@router.put(
    "/api/me/playlists/{playlist_id}",
    operation_id="put_saved_playlist",
    status_code=204,
    responses=documented(404),
)
async def put_saved_playlist(playlist_id: UUID, user: User, deps: Inside) -> Response:
    """Save a playlist; again changes nothing."""
    return await _put(deps, "playlist", user, item_id=playlist_id)


@router.delete("/api/me/playlists/{playlist_id}", operation_id="remove_saved_playlist", status_code=204)
async def remove_saved_playlist(playlist_id: UUID, user: User, deps: Inside) -> Response:
    """Take it back; that it is not there is no error."""
    return await _drop(deps, "playlist", user, item_id=playlist_id)
