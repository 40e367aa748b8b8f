"""JSON and query strings that are not exactly what they should be never reach a route."""

import time
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel

from antiphon_common.clock import SystemClock
from antiphon_common.errors import Malformed
from antiphon_common.telemetry import Telemetry
from antiphon_common.testing.running import running
from antiphon_common.testing.suites.outbox import LOG
from antiphon_common.testing.tokens import TokenMaker
from antiphon_common.web.answers import json_answer
from antiphon_common.web.app import service_app
from antiphon_common.web.fields import STRICT, Line
from antiphon_common.web.identity import Anyone, JwksClient, Verifier
from antiphon_common.web.middleware import MAX_JSON_BYTES, MAX_JSON_DEPTH, check_json


class Note(BaseModel):
    """A request with one line."""

    model_config = STRICT

    text: Line
    number: float = 0


router = APIRouter()


@router.post("/notes")
async def post_note(caller: Anyone, body: Note) -> Response:
    return json_answer(body.model_dump())


@router.post("/raw")
async def post_raw(caller: Anyone, request: Request) -> Response:
    return json_answer({"size": sum([len(chunk) async for chunk in request.stream()])})


@pytest.fixture
async def client(tokens: TokenMaker) -> AsyncIterator[httpx.AsyncClient]:
    clock = SystemClock()
    verifier = Verifier(JwksClient(tokens.jwks_url), issuer="antiphon", audience="antiphon", clock=clock)
    app: FastAPI = service_app(
        title="Test", description="", deps=None, routers=[router], components=[], checks={},
        verifier=verifier, telemetry=Telemetry("test"), log=LOG,
    )  # fmt: skip
    async with running(app) as client:
        yield client


JSON = {"content-type": "application/json"}
MALFORMED = {
    "nothing but a brace": b"{",
    "NaN": b'{"text": "a", "number": NaN}',
    "Infinity": b'{"text": "a", "number": -Infinity}',
    "a number too large": b'{"text": "a", "number": 1e400}',
    "an integer of 10,000 digits": b'{"text": "a", "number": ' + b"9" * 10_000 + b"}",
    "a member twice": b'{"text": "a", "text": "b"}',
    "a member twice, spelt differently": b'{"text": "a", "te\\u0078t": "b"}',
    "a member twice, deep inside": b'{"text": "a", "number": [{"x": 1, "x": 2}]}',
    "too deep": b'{"text":' + b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH + b"}",
    "very deep": b"[" * 100_000,
    "UTF-16": '{"text": "a"}'.encode("utf-16"),
    "Latin-1": b'{"text": "\xe4"}',
    "a byte order mark": b'\xef\xbb\xbf{"text": "a"}',
    "a comment": b'{"text": "a" /* x */}',
    "a trailing comma": b'{"text": "a",}',
    "single quotes": b"{'text': 'a'}",
    "a raw line break in a text": b'{"text": "a\nb"}',
    "two documents": b'{"text": "a"}{"text": "b"}',
}
INVALID = {
    "a NUL": b'{"text": "a\\u0000b"}',
    "half a surrogate pair": b'{"text": "\\ud83c"}',
    "the other half": b'{"text": "\\udfb5 x"}',
    "a NUL in a name": b'{"text": "a", "x\\u0000": 1}',
    "a NUL deep inside": b'{"text": "a", "number": [[{"x": "\\u0000"}]]}',
    "a number for a text": b'{"text": 7}',
    "a text for a number": b'{"text": "a", "number": "7"}',
    "an unknown member": b'{"text": "a", "admin": true}',
    "no member": b"{}",
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "only white space": b'{"text": " \\u2003 "}',
    "only what cannot be seen": b'{"text": "\\u200b\\u2060"}',
    "two lines": b'{"text": "a\\nb"}',
    "two lines by a separator": b'{"text": "a\\u2028b"}',
    "a direction override": b'{"text": "a\\u202egpj.exe"}',
    "too long": b'{"text": "' + b"x" * 301 + b'"}',
    "too long once it is normalised": b'{"text": "' + "\u0958".encode() * 300 + b'"}',
}


