"""HTTP in and out of the playlist service."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import Anyone, User
from antiphon_common.web.problems import documented
from antiphon_playlist import queries, usecases
from antiphon_playlist.domain import Spot
from antiphon_playlist.ports import Deps
from antiphon_playlist.queries import PlaylistView, PublicSort
from antiphon_playlist.schemas import (
    AddedOut,
    ItemPage,
    MoveIn,
    PlaylistIn,
    PlaylistOut,
    PlaylistPage,
    PlaylistPatch,
    RevisionOut,
    TracksIn,
)
from antiphon_playlist.usecases import Addition, Expected, PlaylistChange


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


def _expected(
    if_match: Annotated[
        str | None, Header(max_length=300, description='The `ETag` you have seen, for example `"3"`')
    ] = None,
) -> Expected:
    """The revisions that `If-Match` accepts (RFC 9110, 13.1.1); a weak tag never matches."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [tag.strip() for tag in if_match.split(",")]
    quoted = [tag[1:-1] for tag in tags if len(tag) > 2 and tag[0] == tag[-1] == '"']
    return frozenset(int(tag) for tag in quoted if tag.isascii() and tag.isdigit())


Inside = Annotated[Deps, Depends(_deps)]
IfMatch = Annotated[Expected, Depends(_expected)]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=500)]

router = APIRouter(tags=["playlist"])

_EDITING = documented(403, 404, 412)
_NOTHING_ADDED = {"model": AddedOut, "description": "The playlist held all of them already"}


@router.get("/api/playlists", operation_id="list_my_playlists", response_model=PlaylistPage)
async def list_my_playlists(user: User, deps: Inside, limit: Limit = 20, cursor: Cursor = None) -> Response:
    """My playlists, the newest first."""
    return json_answer(await queries.my_playlists(deps.database, user.user_id, limit=limit, cursor=cursor))


