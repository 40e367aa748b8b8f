"""The edge by itself: where it sends what, what it lets pass, and how it refuses."""

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e_support.edge import SECRET, Edge, lone_gateway, parts, running_edge

from antiphon_common.testing.running import eventually

TRACK = "/api/stream/01920000-0000-7000-8000-000000000001"
SIGNED = f"{TRACK}?variant=original&ticket=k1.AQMA-_x.ZTsZ"


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    """The edge as it is."""
    async with running_edge(tmp_path) as one:
        yield one


def problem(answer: bytes, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer, in the form of all others."""
    found, headers, body = parts(answer)
    assert (found, headers["content-type"]) == (status, "application/problem+json"), answer
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    parsed: dict[str, Any] = json.loads(body)
    assert {"type", "title", "status", "detail", "code", "instance", "trace_id"} == parsed.keys()
    assert (parsed["status"], parsed["code"]) == (status, code)
    assert b"nginx/" not in answer, "only the name, not the version"
    return parsed


async def test_signed_audio_goes_straight_to_stream_and_takes_nothing_along(edge: Edge) -> None:
    secret = ["Authorization: Bearer secret", "Cookie: antiphon_refresh=secret", "X-Forwarded-For: 9.9.9.9"]
    for target in (SIGNED, SIGNED.replace("variant=original&", "")):
        for method in ("GET", "HEAD"):
            answer = await edge.get(target, "Range: bytes=0-1", 'If-Range: "x"', *secret, method=method)
            assert parts(answer)[0] == 200
            head = edge.stream.requests[-1].decode()
            assert head.startswith(f"{method} {target} HTTP/1.1")
            assert "Range: bytes=0-1" in head
            assert 'If-Range: "x"' in head
            assert "secret" not in head
            assert "X-Forwarded-For: 127.0.0.1\r\n" in head
    assert len(edge.stream.requests) == 4
    assert edge.gateway.requests == []


@pytest.mark.parametrize(
    "target",
    [
        TRACK, f"{TRACK}?ticket=", f"{SIGNED}&x=1", f"{SIGNED}&ticket=a", f"{TRACK}?ticket=a%2e", f"/x/..{SIGNED}",
        SIGNED.replace("/api/stream", "/api//stream"), SIGNED.replace("/api", "/%61pi"), f"/./{SIGNED}",
        SIGNED.replace("/stream/", "/stream/../stream/"), "/api/stream/resolve?ticket=a",
        "/api/stream/../../internal/x?ticket=a", "/api/stream/%2e%2e/x?ticket=a", "/metrics", "/readyz?ticket=a",
    ],
)  # fmt: skip
async def test_everything_else_is_the_gateways_and_arrives_as_it_was_sent(edge: Edge, target: str) -> None:
    status, _, _ = parts(await edge.get(target))
    assert edge.stream.requests == []
    if status != 400:
        assert edge.gateway.requests[0].startswith(f"GET {target} HTTP/1.1\r\n".encode())


async def test_pages_of_other_origins_and_other_methods_go_by_the_gateway(edge: Edge) -> None:
    await edge.get(SIGNED, "Origin: https://elsewhere.example", "Cookie: a=b", "Authorization: Bearer x")
    await edge.get(SIGNED, "Content-Length: 0", method="POST")
    assert edge.stream.requests == []
    head = edge.gateway.requests[0].decode()
    assert "Cookie: a=b" in head
    assert "Authorization: Bearer x" in head


async def test_what_a_client_says_of_its_address_is_overwritten(edge: Edge) -> None:
    for target in ("/api/tracks", TRACK, SIGNED, "/api/uploads"):
        await edge.get(target, "X-Forwarded-For: 8.8.8.8, 127.0.0.1", "X-Antiphon-Client: 8.8.8.8")
    heads = [*edge.gateway.requests, *edge.stream.requests]
    assert len(heads) == 4
    for head in heads:
        assert head.count(b"X-Forwarded-For: 127.0.0.1\r\n") == 1
        assert head.count(b"X-Antiphon-Client: 127.0.0.1\r\n") == 1
        assert b"8.8.8.8" not in head


async def test_the_edge_proves_itself_to_the_gateway_and_to_nobody_else(edge: Edge) -> None:
    for target in ("/api/tracks", TRACK, SIGNED, "/api/uploads"):
        await edge.get(target, "X-Antiphon-Edge: planted-by-a-client")
    assert len(edge.gateway.requests) == 3
    for head in edge.gateway.requests:
        assert head.count(f"X-Antiphon-Edge: {SECRET}\r\n".encode()) == 1
    for head in [*edge.gateway.requests, *edge.stream.requests]:
        assert head.lower().count(b"x-antiphon-edge") == (0 if head in edge.stream.requests else 1)
    assert b"planted" not in edge.stream.requests[0]
    assert "planted" not in edge.log


async def test_a_gateway_believes_its_edge_and_no_neighbour_of_it(tmp_path: Path) -> None:
    addressed = {
        "client_header_timeout 10s;": "client_header_timeout 10s; set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;"
    }
    async with (
        lone_gateway(tmp_path, edge_secret=SECRET) as port,
        running_edge(tmp_path, addressed, gateway=port) as edge,
    ):
        for address in ("9.9.9.1", "9.9.9.2", "2001:db8::1"):
            seen = [parts(await edge.get("/version", f"X-Real-IP: {address}"))[0] for _ in range(2)]
            assert seen == [200, 429]
        assert parts(await edge.get("/version", "X-Real-IP: 2001:db8::2"))[0] == 429, "the same household"
        async with httpx.AsyncClient() as neighbour:
            forged = [
                await neighbour.get(
                    f"http://127.0.0.1:{port}/version", headers={"X-Forwarded-For": f"8.8.8.{n}"}
                )
                for n in range(3)
            ]
        assert [answer.status_code for answer in forged] == [200, 429, 429]


async def test_the_edge_says_whether_the_gateway_is_ready_and_not_what_it_lacks(tmp_path: Path) -> None:
    async with (
        lone_gateway(tmp_path, edge_secret=SECRET) as port,
        running_edge(tmp_path, gateway=port) as edge,
    ):
        status, _, body = parts(await edge.get("/readyz"))
        assert (status, json.loads(body)) == (503, {"status": "not ready"})


@pytest.mark.parametrize("target", [SIGNED, "/api/tracks"])
async def test_a_64_shares_a_limit_and_an_ipv4_address_has_its_own(tmp_path: Path, target: str) -> None:
    changes = {
        "burst=1200": "burst=3",
        "rate=20r/s": "rate=1r/m",
        "limit_conn connections 50;": "limit_conn connections 4; set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;",
    }
    async with running_edge(tmp_path, changes) as edge:
        open_ = asyncio.Event()

        async def passed(addresses: list[str]) -> int:
            """How many of nine requests at once, by these addresses in turn, are let in."""
            before = len(edge.gateway.requests) + len(edge.stream.requests)
            edge.gateway.answer = edge.stream.answer = open_.wait
            open_.clear()
            asked = [
                asyncio.create_task(edge.get(target, f"X-Real-IP: {addresses[n % len(addresses)]}"))
                for n in range(9)
            ]

            async def settled() -> int:
                let_in = len(edge.gateway.requests) + len(edge.stream.requests) - before
                return let_in + sum(one.done() for one in asked)

            await eventually(settled, lambda count: count == 9)
            open_.set()
            return [parts(answer)[0] for answer in await asyncio.gather(*asked)].count(200)

        assert await passed([f"2001:db8:1:2:{n}::{n}" for n in range(9)]) == 4
        assert await passed(["2001:db8:1:2:ffff::9"]) == (0 if target == SIGNED else 4), "the same household"
        assert await passed([f"2001:db8:1:{n}::9" for n in range(3, 12)]) == 9
        assert await passed(["9.9.9.1"]) == 4
        assert await passed([f"9.9.9.{n}" for n in range(2, 11)]) == 9
        assert await passed([f"::ffff:9.9.8.{n}" for n in range(2, 11)]) == 9
        assert await passed(["::ffff:9.9.7.1", "9.9.7.1"]) == 4


_HEAD = b"POST /api/playlists HTTP/1.1\r\nHost: localhost\r\n"
_SMUGGLED = b"GET /internal/revocations HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        _HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
        _HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + _SMUGGLED,
        _HEAD + b"Content-Length: 0\r\nContent-Length: 70\r\n\r\n" + _SMUGGLED,
        _HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + _SMUGGLED,
        _HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + _SMUGGLED,
        _HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
        _HEAD + b"Content-Length: +5\r\n\r\nhello" + _SMUGGLED,
        _HEAD + b"Content-Length: 5, 5\r\n\r\nhello" + _SMUGGLED,
        _HEAD + b"Host: other\r\nContent-Length: 0\r\n\r\n",
        _HEAD + b"Content-Length: 0\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n",
        _HEAD + b"Content-Length: 0\r\nX: a\0b\r\n\r\n",
        b"GET http://elsewhere:1/internal/x HTTP/1.1\r\nHost: localhost\r\n bad: folded\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    ],
)  # fmt: skip
async def test_nothing_can_be_smuggled_behind_another_request(edge: Edge, data: bytes) -> None:
    answer = await edge.talk(
        data.replace(b"Host: localhost\r\n", b"Host: localhost\r\nConnection: close\r\n", 1)
    )
    assert answer.split()[1] in (b"400", b"501", b"505"), answer
    for head in edge.gateway.requests:
        assert b"/internal/" not in head
        assert not (b"transfer-encoding" in head.lower() and b"content-length" in head.lower())


async def test_the_edges_own_refusals_are_problems(edge: Edge) -> None:
    problem(await edge.talk(b"nonsense\r\n\r\n"), 400, "http_not_valid")
    problem(await edge.get("/api/tracks", "Host: second"), 400, "http_not_valid")
    problem(await edge.get("/" + "a" * 20_000), 414, "uri_too_long")
    problem(await edge.get("/", "X: " + "a" * 20_000), 400, "http_not_valid")
    large = problem(
        await edge.get("/api/tracks?q=1", "Content-Length: 2000000", method="POST"), 413, "body_too_large"
    )
    assert large["instance"] == "/api/tracks"
    problem(await edge.get("/api/uploads", "Content-Length: 300000000", method="POST"), 413, "body_too_large")
    problem(await edge.get("/.edge/problem"), 404, "not_found")
    refused = await edge.get('/api/"<x>', method="TRACE")
    assert problem(refused, 405, "method_not_allowed")["instance"] == "/api/"
    assert parts(refused)[1]["allow"]
    assert edge.gateway.requests == []


async def test_a_gateway_that_is_away_or_hangs_is_a_problem_that_says_when_to_come_back(
    tmp_path: Path,
) -> None:
    async with running_edge(tmp_path, {"proxy_read_timeout 60s": "proxy_read_timeout 1s"}) as edge:
        forever = asyncio.Event()
        edge.gateway.answer = edge.stream.answer = forever.wait
        for target in ("/api/tracks", SIGNED):
            answer = await edge.get(target)
            problem(answer, 504, "upstream_timeout")
            assert parts(answer)[1]["retry-after"] == "1"
        edge.gateway.cut = True
        answer = await edge.get("/api/tracks")
        problem(answer, 502, "bad_gateway")
        assert parts(answer)[1]["retry-after"] == "1"


async def test_a_large_upload_passes_through_without_being_kept(edge: Edge) -> None:
    size, part = 200 * 1024 * 1024, bytes(1024 * 1024)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(_HEAD.replace(b"/api/playlists", b"/api/uploads") + b"Content-Length: %d\r\n\r\n" % size)
    spooled = 0
    for number in range(size // len(part)):
        writer.write(part)
        await writer.drain()
        if number == 20:

            async def arrived() -> int:
                return edge.gateway.received

            await eventually(arrived, lambda count: count > 10 * len(part))
            spooled = sum(file.stat().st_size for file in (edge.run / "body").rglob("*") if file.is_file())
    answer = await asyncio.wait_for(reader.readuntil(b"gateway"), 30)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert (edge.gateway.received, spooled) == (size, 0)
    assert not any(file.is_file() for file in (edge.run / "body").rglob("*"))


async def test_the_fifty_first_request_at_once_from_one_address_is_refused(edge: Edge) -> None:
    open_ = asyncio.Event()
    edge.gateway.answer = open_.wait

    async def waiting() -> int:
        return len(edge.gateway.requests)

    tasks = [asyncio.create_task(edge.get("/api/tracks")) for _ in range(50)]
    await eventually(waiting, lambda count: count == 50)
    problem(await edge.get("/api/tracks"), 503, "too_many_connections")
    open_.set()
    assert {parts(answer)[0] for answer in await asyncio.gather(*tasks)} == {200}


async def test_signed_audio_has_a_limit_of_its_own(tmp_path: Path) -> None:
    async with running_edge(tmp_path, {"burst=1200": "burst=3", "rate=20r/s": "rate=1r/m"}) as edge:
        statuses = [parts(await edge.get(SIGNED))[0] for _ in range(6)]
        assert statuses[:4] == [200] * 4
        assert 429 in statuses
        problem(
            next(a for a in [await edge.get(SIGNED) for _ in range(3)] if b" 429 " in a), 429, "rate_limited"
        )
        assert {parts(await edge.get(TRACK))[0] for _ in range(9)} == {200}, "the gateway counts these"


async def test_the_log_holds_no_ticket_and_no_token(edge: Edge) -> None:
    await edge.get(SIGNED, "Authorization: Bearer planted", "Referer: http://x/?ticket=planted")
    await edge.get("/api/search?q=planted")

    async def lines() -> list[Any]:
        return [json.loads(line) for line in edge.log.splitlines() if line.startswith("{")]

    found = await eventually(lines, lambda seen: len(seen) == 2)
    assert [line["path"] for line in found] == [TRACK, "/api/search"]
    assert "planted" not in edge.log
    assert "AQMA" not in edge.log


async def test_a_refusal_does_not_log_the_ticket_either(edge: Edge) -> None:
    refused = [parts(answer)[0] for answer in await asyncio.gather(*(edge.get(SIGNED) for _ in range(120)))]
    assert {429, 503} & set(refused)
    assert "AQMA" not in edge.log


async def test_tls_is_modern_and_says_so(tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-subj", "/CN=localhost", "-days", "1", "-keyout", str(tmp_path / "tls.key"), "-out", str(tmp_path / "tls.pem")]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "tls.pem"))
    trusting.check_hostname = False
    request = b"GET /api/tracks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with running_edge(tmp_path, tls=True) as edge:
        for answer in (
            await edge.talk(request, tls=trusting),
            await edge.talk(request.replace(b"/api/tracks", b"/.edge/problem"), tls=trusting),
        ):
            assert parts(answer)[1]["strict-transport-security"] == "max-age=31536000; includeSubDomains"
        assert b"X-Forwarded-Proto: https" in edge.gateway.requests[0]
        assert "strict-transport-security" not in parts(await edge.talk(request))[1]
        trusting.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        trusting.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, OSError)):
            await edge.talk(request, tls=trusting)
