"""Plays: reporting one, and what was played."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from antiphon_common.web.answers import json_answer
from antiphon_common.web.fields import Moment
from antiphon_common.web.identity import User
from antiphon_common.web.problems import documented
from antiphon_library import queries, usecases
from antiphon_library.routes.inside import Cursor, Inside, Limit
from antiphon_library.schemas import HistoryPage, PlayIn, PlayOut, RecentPage

router = APIRouter(tags=["plays"])


@router.post("/api/plays", operation_id="report_play", response_model=PlayOut, responses=documented(404, 409))
async def report_play(user: User, body: PlayIn, deps: Inside) -> Response:
    """Report a play, once it is over. The same report again changes nothing.

    It counts from 30 s (or 90 % of a shorter track), and only when as much was really streamed to me; that
    may become known after this answer.
    """
    async with deps.open_unit() as unit:
        play = await usecases.report_play(unit, user, body.report(), now=deps.clock.now())
    return json_answer({"play_id": play.report.play_id, "counted": play.counted})


@router.get("/api/me/recently-played", operation_id="list_recently_played", response_model=RecentPage)
async def list_recently_played(
    user: User, deps: Inside, limit: Limit = 20, cursor: Cursor = None
) -> Response:
    """The tracks I played long enough to count, each once, the latest first."""
    return json_answer(await queries.recently_played(deps.database, user, limit=limit, cursor=cursor))


@router.get("/api/me/history", operation_id="list_history", response_model=HistoryPage)
async def list_history(
    user: User, deps: Inside, limit: Limit = 20, cursor: Cursor = None,
    since: Annotated[Moment | None, Query(alias="from", description="The first moment")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="The first moment that is out")] = None,
) -> Response:  # fmt: skip
    """Everything I reported as played, the latest first."""
    page = await queries.history(deps.database, user, since=since, until=until, limit=limit, cursor=cursor)
    return json_answer(page)


@router.delete("/api/me/history", operation_id="clear_history", status_code=204)
async def clear_history(user: User, deps: Inside) -> Response:
    """Forget everything I played; it no longer counts for the tracks either."""
    async with deps.open_unit() as unit:
        await usecases.clear_history(unit, user)
    return Response(status_code=204)
