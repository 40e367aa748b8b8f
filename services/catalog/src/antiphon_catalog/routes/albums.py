"""Albums: lists, one album and its tracks, changes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from antiphon_catalog.domain.music import Kind
from antiphon_catalog.queries import albums, tracks
from antiphon_catalog.queries.albums import AlbumFilter, AlbumSort
from antiphon_catalog.queries.tracks import TrackFilter
from antiphon_catalog.queries.viewing import Viewer
from antiphon_catalog.routes.parameters import (
    NOT_MODIFIED,
    Genre,
    IfMatch,
    IfNoneMatch,
    Inside,
    Maker,
    Part,
    editing,
    revised_answer,
)
from antiphon_catalog.schemas.answers import AlbumOut, AlbumPageOut, TrackPageOut
from antiphon_catalog.schemas.requests import AlbumIn, AlbumPatch
from antiphon_catalog.usecases import albums as usecases
from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import Anyone
from antiphon_common.web.problems import documented

router = APIRouter(tags=["albums"])


@router.get("/api/albums", operation_id="list_albums", response_model=AlbumPageOut)
async def list_albums(
    viewer: Anyone,
    deps: Inside,
    part: Part,
    sort: AlbumSort = "recent",
    genre: Genre | None = None,
    kind: Annotated[Kind | None, Query(alias="type")] = None,
    mine: bool = False,
) -> Response:
    """Albums with public tracks; with `mine=true` all of mine."""
    wanted = AlbumFilter(Viewer.of(viewer).own() if mine else None, genre, kind)
    return json_answer(await albums.list_albums(deps.database, wanted, sort, part))


@router.get(
    "/api/albums/{album_id}",
    operation_id="get_album",
    response_model=AlbumOut,
    responses={**NOT_MODIFIED, **documented(404)},
)
async def get_album(
    album_id: UUID, viewer: Anyone, deps: Inside, if_none_match: IfNoneMatch = None
) -> Response:
    """An album."""
    body = await albums.one_album(deps.database, album_id, Viewer.of(viewer))
    return revised_answer(body, if_none_match=if_none_match)


@router.get(
    "/api/albums/{album_id}/tracks",
    operation_id="list_album_tracks",
    response_model=TrackPageOut,
    responses=documented(404),
)
async def list_album_tracks(
    album_id: UUID, viewer: Anyone, deps: Inside, part: Part, mine: bool = False
) -> Response:
    """The public tracks of an album by disc and number; with `mine=true` all of mine on it."""
    who = Viewer.of(viewer)
    await albums.one_album(deps.database, album_id, who)
    wanted = TrackFilter(who.own() if mine else None, album_id=album_id)
    return json_answer(await tracks.album_tracks(deps.database, wanted, part))


@router.post(
    "/api/albums",
    operation_id="create_album",
    status_code=201,
    response_model=AlbumOut,
    responses=documented(403, 409),
)
async def create_album(user: Maker, body: AlbumIn, deps: Inside) -> Response:
    """Make an album of mine; uploads of its title and first artist will be on it."""
    by = editing(user, deps)
    async with deps.open_unit() as unit:
        album = await usecases.create_album(unit, user.user_id, body.change(), by)
    return revised_answer(await albums.one_album(deps.database, album.id, Viewer.of(user)), status=201)


@router.patch(
    "/api/albums/{album_id}",
    operation_id="patch_album",
    response_model=AlbumOut,
    responses=documented(403, 404, 409, 412),
)
@router.put(
    "/api/albums/{album_id}",
    operation_id="put_album",
    response_model=AlbumOut,
    responses=documented(403, 404, 409, 412),
)
async def patch_album(
    album_id: UUID, user: Maker, body: AlbumPatch, expected: IfMatch, deps: Inside
) -> Response:
    """Change one of my albums; a new title is printed on all its tracks."""
    async with deps.open_unit() as unit:
        await usecases.change_album(unit, album_id, body.change(), editing(user, deps, expected))
    return revised_answer(await albums.one_album(deps.database, album_id, Viewer.of(user)))


@router.delete(
    "/api/albums/{album_id}",
    operation_id="delete_album",
    status_code=204,
    responses=documented(403, 404, 409, 412),
)
async def delete_album(
    album_id: UUID,
    user: Maker,
    expected: IfMatch,
    deps: Inside,
    fate: Annotated[usecases.Fate | None, Query(alias="tracks")] = None,
) -> Response:
    """Delete one of my albums. `tracks` says what becomes of its tracks, if it has some."""
    async with deps.open_unit() as unit:
        await usecases.delete_album(unit, album_id, fate, editing(user, deps, expected))
    return Response(status_code=204)
