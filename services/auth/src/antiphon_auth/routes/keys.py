"""The public keys, and the list of revocations that the gateway reads."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from antiphon_auth import queries
from antiphon_auth.routes.visits import Inside
from antiphon_auth.schemas import KeysOut
from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import Anyone

router = APIRouter(tags=["auth"])


@router.get("/api/auth/jwks.json", operation_id="get_jwks", response_model=KeysOut)
async def get_jwks(caller: Anyone, deps: Inside) -> Response:  # noqa: ARG001
    """The keys that access tokens are or will soon be signed with."""
    return json_answer({"keys": deps.published_keys()}, headers={"cache-control": "public, max-age=60"})


@router.get("/internal/revocations", include_in_schema=False)
async def get_revocations(
    caller: Anyone,  # noqa: ARG001
    deps: Inside,
    after: Annotated[str | None, Query(pattern=r"^[0-9]{0,18}$")] = None,
) -> Response:
    """What was revoked after a cursor. Ids only; the gateway never routes `/internal/`."""
    return json_answer(await queries.revocations(deps.database, after, deps.clock.now()))
