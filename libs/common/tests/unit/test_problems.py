"""Every failure becomes problem+json that says what, never who wrote what, and can be found by its trace."""

import asyncio
from collections.abc import AsyncIterator
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Query, Response, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from antiphon_common import errors
from antiphon_common.clock import SystemClock
from antiphon_common.errors import FieldError, Invalid, NotFound, ServiceError, TooMany, Unavailable
from antiphon_common.telemetry import Telemetry
from antiphon_common.testing.running import running
from antiphon_common.testing.suites.outbox import LOG
from antiphon_common.testing.tokens import TokenMaker
from antiphon_common.web.answers import json_answer
from antiphon_common.web.app import PolicyMissing, service_app
from antiphon_common.web.fields import STRICT, Id
from antiphon_common.web.health import Check
from antiphon_common.web.identity import Admin, Anyone, JwksClient, User, Verifier
from antiphon_common.web.problems import STATUS, documented

CANARY = "c4n4ry-5ecret"
THING = "018f0000-0000-7000-8000-000000000000"
RAISED = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and kind in STATUS}


class Colour(Enum):
    """Two colours."""

    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Everything(BaseModel):
    """A field of every kind that can be wrong."""

    model_config = STRICT

    id: Id | None = None
    colour: Colour | None = None
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "DE"
    count: Annotated[int, Field(ge=1, le=3)] = 1
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    names: dict[str, int] = {}
    items: list[int] = []


router = APIRouter()


@router.get("/raise/{name}")
async def get_raise(caller: Anyone, name: str) -> Response:
    raise RAISED[name]("some_code", "Some detail.")


@router.get("/crash")
async def get_crash(caller: Anyone) -> Response:
    raise RuntimeError(f"SELECT * FROM users WHERE password = '{CANARY}'")


@router.get("/limited")
async def get_limited(caller: Anyone) -> Response:
    raise TooMany("slow_down", "Slower, please.", retry_after=17)


@router.get("/fields")
async def get_fields(caller: Anyone) -> Response:
    raise Invalid("invalid_track", "No.", errors=[FieldError("body.title", "too_long", "Too long.")])


@router.post("/everything")
async def post_everything(caller: Anyone, body: Everything) -> Response:
    return Response(status_code=204)


@router.get("/things/{thing_id}")
async def get_thing(
    caller: Anyone, thing_id: UUID, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> Response:
    return json_answer({"id": thing_id})


@router.delete("/things/{thing_id}")
async def delete_thing(caller: Anyone, thing_id: UUID) -> Response:
    return Response(status_code=204)


@router.get("/broken-body")
async def get_broken_body(caller: Anyone, late: str) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"begun"
        raise Unavailable("blob_unavailable") if late == "service" else RuntimeError(CANARY)

    return StreamingResponse(body())


@router.get("/mine")
async def get_mine(caller: User) -> Response:
    return json_answer({"id": caller.user_id})


@router.get("/all", responses=documented(404))
async def get_all(caller: Admin) -> Response:
    return json_answer({})


def make_app(tokens: TokenMaker, *routers: APIRouter, checks: dict[str, Check] | None = None) -> FastAPI:
    clock = SystemClock()
    verifier = Verifier(JwksClient(tokens.jwks_url), issuer="antiphon", audience="antiphon", clock=clock)
    return service_app(
        title="Test", description="", deps=None, routers=routers, components=[], checks=checks or {},
        verifier=verifier, telemetry=Telemetry("test"), log=LOG,
    )  # fmt: skip


@pytest.fixture
async def client(tokens: TokenMaker) -> AsyncIterator[httpx.AsyncClient]:
    async with running(make_app(tokens, router)) as client:
        yield client


def check_problem(answer: httpx.Response, status: int) -> None:
    problem = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert (problem["status"], problem["type"], len(problem["trace_id"])) == (status, "about:blank", 32)
    assert problem["title"]
    assert problem["detail"]
    assert CANARY not in answer.text


@pytest.mark.parametrize("name", RAISED)
async def test_a_category_has_its_status_and_keeps_its_code(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/raise/{name}")
    check_problem(answer, STATUS[RAISED[name]])
    assert (answer.json()["code"], answer.json()["detail"]) == ("some_code", "Some detail.")
    assert answer.json()["instance"] == f"/raise/{name}"


def test_every_category_has_a_status() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)
    ]
    assert set(kinds) - {ServiceError} == set(STATUS)