@router.get("/api/playlists/public", operation_id="list_public_playlists", response_model=PlaylistPage)
async def list_public_playlists(
    viewer: Anyone,  # noqa: ARG001
    deps: Inside, sort: PublicSort = "recent", limit: Limit = 20, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Everybody's public playlists, the newest first or by title."""
    page = await queries.public_playlists(deps.database, sort=sort, limit=limit, cursor=cursor)
    return json_answer(page)


@router.post("/api/playlists", operation_id="create_playlist", response_model=PlaylistOut, status_code=201)
async def create_playlist(user: User, body: PlaylistIn, deps: Inside) -> Response:
    """A new, empty playlist of mine; private unless said otherwise."""
    change = _change(body)
    async with deps.open_unit() as unit:
        playlist = await usecases.create_playlist(unit, user, change, now=deps.clock.now())
    return _answer(await queries.playlist(deps.database, playlist.id, user), status=201)


@router.get(
    "/api/playlists/{playlist_id}",
    operation_id="get_playlist",
    response_model=PlaylistOut,
    responses=documented(404),
)
async def get_playlist(playlist_id: UUID, viewer: Anyone, deps: Inside) -> Response:
    """One playlist; its items are a list of their own."""
    return _answer(await queries.playlist(deps.database, playlist_id, viewer))


@router.patch(
    "/api/playlists/{playlist_id}",
    operation_id="patch_playlist",
    response_model=PlaylistOut,
    responses=_EDITING,
)
@router.put(
    "/api/playlists/{playlist_id}",
    operation_id="put_playlist",
    response_model=PlaylistOut,
    responses=_EDITING,
)
async def patch_playlist(
    playlist_id: UUID, user: User, body: PlaylistPatch, deps: Inside, expected: IfMatch
) -> Response:
    """Change fields of my playlist; `PUT` is accepted as `PATCH`."""
    async with deps.open_unit() as unit:
        await usecases.change_playlist(
            unit, user, playlist_id, change=_change(body), expected=expected, now=deps.clock.now()
        )
    return _answer(await queries.playlist(deps.database, playlist_id, user))


@router.delete(
    "/api/playlists/{playlist_id}", operation_id="delete_playlist", status_code=204, responses=_EDITING
)
async def delete_playlist(playlist_id: UUID, user: User, deps: Inside, expected: IfMatch) -> Response:
    """Delete my playlist, for good; administrators may delete any."""
    async with deps.open_unit() as unit:
        await usecases.delete_playlist(unit, user, playlist_id, expected=expected)
    return Response(status_code=204)


@router.get(
    "/api/playlists/{playlist_id}/items",
    operation_id="list_playlist_items",
    response_model=ItemPage,
    responses=documented(404),
)
async def list_playlist_items(
    playlist_id: UUID, viewer: Anyone, deps: Inside, limit: Limit = 20, cursor: Cursor = None
) -> Response:
    """The items in their order. A track that is gone, or hidden from the caller, is a tombstone."""
    return json_answer(await queries.items(deps.database, playlist_id, viewer, limit=limit, cursor=cursor))


@router.post(
    "/api/playlists/{playlist_id}/tracks",
    operation_id="add_playlist_tracks",
    response_model=AddedOut,
    status_code=201,
    responses={**documented(403, 404, 409, 412), 200: _NOTHING_ADDED},
)
async def add_playlist_tracks(
    playlist_id: UUID, user: User, body: TracksIn, deps: Inside, expected: IfMatch,
    on_duplicate: Literal["add", "skip"] = "add",
) -> Response:  # fmt: skip
    """Add tracks to my playlist, all or none; `on_duplicate=skip` leaves out those it holds already."""
    spot: Spot = "last" if "after_item_id" not in body.model_fields_set else body.after_item_id or "first"
    addition = Addition(body.track_ids, spot, skip=on_duplicate == "skip")
    async with deps.open_unit() as unit:
        playlist, items = await usecases.add_tracks(
            unit, user, playlist_id, addition=addition, expected=expected, now=deps.clock.now()
        )
    added = [{"item_id": item.id, "track_id": item.track_id} for item in items]
    answer = {"items": added, "item_count": playlist.item_count, "revision": playlist.revision}
    return json_answer(answer, status=201 if items else 200, headers=_etag(playlist.revision))


@router.delete(
    "/api/playlists/{playlist_id}/tracks/{track_id}",
    operation_id="remove_playlist_track",
    status_code=204,
    responses=_EDITING,
)
async def remove_playlist_track(
    playlist_id: UUID, track_id: UUID, user: User, deps: Inside, expected: IfMatch
) -> Response:
    """Take every occurrence of a track out of my playlist."""
    async with deps.open_unit() as unit:
        await usecases.remove_track(
            unit, user, playlist_id, track_id=track_id, expected=expected, now=deps.clock.now()
        )
    return Response(status_code=204)


@router.delete(
    "/api/playlists/{playlist_id}/items/{item_id}",
    operation_id="remove_playlist_item",
    status_code=204,
    responses=_EDITING,
)
async def remove_playlist_item(
    playlist_id: UUID, item_id: UUID, user: User, deps: Inside, expected: IfMatch
) -> Response:
    """Take one item out of my playlist."""
    async with deps.open_unit() as unit:
        await usecases.remove_item(
            unit, user, playlist_id, item_id=item_id, expected=expected, now=deps.clock.now()
        )
    return Response(status_code=204)


@router.post(
    "/api/playlists/{playlist_id}/items/{item_id}/move",
    operation_id="move_playlist_item",
    response_model=RevisionOut,
    responses=_EDITING,
)
async def move_playlist_item(
    playlist_id: UUID, item_id: UUID, user: User, body: MoveIn, deps: Inside, expected: IfMatch
) -> Response:
    """Put an item of my playlist after another one, or at the beginning."""
    async with deps.open_unit() as unit:
        playlist = await usecases.move_item(
            unit, user, playlist_id, item_id=item_id, spot=body.after_item_id or "first", expected=expected,
            now=deps.clock.now(),
        )  # fmt: skip
    return json_answer({"revision": playlist.revision}, headers=_etag(playlist.revision))


def _change(body: PlaylistIn | PlaylistPatch) -> PlaylistChange:
    values = body.model_dump(exclude_unset=isinstance(body, PlaylistPatch))
    if "cover" in values:
        values["cover_id"] = values.pop("cover")
    return PlaylistChange(values)


def _etag(revision: int) -> dict[str, str]:
    return {"etag": f'"{revision}"'}


def _answer(view: PlaylistView, *, status: int = 200) -> Response:
    return json_answer(view, status=status, headers=_etag(view.revision))
