"""Request smuggling: at most one answer a request, and no hidden request ever reaches a service."""

import asyncio

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

POISON = b"GET /api/search HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n"
LOGIN = b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)


# Each is sent as it is, with a hidden request where a careless reader would find a second one.
VECTORS = {
    "CL.TE": LOGIN + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED + POISON,
    "TE.CL": LOGIN + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunk(POISON),
    "TE.TE identity": LOGIN
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"
    + CHUNKED
    + POISON,
    "TE.TE x": LOGIN + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n" + CHUNKED + POISON,
    "TE list": LOGIN + b"Transfer-Encoding: identity, chunked\r\n\r\n" + CHUNKED + POISON,
    "TE list reversed": LOGIN + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKED + POISON,
    "TE xchunked": LOGIN + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED + POISON,
    "TE space": LOGIN + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKED + POISON,
    "TE tab value": LOGIN + b"Transfer-Encoding:\tchunked\r\nContent-Length: 4\r\n\r\n" + chunk(POISON),
    "TE vertical tab": LOGIN + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + CHUNKED + POISON,
    "TE quoted": LOGIN + b'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNKED + POISON,
    "TE folded": LOGIN + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKED + POISON,
    "TE underscore": LOGIN + b"Transfer_Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunk(POISON),
    "TE in 1.0": LOGIN.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED + POISON,
    "CL twice": LOGIN + b"Content-Length: 0\r\nContent-Length: 53\r\n\r\n" + POISON,
    "CL twice equal": LOGIN + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + POISON,
    "CL list": LOGIN + b"Content-Length: 0, 53\r\n\r\n" + POISON,
    "CL plus": LOGIN + b"Content-Length: +0\r\n\r\n" + POISON,
    "CL minus": LOGIN + b"Content-Length: -1\r\n\r\n" + POISON,
    "CL hex": LOGIN + b"Content-Length: 0x0\r\n\r\n" + POISON,
    "CL exponent": LOGIN + b"Content-Length: 0e1\r\n\r\n" + POISON,
    "CL space inside": LOGIN + b"Content-Length: 0 3\r\n\r\n" + POISON,
    "CL empty": LOGIN + b"Content-Length: \r\n\r\n" + POISON,
    "CL space colon": LOGIN + b"Content-Length : 53\r\n\r\n" + POISON,
    "CL huge": LOGIN + b"Content-Length: 99999999999999999999999\r\n\r\n" + POISON,
    "CL underscore": LOGIN + b"Content_Length: 53\r\n\r\n" + POISON,
    "bare LF": b"POST /api/auth/login HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n" + POISON,
    "bare LF end": LOGIN + b"Content-Length: 0\n\n" + POISON,
    "bare CR": LOGIN + b"X: a\rContent-Length: 53\r\n\r\n" + POISON,
    "NUL in value": LOGIN + b"X: a\x00b\r\nContent-Length: 53\r\n\r\n" + POISON,
    "header without colon": LOGIN + b"Content-Length 53\r\n\r\n" + POISON,
    "empty name": LOGIN + b": 53\r\n\r\n" + POISON,
    "leading space": LOGIN[:-2] + b"\r\n Content-Length: 53\r\n\r\n" + POISON,
    "chunk size plus": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + POISON,
    "chunk size 0x": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + POISON,
    "chunk size overflow": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + POISON,
    "chunk bare LF": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n0\n\n" + POISON,
    "chunk no CRLF": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx0\r\n\r\n" + POISON,
    "chunk extension": LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2;a=\n\r\n{}\r\n0\r\n\r\n" + POISON,
    "version": LOGIN.replace(b"1.1", b"1.9") + b"Content-Length: 0\r\n\r\n" + POISON,
    "no version": b"POST /api/auth/login\r\n\r\n" + POISON,
    "upgrade": b"GET /api/genres HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    + POISON,
    "connect": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n" + POISON,
    "preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + POISON,
    "GET with body": b"GET /api/genres HTTP/1.1\r\nHost: localhost\r\nContent-Length: 53\r\n\r\n" + POISON,
    "too large": LOGIN + b"Content-Length: 300000\r\n\r\n" + POISON,
}


@pytest.mark.parametrize("name", VECTORS)
async def test_a_hidden_request_is_never_served(site, name: str) -> None:
    raw = await site.raw(VECTORS[name], seconds=2)
    assert raw.count(b"HTTP/1.1 ") <= 1, raw
    assert "/api/search" not in site.services.paths()
    if raw and name not in ("upgrade", "GET with body"):
        reply = site.parse(raw)
        assert reply.status in (400, 405, 413), raw
        assert reply.headers["content-type"] == "application/problem+json"
        assert "close" in reply.headers["connection"]


async def test_an_upgrade_is_ignored_and_ends_the_connection(site) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    reply = site.parse(await site.raw(b"GET /api/genres HTTP/1.1\r\nHost: localhost\r\n" + upgrade))
    assert (reply.status, reply.headers["connection"]) == (200, "close")


async def test_two_honest_requests_in_one_packet_are_two_requests(site) -> None:
    second = POISON.replace(b"X: y", b"Connection: close")
    raw = await site.raw(LOGIN + b"Content-Length: 2\r\n\r\n{}" + second)
    assert raw.count(b"HTTP/1.1 200") == 2
    assert site.services.paths() == ["/api/auth/login", "/api/search"]


async def test_a_trailer_is_not_a_header(site) -> None:
    trailers = b"0\r\nAuthorization: Bearer x\r\nHost: evil\r\n\r\n"
    raw = await site.raw(
        b"POST /api/auth/register HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n2\r\n{}\r\n" + trailers
    )
    assert site.parse(raw).status == 200
    assert not [name for name, _ in site.services.seen[0].headers if name in ("authorization", "trailer")]
    assert site.parse(raw).json()["bytes"] == 2


async def test_bad_bytes_after_a_request_do_not_cost_it_its_answer(site) -> None:
    release = asyncio.Event()

    async def slow(seen, send) -> None:
        await release.wait()
        await site.services.reply(send, 200, {"late": True})

    site.services.handlers["/api/genres"] = slow
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(
        b"GET /api/genres?cursor=1 HTTP/1.1\r\nHost: localhost\r\n\r\n\x00\x01garbage\r\n\r\n" + POISON
    )
    await writer.drain()
    await asyncio.sleep(0.05)
    release.set()
    raw = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert raw.count(b"HTTP/1.1 ") == 1
    assert site.parse(raw).json() == {"late": True}


async def test_a_header_of_an_upstream_cannot_split_the_answer(site) -> None:
    async def hostile(seen, send) -> None:
        await site.services.reply(send, 200, {}, {"etag": '"a"', "x-evil": "1", "location": "/x?\u00ff"})

    site.services.handlers["/api/genres"] = hostile
    reply = await site.get("/api/genres?cursor=2")
    assert reply.status == 200
    assert "x-evil" not in reply.headers
