"""Answers on their way back: streams, errors, and services that are slow, broken or gone."""

import asyncio
import time

import pytest

from antiphon_common.ids import new_id
from antiphon_common.testing.running import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACK = "/api/stream/019a0000-0000-7000-8000-000000000000"
PART = b"y" * 65536


async def start(send, status: int = 200, **headers: str) -> None:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def more(send, body: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not last})


async def test_a_range_goes_through_and_comes_back_as_it_is(site) -> None:
    async def part(seen, send) -> None:
        assert seen.header("range") == "bytes=2-5"
        assert seen.header("if-range") == '"v"'
        await site.services.reply(
            send, 206, b"2345", {"content-range": "bytes 2-5/10", "accept-ranges": "bytes", "etag": '"v"',
                                 "cache-control": "private"}, kind="audio/mpeg",
        )  # fmt: skip

    site.services.handlers[TRACK] = part
    reply = await site.get(f"{TRACK}?sig=x", headers={"Range": "bytes=2-5", "If-Range": '"v"'})
    assert (reply.status, reply.body) == (206, b"2345")
    for name, value in {"content-range": "bytes 2-5/10", "accept-ranges": "bytes", "etag": '"v"',
                        "content-type": "audio/mpeg", "content-length": "4", "cache-control": "private"}.items():  # fmt: skip
        assert reply.headers[name] == value


async def test_a_416_keeps_its_content_range(site) -> None:
    async def part(seen, send) -> None:
        await site.services.reply(send, 416, b"no", {"content-range": "bytes */10"}, kind="text/plain")

    site.services.handlers[TRACK] = part
    reply = await site.get(TRACK, headers={"Range": "bytes=99-"})
    assert (reply.status, reply.headers["content-range"]) == (416, "bytes */10")
    assert reply.headers["content-type"] == "application/problem+json"


async def test_head_of_a_stream_is_asked_as_head(site) -> None:
    async def answer(seen, send) -> None:
        assert seen.method == "HEAD"
        await start(send, content_length="123456", content_type="audio/mpeg")
        await more(send, b"", last=True)

    site.services.handlers[TRACK] = answer
    reply = await site.get(TRACK, method="HEAD")
    assert (reply.status, reply.headers["content-length"], reply.body) == (200, "123456", b"")


