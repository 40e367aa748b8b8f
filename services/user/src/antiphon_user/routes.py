"""HTTP in and out of the user service."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import Anyone, User
from antiphon_common.web.problems import documented
from antiphon_user import queries, usecases
from antiphon_user.ports import Deps
from antiphon_user.schemas import AvatarIn, MeOut, MePatch, PreferencesOut, PreferencesPatch, ProfileOut
from antiphon_user.usecases import ProfileChange


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


Inside = Annotated[Deps, Depends(_deps)]

router = APIRouter(tags=["user"])


@router.get("/api/me", operation_id="get_me", response_model=MeOut, responses=documented(404))
async def get_me(user: User, deps: Inside) -> Response:
    """My own profile."""
    return json_answer(await queries.my_profile(deps.database, user.user_id))


@router.patch("/api/me", operation_id="patch_me", response_model=MeOut, responses=documented(404, 409))
@router.put("/api/me", operation_id="put_me", response_model=MeOut, responses=documented(404, 409))
async def patch_me(user: User, body: MePatch, deps: Inside) -> Response:
    """Change fields of my profile; `PUT` is accepted as `PATCH`."""
    change = ProfileChange(body.model_dump(exclude_unset=True))
    async with deps.open_unit() as unit:
        await usecases.change_profile(unit, user.user_id, change)
    return json_answer(await queries.my_profile(deps.database, user.user_id))


@router.put("/api/me/avatar", operation_id="put_my_avatar", response_model=MeOut, responses=documented(404))
async def put_my_avatar(user: User, body: AvatarIn, deps: Inside) -> Response:
    """Use one of the images I uploaded."""
    async with deps.open_unit() as unit:
        await usecases.change_profile(unit, user.user_id, ProfileChange({"avatar_id": body.image_id}))
    return json_answer(await queries.my_profile(deps.database, user.user_id))


@router.delete("/api/me/avatar", operation_id="delete_my_avatar", status_code=204, responses=documented(404))
async def delete_my_avatar(user: User, deps: Inside) -> Response:
    """Use no image any more."""
    async with deps.open_unit() as unit:
        await usecases.change_profile(unit, user.user_id, ProfileChange({"avatar_id": None}))
    return Response(status_code=204)


@router.get(
    "/api/me/preferences",
    operation_id="get_preferences",
    response_model=PreferencesOut,
    responses=documented(404),
)
async def get_preferences(user: User, deps: Inside) -> Response:
    """My preferences."""
    return json_answer(await queries.my_preferences(deps.database, user.user_id))


@router.patch(
    "/api/me/preferences",
    operation_id="patch_preferences",
    response_model=PreferencesOut,
    responses=documented(404),
)
async def patch_preferences(user: User, body: PreferencesPatch, deps: Inside) -> Response:
    """Change some of my preferences."""
    async with deps.open_unit() as unit:
        await usecases.change_preferences(unit, user.user_id, body.model_dump(exclude_unset=True))
    return json_answer(await queries.my_preferences(deps.database, user.user_id))


@router.get(
    "/api/users/{user_id}", operation_id="get_user", response_model=ProfileOut, responses=documented(404)
)
async def get_user(user_id: UUID, viewer: Anyone, deps: Inside) -> Response:  # noqa: ARG001
    """A public profile."""
    return json_answer(await queries.public_profile(deps.database, user_id))
