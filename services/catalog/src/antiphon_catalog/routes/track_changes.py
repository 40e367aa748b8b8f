"""Tracks that are changed: made of an upload, edited, published, withdrawn, deleted."""

from uuid import UUID

from fastapi import APIRouter, Response

from antiphon_catalog.queries import tracks
from antiphon_catalog.queries.viewing import Viewer
from antiphon_catalog.routes.parameters import IfMatch, Inside, Maker, editing, revised_answer
from antiphon_catalog.schemas.answers import TrackOut
from antiphon_catalog.schemas.requests import TrackIn, TrackPatch
from antiphon_catalog.usecases import tracks as usecases
from antiphon_common.web.identity import User
from antiphon_common.web.problems import documented

router = APIRouter(tags=["tracks"])


@router.post(
    "/api/tracks",
    operation_id="create_track",
    status_code=201,
    response_model=TrackOut,
    responses=documented(403, 404, 409),
)
async def create_track(user: Maker, body: TrackIn, deps: Inside) -> Response:
    """Publish the draft of one of my uploads, adding what its tags did not say."""
    async with deps.open_unit() as unit:
        track = await usecases.complete_upload(unit, body.upload_id, body.change(), editing(user, deps))
    return revised_answer(await tracks.one_track(deps.database, track.id, Viewer.of(user)), status=201)


@router.patch(
    "/api/tracks/{track_id}",
    operation_id="patch_track",
    response_model=TrackOut,
    responses=documented(404, 409, 412),
)
@router.put(
    "/api/tracks/{track_id}",
    operation_id="put_track",
    response_model=TrackOut,
    responses=documented(404, 409, 412),
)
async def patch_track(
    track_id: UUID, user: User, body: TrackPatch, expected: IfMatch, deps: Inside
) -> Response:
    """Change fields of one of my tracks; `PUT` is accepted as `PATCH`."""
    async with deps.open_unit() as unit:
        await usecases.change_track(unit, track_id, body.change(), editing(user, deps, expected))
    return revised_answer(await tracks.one_track(deps.database, track_id, Viewer.of(user)))


@router.delete(
    "/api/tracks/{track_id}",
    operation_id="delete_track",
    status_code=204,
    responses=documented(404, 412),
)
async def delete_track(track_id: UUID, user: User, expected: IfMatch, deps: Inside) -> Response:
    """Delete one of my tracks and its upload."""
    async with deps.open_unit() as unit:
        await usecases.delete_track(unit, track_id, editing(user, deps, expected))
    return Response(status_code=204)


@router.post(
    "/api/tracks/{track_id}/publication",
    operation_id="publish_track",
    response_model=TrackOut,
    responses=documented(404, 409, 412),
)
async def publish_track(track_id: UUID, user: User, expected: IfMatch, deps: Inside) -> Response:
    """Publish one of my drafts, or one I withdrew; its visibility says to whom."""
    async with deps.open_unit() as unit:
        await usecases.publish_track(unit, track_id, editing(user, deps, expected))
    return revised_answer(await tracks.one_track(deps.database, track_id, Viewer.of(user)))


@router.delete(
    "/api/tracks/{track_id}/publication",
    operation_id="withdraw_track",
    status_code=204,
    responses=documented(404, 412),
)
async def withdraw_track(track_id: UUID, user: User, expected: IfMatch, deps: Inside) -> Response:
    """Withdraw one of my tracks: nobody else sees or plays it any more."""
    async with deps.open_unit() as unit:
        await usecases.withdraw_track(unit, track_id, editing(user, deps, expected))
    return Response(status_code=204)