async def test_a_crash_says_nothing_of_itself(client: httpx.AsyncClient) -> None:
    answer = await client.get("/crash")
    check_problem(answer, 500)
    assert "SELECT" not in answer.text
    assert "RuntimeError" not in answer.text


async def test_a_limit_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    assert (await client.get("/limited")).headers["retry-after"] == "17"
    assert (await client.get("/raise/Unavailable")).headers["retry-after"] == "1"
    assert (await client.get("/raise/Unauthenticated")).headers["www-authenticate"] == "Bearer"


async def test_rejected_fields_are_listed(client: httpx.AsyncClient) -> None:
    answer = await client.get("/fields")
    check_problem(answer, 422)
    assert answer.json()["errors"] == [{"loc": "body.title", "code": "too_long", "message": "Too long."}]
    assert "errors" not in (await client.get("/raise/NotFound")).json()


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"id": CANARY}, "body.id"), ({"id": 7}, "body.id"), ({"colour": CANARY}, "body.colour"),
        ({"country": CANARY}, "body.country"), ({"count": 99}, "body.count"), ({"count": CANARY}, "body.count"),
        ({"pet": {"kind": CANARY}}, "body.pet"), ({f"<b>{CANARY}</b>": 1}, "body.?"),
        ({CANARY * 50: 1}, "body.?"), ({"names": {f"{CANARY} x": "y"}}, "body.names.?"),
        ({"unknown_field": CANARY}, "body.unknown_field"), ({"items": [1, CANARY]}, "body.items.1"),
    ],
)  # fmt: skip
async def test_what_was_sent_is_never_repeated(client: httpx.AsyncClient, body: object, loc: str) -> None:
    answer = await client.post("/everything", json=body)
    check_problem(answer, 422)
    assert answer.json()["errors"][0]["loc"] == loc