async def test_head_of_a_route_that_has_only_get_is_its_head(site) -> None:
    reply = await site.get("/api/me", headers=site.bearer(), method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert site.services.seen[0].method == "GET"
    assert int(reply.headers["content-length"]) > 0


async def test_the_first_bytes_come_before_the_last_are_made(site) -> None:
    release = asyncio.Event()

    # Longer than what is sent whole, so that it flows.
    async def long(seen, send) -> None:
        await start(send, content_type="audio/mpeg", content_length=str(len(PART) + 5))
        await more(send, b"first")
        await release.wait()
        await more(send, PART, last=True)

    site.services.handlers[TRACK] = long
    async with site.http.get(f"{site.url}{TRACK}") as answer:
        assert await asyncio.wait_for(answer.content.readexactly(5), 2) == b"first"
        release.set()
        assert len(await answer.read()) == len(PART)


async def test_the_head_of_an_answer_does_not_wait_for_its_body(site) -> None:
    release = asyncio.Event()

    async def late(seen, send) -> None:
        await start(send, content_type="audio/mpeg", content_length=str(len(PART) + 1))
        await release.wait()
        await more(send, PART + b"z", last=True)

    site.services.handlers[TRACK] = late
    async with asyncio.timeout(2), site.http.get(f"{site.url}{TRACK}") as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        release.set()
        assert len(await answer.read()) == len(PART) + 1


async def test_a_reader_that_pauses_stops_the_service_and_not_the_memory(site) -> None:
    sent = 0

    async def endless(seen, send) -> None:
        nonlocal sent
        await start(send, content_type="audio/mpeg", content_length=str(4096 * len(PART)))
        try:
            for _ in range(4096):
                await more(send, PART)
                sent += len(PART)
        except RuntimeError:
            pass

    site.services.handlers[TRACK] = endless
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=4096)
    writer.write(f"GET {TRACK} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await writer.drain()
    await reader.readexactly(1000)
    before = -1
    async with asyncio.timeout(5):
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
    # Of 256 MB only what sockets and bounded buffers hold has left the service.
    assert sent < 24 * 1024 * 1024
    writer.close()


async def test_a_client_that_hangs_up_ends_the_reading(site) -> None:
    ended = asyncio.Event()

    async def endless(seen, send) -> None:
        await start(send, content_type="audio/mpeg", content_length=str(4096 * len(PART)))
        await more(send, PART)
        while (await seen.receive())["type"] != "http.disconnect":
            pass
        ended.set()

    site.services.handlers[TRACK] = endless
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"GET {TRACK} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readexactly(1000)
    writer.close()
    await asyncio.wait_for(ended.wait(), 2)


@pytest.mark.parametrize("status", [400, 404, 409, 500, 503])
async def test_an_error_in_a_foreign_form_is_replaced(site, status: int) -> None:
    async def leak(seen, send) -> None:
        await site.services.reply(
            send, status, b"Traceback: secret at 10.0.0.1", {"server": "x"}, kind="text/plain"
        )

    site.services.handlers["/api/me"] = leak
    reply = await site.get("/api/me", headers=site.bearer())
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert b"secret" not in reply.body
    assert "server" not in reply.headers
    assert reply.json()["trace_id"] == site.services.seen[0].header("traceparent").split("-")[1]
    site.services.handlers["/api/genres"] = leak
    reply = await site.get(f"/api/genres?cursor={status}")
    assert (reply.status, b"secret" in reply.body) == (status, False)


async def test_a_problem_of_a_service_comes_through_as_it_is(site) -> None:
    async def problem(seen, send) -> None:
        body = b'{"status":409,"code":"email_taken"}'
        await site.services.reply(send, 409, body, kind="application/problem+json")

    site.services.handlers["/api/me"] = problem
    reply = await site.get("/api/me", headers=site.bearer())
    assert (reply.status, reply.json()["code"]) == (409, "email_taken")


async def test_a_service_that_is_too_slow_is_given_up(new_site, tmp_path) -> None:
    async def never(seen, send) -> None:
        await asyncio.sleep(30)

    async with new_site(tmp_path, deadline_seconds=0.3) as site:
        site.services.handlers["/api/me"] = never
        began = time.monotonic()
        reply = await site.get("/api/me", headers=site.bearer())
        assert (reply.status, reply.json()["code"]) == (503, "upstream_timeout")
        assert "retry-after" in reply.headers
        assert time.monotonic() - began < 2


async def test_the_slow_questions_of_one_caller_cost_no_other_an_answer(new_site, tmp_path) -> None:
    async def never(seen, send) -> None:
        await asyncio.sleep(30)

    async with new_site(tmp_path, deadline_seconds=0.2) as site:
        site.services.handlers["/api/search"] = never
        for _ in range(4):
            slow = await asyncio.gather(*(site.get("/api/search?q=x") for _ in range(20)))
            assert {reply.json()["code"] for reply in slow} == {"upstream_timeout"}
            # Until somebody is answered the gateway asks whether it lives.
            await eventually(lambda: doubts(site), lambda count: count == 0, seconds=3)
            await asyncio.gather(*(site.get("/api/search?q=x") for _ in range(20)))
            assert (await site.get("/api/search/tracks?q=x")).status == 200


async def doubts(site) -> int:
    upstreams = site.gateway._parts.forwarder._upstreams
    return sum(one.breaker.is_doubted for one in upstreams["search"].instances.every)


async def test_a_stream_may_take_longer_than_the_deadline_once_it_began(new_site, tmp_path) -> None:
    async def slow(seen, send) -> None:
        await start(send, content_type="audio/mpeg", content_length=str(4 * len(PART)))
        for number in range(4):
            await asyncio.sleep(0.2)
            await more(send, PART, last=number == 3)

    async with new_site(tmp_path, deadline_seconds=0.3) as site:
        site.services.handlers[TRACK] = slow
        reply = await site.get(TRACK)
        assert (reply.status, len(reply.body)) == (200, 4 * len(PART))


async def test_clients_that_do_not_read_are_not_held_against_the_service(new_site, tmp_path) -> None:
    async def large(seen, send) -> None:
        await site.services.reply(send, 200, b"x" * 16_000_000)

    async with new_site(tmp_path, deadline_seconds=1.0) as site:
        site.services.handlers["/api/me"] = large
        token = site.bearer()["authorization"]
        lazy = [await asyncio.open_connection("127.0.0.1", site.port, limit=1024) for _ in range(8)]
        for _, writer in lazy:
            writer.write(
                f"GET /api/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n\r\n".encode()
            )
        await asyncio.sleep(2.0)
        site.services.handlers.clear()
        assert (await site.get("/api/me", headers=site.bearer())).status == 200
        # They may still have all of it.
        reader, writer = lazy[0]
        await reader.readuntil(b"\r\n\r\n")
        assert len(await asyncio.wait_for(reader.readexactly(16_000_000), 5)) == 16_000_000
        for _, writer in lazy:
            writer.close()


async def test_a_stream_that_stalls_is_given_up(new_site, tmp_path) -> None:
    async def stalled(seen, send) -> None:
        await start(send, content_type="audio/mpeg", content_length=str(4 * len(PART)))
        await more(send, PART)
        await asyncio.sleep(20)

    async with new_site(tmp_path, silent_stream_seconds=0.3) as site:
        site.services.handlers[TRACK] = stalled
        began = time.monotonic()
        reply = await site.get(TRACK)
        assert (reply.status, len(reply.body) <= len(PART)) == (200, True)
        assert time.monotonic() - began < 3


async def test_an_answer_that_breaks_off_is_never_taken_for_whole(site) -> None:
    async def broken(seen, send) -> None:
        await start(send, content_type="audio/mpeg", content_length=str(4 * len(PART)))
        await more(send, PART)
        raise RuntimeError("crash")

    site.services.handlers[TRACK] = broken
    raw = await site.raw(f"GET {TRACK} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"200" in head[:20]
    assert len(body) < 4 * len(PART)
    site.services.handlers["/api/me"] = broken
    reply = await site.get("/api/me", headers=site.bearer())
    assert reply.status in (200, 502)


async def test_a_service_that_is_gone_costs_503_at_once_and_comes_back(new_site, tmp_path) -> None:
    async with new_site(tmp_path) as site:
        client = site.gateway._parts.forwarder._upstreams
        (instance,) = client["playlist"].instances.every
        real, instance.base = instance.base, "http://127.0.0.1:9"
        codes = set()
        for _ in range(30):
            began = time.monotonic()
            reply = await site.get("/api/playlists", headers=site.bearer())
            assert reply.status == 503
            assert int(reply.headers["retry-after"]) >= 1
            assert time.monotonic() - began < 1
            codes.add(reply.json()["code"])
        assert codes == {"service_unavailable"}
        # Other services are not touched by that.
        assert (await site.get("/api/me", headers=site.bearer())).status == 200
        instance.base = real
        async with asyncio.timeout(10):
            while (await site.get("/api/playlists", headers=site.bearer())).status != 200:
                await asyncio.sleep(0.05)


async def test_only_what_can_be_repeated_is_repeated(site) -> None:
    heads: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    (instance,) = site.gateway._parts.forwarder._upstreams["playlist"].instances.every
    real = instance.base
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        instance.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            reply = await site.get("/api/playlists", headers=site.bearer())
            assert (reply.status, len(heads)) == (502, 3)
            heads.clear()
            with_body = {**site.bearer(), "Content-Length": "0"}
            reply = await site.get("/api/playlists", headers=with_body, method="POST")
            assert (reply.status, len(heads)) == (502, 1)
        finally:
            instance.base = real
            instance.breaker.succeeded()


async def test_a_full_compartment_refuses_at_once_and_streams_have_their_own(new_site, tmp_path) -> None:
    release = asyncio.Event()

    async def wait(seen, send) -> None:
        await release.wait()
        await site.services.reply(send, 200, {})

    async with new_site(tmp_path, calls_per_upstream=2, streams_per_upstream=2) as site:
        site.services.handlers["/api/me"] = wait
        held = [asyncio.create_task(site.get("/api/me", headers=site.bearer())) for _ in range(2)]
        async with asyncio.timeout(5):
            while len(site.services.seen) < 2:
                await asyncio.sleep(0.005)
        reply = await site.get("/api/me", headers=site.bearer())
        assert (reply.status, reply.json()["code"]) == (503, "overloaded")
        assert (await site.get(TRACK)).status == 200
        assert (await site.get("/api/playlists", headers=site.bearer())).status == 200
        release.set()
        assert [(await one).status for one in held] == [200, 200]
        assert (await site.get("/api/me", headers=site.bearer())).status == 200


async def test_an_alias_is_answered_by_what_it_stands_for(site) -> None:
    reply = await site.get("/api/auth/user", headers=site.bearer())
    assert reply.json()["path"] == "/api/me"
    body = {**site.bearer(), "Content-Length": "0"}
    assert (await site.get("/api/auth/user", headers=body, method="PUT")).json()["method"] == "PUT"


async def test_security_headers_are_on_every_kind_of_answer(site) -> None:
    image = f"/api/images/{new_id()}"
    etag = (await site.get(image)).headers["etag"]
    replies = {
        200: await site.get("/healthz"), 304: await site.get(image, headers={"If-None-Match": etag}),
        400: await site.get("//"), 401: await site.get("/api/me"), 404: await site.get("/nothing"),
        405: await site.get("/api/genres", method="DELETE"), 414: await site.get("/?" + "x" * 9000),
        422: await site.get("/api/tracks/x"),
    }  # fmt: skip
    for status, reply in replies.items():
        assert reply.status == status
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["cross-origin-opener-policy"] == "same-origin"
        assert "server" not in reply.headers
        assert "date" in reply.headers
        assert reply.headers["date"].count("GMT") == 1
        if status >= 400:
            problem = reply.json()
            assert set(problem) >= {"type", "title", "status", "detail", "code", "instance", "trace_id"}
            assert problem["status"] == status
