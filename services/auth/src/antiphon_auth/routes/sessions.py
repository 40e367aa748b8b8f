"""Sessions: begin, refresh, list, end."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from antiphon_auth import queries, usecases
from antiphon_auth.ports import Deps
from antiphon_auth.routes.visits import (
    Inside,
    give_device_cookie,
    give_refresh_cookie,
    refresh_cookie,
    refuse_foreign_origin,
    take_refresh_cookie,
    visit_of,
)
from antiphon_auth.schemas import LoginIn, RefreshIn, SessionsOut, TokensOut
from antiphon_auth.usecases import Credentials, Issued
from antiphon_common.errors import Unauthenticated
from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import Anyone, User
from antiphon_common.web.problems import documented

router = APIRouter(tags=["auth"])


@router.post(
    "/api/auth/login", operation_id="login", response_model=TokensOut, responses=documented(403, 429)
)
async def login(request: Request, body: LoginIn, caller: Anyone, deps: Inside) -> Response:  # noqa: ARG001
    """Begin a session. Whatever is wrong is 401 `bad_credentials`; too many attempts are 429."""
    cookie = body.session == "cookie"
    if cookie:
        refuse_foreign_origin(request, deps.rules)
    credentials = Credentials(email=body.email, password=body.password, cookie=cookie)
    issued = await usecases.log_in(deps, credentials, visit_of(request, deps.rules))
    answer = _tokens(deps, issued)
    proof = deps.issuer.device_cookie(issued.account.id, deps.clock.now())
    give_device_cookie(answer, proof, deps.rules)
    return answer


@router.post("/api/auth/refresh", operation_id="refresh", response_model=TokensOut, responses=documented(403))
async def refresh(
    request: Request,
    caller: Anyone,  # noqa: ARG001
    deps: Inside,
    body: RefreshIn | None = None,
) -> Response:
    """The next tokens of a session; the refresh token, in the body or the cookie, works once."""
    if body is None:
        refuse_foreign_origin(request, deps.rules)
    token = body.refresh_token if body else refresh_cookie(request, deps.rules)
    if not token:
        raise Unauthenticated("invalid_refresh_token", "There is no refresh token in the body or a cookie.")
    issued = await usecases.refresh(deps, token, visit_of(request, deps.rules))
    return _tokens(deps, issued)


@router.post("/api/auth/logout", operation_id="logout", status_code=204)
async def logout(user: User, deps: Inside) -> Response:
    """End this session."""
    await queries.require_live(deps.database, user)
    async with deps.open_unit() as unit:
        await usecases.log_out(unit, user, deps.clock.now())
    return _farewell(deps)


@router.post("/api/auth/logout-all", operation_id="logout_all", status_code=204)
async def logout_all(user: User, deps: Inside) -> Response:
    """End all my sessions, this one included."""
    await queries.require_live(deps.database, user)
    async with deps.open_unit() as unit:
        await usecases.log_out_everywhere(unit, user, deps.clock.now())
    return _farewell(deps)


@router.get("/api/auth/sessions", operation_id="list_sessions", response_model=SessionsOut)
async def list_sessions(
    user: User,
    deps: Inside,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """My sessions, newest login first."""
    await queries.require_live(deps.database, user)
    page = await queries.my_sessions(deps.database, user, now=deps.clock.now(), limit=limit, cursor=cursor)
    return json_answer(page, headers={"cache-control": "no-store"})


@router.delete(
    "/api/auth/sessions/{session_id}",
    operation_id="delete_session",
    status_code=204,
    responses=documented(404),
)
async def delete_session(session_id: UUID, user: User, deps: Inside) -> Response:
    """End one of my sessions."""
    await queries.require_live(deps.database, user)
    async with deps.open_unit() as unit:
        await usecases.end_session(unit, user, session_id, now=deps.clock.now())
    return Response(status_code=204)


def _tokens(deps: Deps, issued: Issued) -> Response:
    """The refresh token goes where the session began, wherever its predecessor came from."""
    in_cookie = issued.session.cookie
    access = deps.issuer.access_token(issued.account, issued.session, deps.clock.now())
    body = {"access_token": access, "token_type": "Bearer", "expires_in": usecases.ACCESS_SECONDS}
    if not in_cookie:
        body["refresh_token"] = issued.refresh_token
    answer = json_answer(body, headers={"cache-control": "no-store"})
    if in_cookie:
        give_refresh_cookie(answer, issued.refresh_token, deps.rules)
    return answer


def _farewell(deps: Deps) -> Response:
    # Not "cookies": the device stays known, so that strangers' failures cannot lock its owner out.
    answer = Response(status_code=204, headers={"clear-site-data": '"cache", "storage"'})
    take_refresh_cookie(answer, deps.rules)
    return answer
