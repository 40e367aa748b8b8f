"""Registration and the first administrator."""

from fastapi import APIRouter, Response

from antiphon_auth import usecases
from antiphon_auth.domain.accounts import Account
from antiphon_auth.routes.visits import Inside
from antiphon_auth.schemas import BootstrapIn, RegisteredOut, RegisterIn
from antiphon_auth.usecases import Registration
from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import Anyone
from antiphon_common.web.problems import documented

router = APIRouter(tags=["auth"])


@router.post(
    "/api/auth/register",
    operation_id="register",
    status_code=201,
    response_model=RegisteredOut,
    responses=documented(409),
)
async def register(body: RegisterIn, caller: Anyone, deps: Inside) -> Response:  # noqa: ARG001
    """Make an account. The address is kept in lower case and NFKC; each has one account."""
    account = await usecases.register(deps, _registration(body))
    return _registered(account)


@router.post(
    "/api/auth/bootstrap",
    operation_id="bootstrap",
    status_code=201,
    response_model=RegisteredOut,
    responses=documented(403, 409, 410),
)
async def bootstrap(body: BootstrapIn, caller: Anyone, deps: Inside) -> Response:  # noqa: ARG001
    """Make the first administrator with the secret that the server left in a private file; works once."""
    account = await usecases.make_first_admin(deps, body.secret, _registration(body))
    return _registered(account)


def _registration(body: RegisterIn) -> Registration:
    return Registration(email=body.email, password=body.password, name=body.name)


def _registered(account: Account) -> Response:
    user = {
        "id": account.id, "email": account.email, "name": account.name, "roles": account.roles,
        "email_verified": account.email_verified, "created_at": account.created_at,
    }  # fmt: skip
    return json_answer({"user": user}, status=201, headers={"cache-control": "no-store"})
