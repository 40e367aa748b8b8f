"""The routes as the framework and the OpenAPI document know them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.types import Receive, Scope, Send

from antiphon_common.errors import ServiceError
from antiphon_common.web.answers import json_answer
from antiphon_common.web.identity import Anyone, User, Verifier
from antiphon_common.web.problems import documented
from antiphon_stream import queries
from antiphon_stream.domain import Variant
from antiphon_stream.ports import Deps
from antiphon_stream.routes.audio import REFUSAL, Plan, plan_audio, send_audio
from antiphon_stream.schemas import ResolvedOut, ResolveIn


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps


Inside = Annotated[Deps, Depends(_deps)]
WantedVariant = Annotated[
    Variant, Query(description="Only the original is stored yet: every variant is answered with it")
]
Signature = Annotated[
    str | None, Query(max_length=256, description="From an address that resolve gave; else a bearer token")
]

_AUDIO: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The whole file",
        "content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {
        "description": "One range of it",
        "content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "Unchanged since the ETag in If-None-Match"},
    **documented(403, 404, 412, 416),
}

router = APIRouter(tags=["stream"])


class AudioAnswer(Response):
    """A planned answer, sent by the same code as on the short way."""

    def __init__(self, deps: Deps, plan: Plan, method: str) -> None:
        super().__init__(status_code=plan.answer.status)
        self._sending = (deps, plan, method)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        deps, plan, method = self._sending
        await send_audio(deps, plan, method, receive, send)


@router.post(
    "/api/stream/resolve",
    operation_id="resolve_tracks",
    response_model=list[ResolvedOut],
    responses=documented(404),
)
async def resolve_tracks(user: User, body: ResolveIn, deps: Inside) -> Response:
    """Signed addresses for the next tracks: they work without a header, for at least two hours."""
    return json_answer(await queries.resolve(deps, user, body.track_ids, body.variant))


@router.get("/api/stream/{track_id}", operation_id="get_audio", response_class=Response, responses=_AUDIO)
@router.head("/api/stream/{track_id}", operation_id="head_audio", response_class=Response, responses=_AUDIO)
async def get_audio(
    track_id: UUID,
    request: Request,
    _: Anyone,
    deps: Inside,
    variant: WantedVariant = "original",
    ticket: Signature = None,
) -> Response:
    """The audio of a track, whole or one byte range of it (RFC 9110); by token or by signed address."""
    if isinstance(refusal := request.scope.get(REFUSAL), ServiceError):
        raise refusal
    verifier: Verifier = request.app.state.verifier
    plan = await plan_audio(deps, verifier, request.scope, track_id, variant, ticket)
    return AudioAnswer(deps, plan, request.method)
