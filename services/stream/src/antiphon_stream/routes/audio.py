"""The way of the bytes: from a request's scope to blocks of 256 KiB, and nothing needless between.

`AudioFront` stands before the framework and answers what can be answered with audio. Everything else,
refusals too, goes on to the framework, whose route makes the same decision again and says so as usual.
"""

import asyncio
from dataclasses import dataclass
from time import perf_counter
from uuid import UUID

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon_common.errors import NotFound, ServiceError, Stale, Unauthenticated, Unavailable
from antiphon_common.telemetry import Telemetry
from antiphon_common.web.identity import Verifier, bearer_token
from antiphon_common.web.measuring import Requests
from antiphon_common.web.problems import PROBLEM_JSON, problem_body
from antiphon_stream import queries
from antiphon_stream.domain import VARIANTS, Answer, Asked, Heard, Track, Variant, decide
from antiphon_stream.ports import Deps, Handle
from antiphon_stream.queries import Listener

BLOCK = 256 * 1024
REFUSAL = "antiphon.refusal"
"""Under which a request's scope says that it was refused already, and why: nobody decides it twice."""

_PREFIX = "/api/stream/"
_UUID_LENGTH = 36
_VARIANTS: dict[str, Variant] = {name: name for name in VARIANTS}
_CONDITIONS = {
    b"range": "range",
    b"if-range": "if_range",
    b"if-match": "if_match",
    b"if-none-match": "if_none_match",
}
# The gateway's, word for word: the edge may send listeners straight here.
_INERT = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_PRIVATE = ((b"cache-control", b"private, no-cache"), (b"accept-ranges", b"bytes"), *_INERT)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be answered to whom.

    `handle` is on loan until it has been sent; none without a body. The `first` bytes of the body are read
    before the status is sent: as long as the store fails, it can still be said.
    """

    track: Track
    listener: Listener
    answer: Answer
    handle: Handle | None
    first: bytes


class AudioFront:
    """Answers `GET` and `HEAD /api/stream/{track_id}` that succeed; passes everything else on."""

    def __init__(self, app: ASGIApp, *, deps: Deps, verifier: Verifier, telemetry: Telemetry) -> None:
        self._app = app
        self._deps = deps
        self._verifier = verifier
        self._requests = Requests(telemetry.metrics) if telemetry.metrics.on else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        plan = await self._plan(scope) if scope["type"] == "http" else None
        if plan is None:
            await self._app(scope, receive, _made_inert(send))
        else:
            if self._requests:
                # To its first byte: how long the rest takes is up to the listener.
                took = perf_counter() - began
                self._requests.note(scope["method"], f"{_PREFIX}{{track_id}}", plan.answer.status, took)
            await send_audio(self._deps, plan, scope["method"], receive, send)

    async def _plan(self, scope: Scope) -> Plan | None:
        path: str = scope["path"]
        if not path.startswith(_PREFIX) or scope["method"] not in ("GET", "HEAD"):
            return None
        track_id, wanted = _track_id(path), _plain_query(scope["query_string"])
        if track_id is None or wanted is None:
            return None
        try:
            return await plan_audio(self._deps, self._verifier, scope, track_id, *wanted)
        except ServiceError as error:
            scope[REFUSAL] = error
            return None


def _made_inert(send: Send) -> Send:
    async def sends(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message.setdefault("headers", [])
            known = {name for name, _ in headers}
            message["headers"] = [*headers, *(pair for pair in _INERT if pair[0] not in known)]
        await send(message)

    return sends


async def plan_audio(
    deps: Deps, verifier: Verifier, scope: Scope, track_id: UUID, variant: Variant, ticket: str | None
) -> Plan:
    """Decide what to answer, and read the beginning of it.

    Raises `Unauthenticated`, `Forbidden`, `NotFound`, `Stale` when a condition fails, or `Unavailable`.
    """
    asked, authorization = _asked(scope)
    if ticket is not None:
        listener = deps.tickets.listener(ticket, track_id=track_id, variant=variant)
    else:
        token = bearer_token(authorization)
        if token is None:
            raise Unauthenticated("invalid_token", "The access token is missing, not valid, or expired.")
        listener = queries.by_token(await verifier.verify(token))
    track = await queries.playable(deps, track_id, listener)
    answer = decide(asked, size=track.bytes, etag=track.etag)
    if answer.status == 412:
        raise Stale("precondition_failed", "The audio is another one than If-Match names.")
    if not answer.length or asked.method != "GET":
        return Plan(track, listener, answer, None, b"")
    handle = await _opened(deps, track)
    try:
        first = await handle.blob.read(answer.start, min(BLOCK, answer.length))
    except BaseException:  # also a cancellation: who asked has left, and the file must not stay on loan
        deps.blobs.release(handle)
        raise
    return Plan(track, listener, answer, handle, first)


async def send_audio(deps: Deps, plan: Plan, method: str, receive: Receive, send: Send) -> None:
    """Send the answer. A body that can no longer be sent in full is broken off, which the listener sees."""
    answer, body = plan.answer, b""
    if answer.status == 416:
        detail = "The file has fewer bytes than that."
        path = f"{_PREFIX}{plan.track.id}"
        body = problem_body(416, "range_not_satisfiable", detail, instance=path)
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": _headers(plan, body)})
        if plan.handle is None:
            await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
        else:
            await _send_blocks(deps, plan, plan.handle, receive, send)
    finally:
        if plan.handle is not None:
            deps.blobs.release(plan.handle)


async def _send_blocks(deps: Deps, plan: Plan, handle: Handle, receive: Receive, send: Send) -> None:
    track, listener = plan.track, plan.listener
    heard = Heard(listener.user_id, track.id, listener.listen)
    position, end = plan.answer.start, plan.answer.start + plan.answer.length
    left: asyncio.Task[None] | None = None
    block = plan.first
    try:
        while block:
            after = position + len(block)
            message = {"type": "http.response.body", "body": block, "more_body": after < end}
            # Nothing is in the way of the first block, so nothing needs to watch it.
            await (send(message) if left is None else asyncio.wait_for(send(message), deps.stalled_seconds))
            # After the last block the server reports the end as if the listener had hung up.
            if left is not None and left.done() and after < end:
                return
            deps.books.served(heard, track, position, after)
            position = after
            if position == end or not await _still_playable(deps, plan):
                return
            left = left or asyncio.create_task(_hung_up(receive))
            block = await handle.blob.read(position, min(BLOCK, end - position))
    except (TimeoutError, Unavailable):
        # The listener does not read, or the store fails. Returning without the rest makes the server hang up.
        return
    finally:
        if left is not None:
            left.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _still_playable(deps: Deps, plan: Plan) -> bool:
    """Whether the listener may hear the rest: the track may have been withdrawn since the last block."""
    track = await deps.tracks.find(plan.track.id)
    return track is not None and track.sha256 == plan.track.sha256 and plan.listener.may_hear(track)


async def _opened(deps: Deps, track: Track) -> Handle:
    try:
        handle = await deps.blobs.acquire(track.blob_key)
    except (NotFound, ValueError) as error:
        # The upload was deleted, and catalog's word of it is still on its way.
        raise NotFound("track_not_found", "There is no such track.") from error
    if handle.blob.size != track.bytes:
        deps.blobs.release(handle)
        raise Unavailable("audio_unavailable", "The stored audio is not what it should be.")
    return handle


def _headers(plan: Plan, problem: bytes) -> list[tuple[bytes, bytes]]:
    track, answer = plan.track, plan.answer
    headers = [(b"etag", track.etag.encode()), *_PRIVATE]
    if answer.content_range is not None:
        headers.append((b"content-range", answer.content_range.encode()))
    if answer.status == 304:
        return headers
    mime = PROBLEM_JSON if answer.status == 416 else track.mime
    length = len(problem) if answer.status == 416 else answer.length
    return [(b"content-type", mime.encode("latin-1")), (b"content-length", b"%d" % length), *headers]


def _asked(scope: Scope) -> tuple[Asked, list[str]]:
    conditions: dict[str, str] = {}
    authorization: list[str] = []
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization.append(value.decode("latin-1"))
        elif name in _CONDITIONS:
            known = conditions.get(_CONDITIONS[name])
            text = value.decode("latin-1")
            conditions[_CONDITIONS[name]] = text if known is None else f"{known},{text}"
    return Asked(scope["method"], **conditions), authorization


def _track_id(path: str) -> UUID | None:
    text = path[len(_PREFIX) :]
    if len(text) != _UUID_LENGTH:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def _plain_query(raw: bytes) -> tuple[Variant, str | None] | None:
    """Variant and ticket of a query that holds nothing else and needs no decoding; none for any other."""
    if not raw:
        return "original", None
    if b"%" in raw or b"+" in raw:
        return None
    fields: dict[str, str] = {}
    for pair in raw.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        if name in fields or name not in ("variant", "ticket"):
            return None
        fields[name] = value
    known = _VARIANTS.get(fields.get("variant", "original"))
    return None if known is None else (known, fields.get("ticket"))
