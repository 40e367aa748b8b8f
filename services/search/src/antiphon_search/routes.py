"""HTTP in and out of the search service."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from antiphon_common.principal import Principal
from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import Anyone
from antiphon_search import queries
from antiphon_search.domain import KINDS, Filters, Kind
from antiphon_search.ports import Deps
from antiphon_search.schemas import (
    AlbumPage,
    ArtistPage,
    KindSearchIn,
    PlaylistPage,
    SearchIn,
    SearchOut,
    SuggestIn,
    SuggestOut,
    TrackPage,
)


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


Inside = Annotated[Deps, Depends(_deps)]
Wanted = Annotated[KindSearchIn, Query()]

router = APIRouter(tags=["search"])


@router.get("/api/search", operation_id="search", response_model=SearchOut)
async def search(viewer: Anyone, wanted: Annotated[SearchIn, Query()], deps: Inside) -> Response:
    """Tracks, artists, albums and playlists; typos, beginnings and other spellings are understood."""
    return json_answer(await queries.search(deps, _question(viewer, wanted), _kinds(wanted.types)))


@router.get("/api/search/tracks", operation_id="search_tracks", response_model=TrackPage)
async def search_tracks(viewer: Anyone, wanted: Wanted, deps: Inside) -> Response:
    """Tracks, page by page."""
    return json_answer(await _page(deps, viewer, wanted, "track"))


@router.get("/api/search/artists", operation_id="search_artists", response_model=ArtistPage)
async def search_artists(viewer: Anyone, wanted: Wanted, deps: Inside) -> Response:
    """Artists, page by page."""
    return json_answer(await _page(deps, viewer, wanted, "artist"))


@router.get("/api/search/albums", operation_id="search_albums", response_model=AlbumPage)
async def search_albums(viewer: Anyone, wanted: Wanted, deps: Inside) -> Response:
    """Albums, page by page."""
    return json_answer(await _page(deps, viewer, wanted, "album"))


@router.get("/api/search/playlists", operation_id="search_playlists", response_model=PlaylistPage)
async def search_playlists(viewer: Anyone, wanted: Wanted, deps: Inside) -> Response:
    """Playlists, page by page."""
    return json_answer(await _page(deps, viewer, wanted, "playlist"))


@router.get("/api/search/suggest", operation_id="suggest", response_model=SuggestOut)
async def suggest(viewer: Anyone, wanted: Annotated[SuggestIn, Query()], deps: Inside) -> Response:
    """Names that begin like what was typed so far."""
    filters = Filters(viewer=viewer.user_id if viewer else None)
    return json_answer(await queries.suggest(deps, queries.Question(wanted.q, filters, wanted.limit)))


async def _page(deps: Deps, viewer: Principal | None, wanted: KindSearchIn, kind: Kind) -> queries.Shown:
    return await queries.search_kind(deps, _question(viewer, wanted), kind, wanted.cursor)


def _question(viewer: Principal | None, wanted: SearchIn | KindSearchIn) -> queries.Question:
    filters = Filters(
        viewer=viewer.user_id if viewer else None,
        genre=wanted.genre,
        year_from=wanted.year_from,
        year_to=wanted.year_to,
    )
    return queries.Question(wanted.q, filters, wanted.limit)


def _kinds(types: str | None) -> tuple[Kind, ...]:
    if types is None:
        return KINDS
    asked = {name.removesuffix("s") for name in types.split(",")}
    return tuple(kind for kind in KINDS if kind in asked)
