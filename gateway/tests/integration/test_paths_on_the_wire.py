"""Raw bytes to a real gateway: whatever path or host is sent, services see only canonical requests."""

import asyncio

import pytest

from antiphon_common.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENCODINGS = [
    "..", ".", "%2e%2e", "%2E%2E", ".%2e", "%2e.", "%2e", "..%2f", "..%2F", "%2e%2e%2f", "%2f", "%2F",
    "%5c", "%5C",
    "..\\", "..%5c", "%252e%252e", "%252f", "%25252e", "%255c", ";", ";x=1", "..;", ";%2f..", ".;", "%3b",
    "%00",
    "%00.json", "a%00", "%0a", "%0d%0a", "%09", "%20", "+%20", "%c0%ae%c0%ae", "%c0%af", "%e0%80%ae",
    "%uff0e",
    "%", "%g1", "%2", "", "/", "//", "../..", "..//", "./", "a/..", "%2e/%2e", "..%00/", "..%0d/", "..%ff/",
    "%2e%2e%5c", "%2e%2e;", "....//", "..././", "%252e%252e%252f", "*", "{id}", "@",
]  # fmt: skip
TARGETS = ["internal/revocations", "internal", "metrics", "openapi.json", "healthz", "api/me", "admin"]
PREFIXES = ["/api/tracks", "/api/genres", "/api/search"]


async def test_no_encoding_of_a_path_reaches_what_is_not_routed(site) -> None:
    assert len(ENCODINGS) == 60
    slots = asyncio.Semaphore(16)

    async def probe(path: str) -> None:
        async with slots:
            reply = await site.get(path)
        assert reply.status in (400, 404, 422), (path, reply)
        assert reply.headers["content-type"] == "application/problem+json"

    paths = [f"{prefix}/{one}/{target}" for prefix in PREFIXES for one in ENCODINGS for target in TARGETS]
    await asyncio.gather(*(probe(path) for path in paths))
    assert site.services.seen == []


@pytest.mark.parametrize(
    "suffix", ["?r=/api/genres", "?x=/public", ";x=.js", ".css", "%3f", "#/api/genres", "/x.css"]
)
async def test_a_protected_path_stays_protected_whatever_is_added(site, suffix: str) -> None:
    reply = await site.get(f"/api/me{suffix}")
    assert reply.status in (400, 401, 404)
    assert site.services.seen == []


async def test_a_canonical_path_arrives_unchanged(site) -> None:
    track = new_id()
    reply = await site.get(f"/api/tracks/{track}/waveform?b=%2e%2e&a=1", headers=site.bearer())
    assert reply.status == 200
    assert reply.json()["path"] == f"/api/tracks/{track}/waveform"
    assert reply.json()["query"] == "b=%2e%2e&a=1"


@pytest.mark.parametrize(
    "host",
    [
        "Host: evil.example", "Host: localhost.evil.example", "Host: localhost/abc?bar=",
        "Host: localhost@evil.example",
        "Host: evil.example:80@localhost", "Host: ", "Host: localhost:99999999",
        "Host: localhost, evil.example",
        "Host: localhost evil", "Host: localhost:80:80", "Host: [::1", "Host: 127.0.0.1.", "Host: .localhost",
        "Host: localhost%00", "Host: local_host", "X-Forwarded-Host: localhost",
        "Host: localhost\r\nHost: localhost",
        "Host: localhost\r\nHost: evil.example", "Host: 0", "Host: 127.1", "Host: lócalhost",
    ],
)  # fmt: skip
async def test_a_host_that_is_not_ours_is_refused(site, host: str) -> None:
    raw = await site.raw(f"GET /api/genres HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n".encode())
    assert site.parse(raw).status == 400
    assert site.services.seen == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080"])
async def test_a_host_of_ours_is_served(site, host: str) -> None:
    raw = await site.raw(f"GET /version HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert site.parse(raw).status == 200


@pytest.mark.parametrize(
    "target",
    ["http://localhost/api/genres", "http://evil/api/me", "*", "evil:80", "/api/genres#x", "//evil/api"],
)
async def test_a_target_that_is_no_path_is_refused(site, target: str) -> None:
    reply = await site.get(target)
    assert reply.status == 400
    assert site.services.seen == []


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "DELETE", "PROPFIND", "PURGE", "CONNECT"])
async def test_a_method_that_a_route_does_not_have_is_refused(site, method: str) -> None:
    reply = await site.get("/api/genres", method=method)
    assert reply.status == 405
    assert reply.headers["allow"] == "GET, HEAD"


async def test_a_method_cannot_be_overridden(site) -> None:
    headers = {**site.bearer(), "X-HTTP-Method-Override": "DELETE", "Content-Length": "0"}
    reply = await site.get("/api/playlists", headers=headers, method="POST")
    assert reply.json()["method"] == "POST"
    assert "x-http-method-override" not in dict(site.services.seen[0].headers)


async def test_a_target_over_8_kb_and_a_head_over_budget_are_refused(site) -> None:
    assert (await site.get("/api/search?q=" + "x" * 9000)).status == 414
    many = {f"X-{number}": "1" for number in range(70)}
    assert (await site.get("/api/search", headers=many)).status == 431
    assert (await site.get("/api/search", headers={"X": "a" * 17_000})).status == 431
    assert (await site.get("/api/search", headers={"X": "a" * 300_000})).status == 431
    assert site.services.seen == []