async def test_a_long_list_of_mistakes_has_a_short_answer(client: httpx.AsyncClient) -> None:
    answer = await client.post("/everything", json={"items": ["x"] * 900})
    check_problem(answer, 422)
    assert len(answer.content) < 5000


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/things/{CANARY}", 422),
        (f"/things/{THING}?limit=0", 422),
        (f"/things/{THING}?limit={CANARY}", 422),
    ],
)
async def test_what_is_in_the_address_is_only_repeated_as_the_instance(
    client: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await client.get(path)
    problem = answer.json()
    assert (answer.status_code, problem["instance"]) == (status, path.partition("?")[0])
    assert CANARY not in str({**problem, "instance": ""})


async def test_unknown_paths_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    check_problem(await client.get("/nowhere"), 404)
    answer = await client.delete("/crash")
    check_problem(answer, 405)
    assert answer.headers["allow"] == "GET"
    check_problem(await client.post("/healthz"), 405)


async def test_a_405_names_every_method_of_the_path(client: httpx.AsyncClient) -> None:
    answer = await client.patch(f"/things/{THING}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET")


async def test_the_instance_is_the_path_whatever_the_host_says(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nowhere", headers={"host": "evil.example/other?x="})
    assert answer.json()["instance"] == "/nowhere"


async def test_the_trace_is_the_callers(client: httpx.AsyncClient) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = await client.get("/nowhere", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert answer.json()["trace_id"] == trace


@pytest.mark.parametrize("late", ["service", "bug"])
async def test_a_body_that_breaks_off_is_broken_off_and_no_second_answer(
    tokens: TokenMaker, late: str
) -> None:
    sent: list[dict[str, object]] = []
    app = make_app(tokens, router)
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "headers": [],
        "path": "/broken-body", "raw_path": b"/broken-body", "query_string": f"late={late}".encode(),
        "root_path": "", "scheme": "http", "server": ("test", 80), "client": ("test", 1),
    }  # fmt: skip

    body = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, object]:
        if not body:
            await asyncio.Event().wait()
        return body.pop()

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    await app(scope, receive, send)
    assert [message["type"] for message in sent].count("http.response.start") == 1
    assert not any(message.get("more_body") is False for message in sent)


async def test_policies_decide_who_may_call(client: httpx.AsyncClient, tokens: TokenMaker) -> None:
    good, admin = tokens.bearer(), tokens.bearer(roles=("listener", "admin"))
    bad = {"authorization": "Bearer x"}
    codes = {
        path: [(await client.get(path, headers=headers)).status_code for headers in ({}, bad, good, admin)]
        for path in (f"/things/{THING}", "/mine", "/all")
    }
    assert list(codes.values()) == [[200, 401, 200, 200], [401, 401, 200, 200], [401, 401, 403, 200]]


async def test_two_authorizations_are_refused(client: httpx.AsyncClient, tokens: TokenMaker) -> None:
    token = tokens.bearer()["authorization"]
    answer = await client.get("/mine", headers=[("authorization", token), ("authorization", token)])
    check_problem(answer, 401)


def test_a_token_in_the_query_string_is_nobody(tokens: TokenMaker) -> None:
    async def ask() -> int:
        async with running(make_app(tokens, router)) as client:
            token = tokens.sign(tokens.claims())
            return (await client.get(f"/mine?access_token={token}")).status_code

    assert asyncio.run(ask()) == 401


def nested(prefix: str, inner: APIRouter) -> APIRouter:
    outer = APIRouter(prefix=prefix)
    outer.include_router(inner)
    return outer


def forgotten() -> APIRouter:
    inner = APIRouter()

    @inner.get("/forgotten")
    async def get_forgotten() -> Response:
        return Response()

    return inner


def twice() -> APIRouter:
    inner = APIRouter()

    @inner.get("/twice")
    async def get_twice(caller: User, admin: Admin) -> Response:
        return Response()

    return inner


def plain() -> APIRouter:
    async def endpoint(_: object) -> Response:
        return Response()

    inner = APIRouter()
    inner.add_route("/plain", endpoint)
    return inner


def socket() -> APIRouter:
    inner = APIRouter()

    @inner.websocket("/socket")
    async def get_socket(socket: WebSocket) -> None: ...

    return inner


@pytest.mark.parametrize("make", [forgotten, twice, plain, socket])
def test_an_app_with_a_route_without_one_policy_does_not_start(tokens: TokenMaker, make: object) -> None:
    assert callable(make)
    for routes in (make(), nested("/outer", make()), nested("/most", nested("/outer", make()))):
        with pytest.raises(PolicyMissing):
            make_app(tokens, router, routes)


async def test_the_document_says_policy_and_problems_of_every_route(tokens: TokenMaker) -> None:
    document = make_app(tokens, router).openapi()
    operation = document["paths"]["/all"]["get"]
    assert operation["x-policy"] == "admin"
    assert {"401", "403", "404", "422", "500", "503"} <= set(operation["responses"])
    assert "application/problem+json" in operation["responses"]["404"]["content"]
    assert document["paths"]["/mine"]["get"]["security"] == [{"bearer": []}]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert document == make_app(tokens, router).openapi()


async def test_readiness_names_what_is_missing_and_does_not_wait_for_ever(tokens: TokenMaker) -> None:
    async def good() -> None: ...

    async def away() -> None:
        raise NotFound("x")

    async def hangs() -> None:
        await asyncio.Event().wait()

    app = make_app(tokens, router, checks={"database": good, "bus": away, "index": hangs})
    async with running(app) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        answer = await asyncio.wait_for(client.get("/readyz"), 5)
        assert (answer.status_code, answer.json()["missing"]) == (503, ["bus", "index"])
    async with running(make_app(tokens, router, checks={"database": good})) as client:
        assert (await client.get("/readyz")).status_code == 200
