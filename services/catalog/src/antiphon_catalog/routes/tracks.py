"""Tracks that are read: lists, one track, its waveform."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response

from antiphon_catalog.queries import tracks
from antiphon_catalog.queries.tracks import TrackFilter, TrackSort
from antiphon_catalog.queries.viewing import Viewer
from antiphon_catalog.routes.parameters import NOT_MODIFIED, Genre, IfNoneMatch, Inside, Part, revised_answer
from antiphon_catalog.schemas.answers import TrackOut, TrackPageOut, WaveformOut
from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import Anyone
from antiphon_common.web.problems import documented

router = APIRouter(tags=["tracks"])

Year = Annotated[int, Query(ge=1000, le=2999)]


@router.get("/api/tracks", operation_id="list_tracks", response_model=TrackPageOut)
async def list_tracks(
    viewer: Anyone,
    deps: Inside,
    part: Part,
    sort: TrackSort = "recent",
    genre: Genre | None = None,
    artist_id: UUID | None = None,
    album_id: UUID | None = None,
    year_from: Year | None = None,
    year_to: Year | None = None,
    mine: bool = False,
) -> Response:
    """Public tracks; with `mine=true` all that I uploaded, drafts and private ones included."""
    owner_id = Viewer.of(viewer).own() if mine else None
    wanted = TrackFilter(owner_id, genre, artist_id, album_id, year_from, year_to)
    return json_answer(await tracks.list_tracks(deps.database, wanted, sort, part))


@router.get("/api/tracks/popular", operation_id="list_popular_tracks", response_model=TrackPageOut)
async def list_popular_tracks(
    viewer: Anyone,  # noqa: ARG001
    deps: Inside,
    part: Part,
    period: Literal["all"] = "all",  # noqa: ARG001
) -> Response:
    """Public tracks by plays. Plays are counted as totals, so `all` is the only period there is yet."""
    return json_answer(await tracks.list_tracks(deps.database, TrackFilter(), "popular", part))


@router.get("/api/tracks/recent", operation_id="list_recent_tracks", response_model=TrackPageOut)
async def list_recent_tracks(viewer: Anyone, deps: Inside, part: Part) -> Response:  # noqa: ARG001
    """Public tracks, the newest first."""
    return json_answer(await tracks.list_tracks(deps.database, TrackFilter(), "recent", part))


@router.get(
    "/api/tracks/{track_id}",
    operation_id="get_track",
    response_model=TrackOut,
    responses={**NOT_MODIFIED, **documented(404)},
)
async def get_track(
    track_id: UUID, viewer: Anyone, deps: Inside, if_none_match: IfNoneMatch = None
) -> Response:
    """A track: public and unlisted ones for everybody, all others for their owner."""
    body = await tracks.one_track(deps.database, track_id, Viewer.of(viewer))
    return revised_answer(body, if_none_match=if_none_match)


@router.get(
    "/api/tracks/{track_id}/waveform",
    operation_id="get_waveform",
    response_model=WaveformOut,
    responses=documented(404),
)
async def get_waveform(track_id: UUID, viewer: Anyone, deps: Inside) -> Response:
    """1000 pairs of smallest and largest sample; they never change."""
    data, public = await tracks.waveform(deps.database, track_id, Viewer.of(viewer))
    audience = "public" if public else "private"
    headers = {"cache-control": f"{audience}, max-age=31536000, immutable"}
    return json_answer({"points": 1000, "encoding": "int8-min-max", "data": data}, headers=headers)
