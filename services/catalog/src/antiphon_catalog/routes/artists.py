"""Artists: lists, one artist and its music, changes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from antiphon_catalog.queries import albums, artists, tracks
from antiphon_catalog.queries.albums import AlbumFilter
from antiphon_catalog.queries.artists import ArtistFilter, ArtistSort
from antiphon_catalog.queries.paging import Slice
from antiphon_catalog.queries.tracks import TrackFilter, TrackSort
from antiphon_catalog.queries.viewing import Viewer
from antiphon_catalog.routes.parameters import (
    NOT_MODIFIED,
    IfMatch,
    IfNoneMatch,
    Inside,
    Maker,
    Part,
    editing,
    revised_answer,
)
from antiphon_catalog.schemas.answers import AlbumPageOut, ArtistOut, ArtistPageOut, TrackPageOut
from antiphon_catalog.schemas.requests import ArtistIn, ArtistPatch
from antiphon_catalog.usecases import artists as usecases
from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import Anyone
from antiphon_common.web.problems import documented

router = APIRouter(tags=["artists"])

Text = Annotated[str, Query(min_length=1, max_length=100)]


@router.get("/api/artists", operation_id="list_artists", response_model=ArtistPageOut)
async def list_artists(
    viewer: Anyone,
    deps: Inside,
    part: Part,
    q: Text | None = None,
    sort: ArtistSort = "popular",
    mine: bool = False,
) -> Response:
    """Artists with public tracks, `q` anywhere in the name; with `mine=true` all of mine."""
    wanted = ArtistFilter(Viewer.of(viewer).own() if mine else None, q)
    return json_answer(await artists.list_artists(deps.database, wanted, sort, part))


@router.get(
    "/api/artists/{artist_id}",
    operation_id="get_artist",
    response_model=ArtistOut,
    responses={**NOT_MODIFIED, **documented(404)},
)
async def get_artist(
    artist_id: UUID, viewer: Anyone, deps: Inside, if_none_match: IfNoneMatch = None
) -> Response:
    """An artist."""
    body = await artists.one_artist(deps.database, artist_id, Viewer.of(viewer))
    return revised_answer(body, if_none_match=if_none_match)


@router.get(
    "/api/artists/{artist_id}/albums",
    operation_id="list_artist_albums",
    response_model=AlbumPageOut,
    responses=documented(404),
)
async def list_artist_albums(
    artist_id: UUID, viewer: Anyone, deps: Inside, part: Part, mine: bool = False
) -> Response:
    """Albums credited to an artist, the newest release first."""
    who = Viewer.of(viewer)
    await artists.one_artist(deps.database, artist_id, who)
    wanted = AlbumFilter(who.own() if mine else None)
    return json_answer(await albums.artist_albums(deps.database, artist_id, wanted, part))


@router.get(
    "/api/artists/{artist_id}/tracks",
    operation_id="list_artist_tracks",
    response_model=TrackPageOut,
    responses=documented(404),
)
async def list_artist_tracks(
    artist_id: UUID,
    viewer: Anyone,
    deps: Inside,
    part: Part,
    sort: TrackSort = "recent",
    mine: bool = False,
) -> Response:
    """Tracks that credit an artist in any role."""
    who = Viewer.of(viewer)
    await artists.one_artist(deps.database, artist_id, who)
    wanted = TrackFilter(who.own() if mine else None, artist_id=artist_id)
    return json_answer(await tracks.list_tracks(deps.database, wanted, sort, part))


@router.get(
    "/api/artists/{artist_id}/top-tracks",
    operation_id="list_artist_top_tracks",
    response_model=TrackPageOut,
    responses=documented(404),
)
async def list_artist_top_tracks(
    artist_id: UUID, viewer: Anyone, deps: Inside, limit: Annotated[int, Query(ge=1, le=50)] = 10
) -> Response:
    """The most played public tracks of an artist; one page."""
    await artists.one_artist(deps.database, artist_id, Viewer.of(viewer))
    wanted = TrackFilter(artist_id=artist_id)
    page = await tracks.list_tracks(deps.database, wanted, "popular", Slice(limit))
    return json_answer({"items": page.items, "next_cursor": None})


@router.post(
    "/api/artists",
    operation_id="create_artist",
    status_code=201,
    response_model=ArtistOut,
    responses=documented(403, 409),
)
async def create_artist(user: Maker, body: ArtistIn, deps: Inside) -> Response:
    """Make an artist of mine; uploads that name it will be credited to it."""
    by = editing(user, deps)
    async with deps.open_unit() as unit:
        artist = await usecases.create_artist(unit, user.user_id, body.name, image_id=body.image_id, by=by)
    return revised_answer(await artists.one_artist(deps.database, artist.id, Viewer.of(user)), status=201)


@router.patch(
    "/api/artists/{artist_id}",
    operation_id="patch_artist",
    response_model=ArtistOut,
    responses=documented(403, 404, 409, 412),
)
@router.put(
    "/api/artists/{artist_id}",
    operation_id="put_artist",
    response_model=ArtistOut,
    responses=documented(403, 404, 409, 412),
)
async def patch_artist(
    artist_id: UUID, user: Maker, body: ArtistPatch, expected: IfMatch, deps: Inside
) -> Response:
    """Change one of my artists; a new name is printed on all its tracks and albums."""
    async with deps.open_unit() as unit:
        await usecases.change_artist(unit, artist_id, body.values(), editing(user, deps, expected))
    return revised_answer(await artists.one_artist(deps.database, artist_id, Viewer.of(user)))


@router.delete(
    "/api/artists/{artist_id}",
    operation_id="delete_artist",
    status_code=204,
    responses=documented(403, 404, 409, 412),
)
async def delete_artist(artist_id: UUID, user: Maker, expected: IfMatch, deps: Inside) -> Response:
    """Delete one of my artists that nothing is credited to."""
    async with deps.open_unit() as unit:
        await usecases.delete_artist(unit, artist_id, editing(user, deps, expected))
    return Response(status_code=204)