@pytest.mark.parametrize("what", MALFORMED)
async def test_what_is_no_json_is_malformed(client: httpx.AsyncClient, what: str) -> None:
    answer = await client.post("/notes", content=MALFORMED[what], headers=JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["trace_id"]


@pytest.mark.parametrize("what", INVALID)
async def test_what_is_json_and_wrong_is_invalid(client: httpx.AsyncClient, what: str) -> None:
    answer = await client.post("/notes", content=INVALID[what], headers=JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"text": "\\ud83c\\udfb5 \\u0041"}', "\U0001f3b5 A"),
        ('{"text": " Sigur Ro\u0301s "}'.encode(), "Sigur Rós"),
        (b'{"text": "[[[[{{{{\\"]]", "number": 1e300}', '[[[[{{{{"]]'),
        (b'  {"number": 12345678901234567890, "text": "a"}\r\n', "a"),
    ],
)
async def test_good_json_arrives_normalised(client: httpx.AsyncClient, body: bytes, text: str) -> None:
    answer = await client.post("/notes", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["text"]) == (200, text)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.api+json",
        "application/merge-patch+json",
    ],
)
async def test_every_spelling_of_the_json_type_is_checked(
    client: httpx.AsyncClient, content_type: str
) -> None:
    answer = await client.post(
        "/notes", content=b'{"text": "a", "text": "b"}', headers={"content-type": content_type}
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}, {"content-type": "x/y"}])
async def test_json_under_another_name_is_not_read_as_json(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    request = client.build_request("POST", "/notes", content=b'{"text": "a", "text": "b"}', headers=headers)
    answer = await client.send(request)
    assert answer.status_code == 422


async def test_a_json_body_has_its_limit_while_it_arrives(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50 * MAX_JSON_BYTES:
            sent += 65_536
            yield b" " * 65_536

    answer = await client.post("/notes", content=endless(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    largest = b'{"text": "a"}' + b" " * (MAX_JSON_BYTES - 13)
    assert (await client.post("/notes", content=largest, headers=JSON)).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", ""])
async def test_a_body_for_a_model_has_the_limit_under_every_name(
    client: httpx.AsyncClient, content_type: str
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50 * MAX_JSON_BYTES:
            sent += 65_536
            yield b" " * 65_536

    headers = {"content-type": content_type} if content_type else {}
    answer = await client.post("/notes", content=endless(), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert answer.json()["trace_id"]


async def test_other_bodies_pass_untouched_and_unlimited(client: httpx.AsyncClient) -> None:
    answer = await client.post("/raw", content=b"\0" * 1_000_000, headers={"content-type": "audio/flac"})
    assert answer.json() == {"size": 1_000_000}


@pytest.mark.parametrize(
    "query",
    ["a=1&a=2", "a=%00", "%00=a", "a=%ff", "a=%ed%a0%80", "&".join(f"a{n}=" for n in range(60)), "a=1&%61=2"],
)
async def test_a_query_string_that_is_not_exact_is_invalid(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.post(f"/raw?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_query")


@pytest.mark.parametrize("query", ["", "a", "a=", "a=%F0%9F%8E%B5&b=+", "a=1&b=1", "q=%26%3D%3B"])
async def test_a_query_string_that_is_exact_passes(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.post(f"/raw?{query}")).status_code == 200


@pytest.mark.parametrize(
    "body", [b'\\"' * 131_000, b'"' * 262_143, b'"\\' * 131_000, b'"' + b"\\\\" * 131_000, b'[""' * 80_000]
)
def test_the_depth_of_any_body_is_known_in_linear_time(body: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(Exception):  # noqa: B017 - whichever, but soon
        check_json(body)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"0," * 1000 + b"0]",
        b"{" + b",".join(b'"k%d":0' % n for n in range(1001)) + b"}",
        b'{"artists":['
        + b",".join([b"{" + b",".join(b'"k%d":0' % n for n in range(440)) + b"}"] * 3)
        + b"]}",
    ],
)
def test_more_than_a_thousand_values_are_refused_before_any_model_sees_them(body: bytes) -> None:
    with pytest.raises(Malformed, match="json_too_large"):
        check_json(body)
    check_json(b"[" + b"0," * 998 + b"0]")
