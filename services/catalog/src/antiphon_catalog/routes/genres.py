"""Genres."""

from fastapi import APIRouter, Response

from antiphon_catalog.queries import genres
from antiphon_catalog.routes.parameters import Inside, Part
from antiphon_catalog.schemas.answers import GenrePageOut
from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import Anyone

router = APIRouter(tags=["genres"])


@router.get("/api/genres", operation_id="list_genres", response_model=GenrePageOut)
async def list_genres(viewer: Anyone, deps: Inside, part: Part) -> Response:  # noqa: ARG001
    """Genres with the number of their public tracks, the largest first."""
    return json_answer(await genres.list_genres(deps.database, part))
