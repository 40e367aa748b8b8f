"""Request bodies: counted as they come, never awaited for ever, never in memory when they are large."""

import asyncio
import resource
import time

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHUNK = b"x" * 65536
MIB = 1024 * 1024


def head(path: str, *lines: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


async def send_for_ever(
    site, first: bytes, part: bytes, *, pause: float = 0.0, most: int = 2000
) -> tuple[bytes, int]:
    """Send the head, then the same part again and again until an answer comes; the answer and the bytes sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(first)
    answer = asyncio.create_task(reader.read(65536))
    sent = 0
    try:
        while not answer.done() and sent < most * len(part):
            writer.write(part)
            await writer.drain()
            sent += len(part)
            await asyncio.sleep(pause)
    except (ConnectionResetError, BrokenPipeError):
        pass
    try:
        return await asyncio.wait_for(answer, 5), sent
    finally:
        writer.close()


async def test_an_announced_body_over_the_limit_is_refused_unread(site) -> None:
    raw = await site.raw(head("/api/auth/login", f"Content-Length: {10 * 1024 * MIB}"))
    reply = site.parse(raw)
    assert (reply.status, reply.json()["code"]) == (413, "body_too_large")
    assert site.services.seen == []


async def test_an_endless_chunked_body_is_refused_at_the_limit(site) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    part = b"10000\r\n" + CHUNK + b"\r\n"
    raw, _ = await send_for_ever(site, head("/api/auth/login", "Transfer-Encoding: chunked"), part)
    assert site.parse(raw).status == 413
    assert site.services.seen == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


async def test_a_body_of_just_the_limit_is_taken(site) -> None:
    body = b'"' + b"x" * (256 * 1024 - 2) + b'"'
    raw = await site.raw(head("/api/auth/login", f"Content-Length: {len(body)}", "Connection: close") + body)
    assert site.parse(raw).json()["bytes"] == 256 * 1024
    raw = await site.raw(head("/api/auth/login", f"Content-Length: {len(body) + 1}") + body + b" ")
    assert site.parse(raw).status == 413


@pytest.mark.parametrize("deep", [b"[" * 33, b'{"a":' * 33, b'[{"a":' * 17])
async def test_json_that_is_too_deep_is_refused(site, deep: bytes) -> None:
    raw = await site.raw(head("/api/auth/login", f"Content-Length: {len(deep)}", "Connection: close") + deep)
    assert (site.parse(raw).status, site.parse(raw).json()["code"]) == (400, "json_too_deep")
    assert site.services.seen == []


async def test_json_with_many_brackets_that_is_not_deep_is_taken(site) -> None:
    body = b"[" + b"[],{}," * 1000 + b'"' + b"[" * 100 + b'\\"[["]'
    raw = await site.raw(head("/api/auth/login", f"Content-Length: {len(body)}", "Connection: close") + body)
    assert site.parse(raw).status == 200


async def test_a_compressed_body_is_refused(site) -> None:
    raw = await site.raw(head("/api/auth/login", "Content-Encoding: gzip", "Content-Length: 2") + b"{}")
    assert site.parse(raw).status == 415


@pytest.fixture
def hasty_site(site):
    """Its uploads are answered before they are read."""

    async def early(_, send) -> None:
        await site.services.reply(send, 415, {"code": "not_a_form"}, kind="application/problem+json")

    site.services.handlers["/api/uploads"] = early
    return site


@pytest.mark.parametrize(
    ("path", "lines", "status"),
    [
        ("/api/uploads", (), 415),
        ("/api/auth/login", ("Content-Encoding: gzip",), 415),
        ("/api/genres", (), 400),
        ("/api/uploads", ("Host: other.example",), 400),
        ("/api/auth/login", tuple(f"X-{number}: x" for number in range(65)), 431),
    ],
)
async def test_an_early_answer_reaches_a_client_who_is_still_sending(hasty_site, path, lines, status) -> None:
    method = "GET" if path == "/api/genres" else "POST"
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty_site.port)
    token = f"Authorization: {hasty_site.bearer()['authorization']}"
    writer.write(head(path, "Content-Length: 100000", token, *lines, method=method))
    # Whoever sends first and reads later meets a reset where the connection was closed with unread bytes.
    for _ in range(10):
        await asyncio.sleep(0.02)
        writer.write(b"x" * 10_000)
        await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 5)
    assert hasty_site.parse(answer).status == status
    assert b"connection: close" in answer
    writer.close()


async def test_an_early_answer_does_not_wait_for_a_body_that_never_comes(hasty_site) -> None:
    token = f"Authorization: {hasty_site.bearer()['authorization']}"
    began = time.monotonic()
    raw = await hasty_site.raw(head("/api/uploads", "Content-Length: 1000", token), quiet=3)
    assert hasty_site.parse(raw).status == 415
    assert 0.5 < time.monotonic() - began < 2


async def test_a_get_with_a_body_is_refused(site) -> None:
    raw = await site.raw(head("/api/genres", "Content-Length: 2", method="GET") + b"{}")
    assert (site.parse(raw).status, site.parse(raw).json()["code"]) == (400, "body_not_allowed")


async def test_a_body_that_drips_is_cut_and_one_at_2_kb_a_second_is_not(site) -> None:
    site.gateway._parts.forwarder._grace = 0.5
    try:
        began = time.monotonic()
        first = head("/api/auth/login", "Content-Length: 100000")
        raw, _ = await send_for_ever(site, first, b"x", pause=0.05)
        assert (site.parse(raw).status, site.parse(raw).json()["code"]) == (408, "body_too_slow")
        assert time.monotonic() - began < 3
        first = head("/api/auth/login", "Content-Length: 4096")
        raw, sent = await send_for_ever(site, first, b"x" * 205, pause=0.1, most=20)
        assert sent >= 4096
        assert site.parse(raw).status == 200
    finally:
        site.gateway._parts.forwarder._grace = 10.0


async def test_a_service_never_hears_of_a_body_that_does_not_come(site) -> None:
    site.gateway._parts.forwarder._grace = 0.2
    try:
        raw = await site.raw(head("/api/auth/login", "Content-Length: 10") + b"{")
    finally:
        site.gateway._parts.forwarder._grace = 10.0
    assert site.parse(raw).status == 408
    assert site.services.seen == []


async def test_an_upload_flows_and_is_never_held_whole(site) -> None:
    got = 0
    held_up = asyncio.Event()

    async def swallow(seen, send) -> None:
        nonlocal got
        more = True
        while more:
            message = await seen.receive()
            got += len(message["body"])
            held_up.set()
            more = message["more_body"]
        await site.services.reply(send, 202, {"bytes": got})

    async def body():
        yield CHUNK
        # The first part has arrived before the second is made: nothing waits for the whole.
        await asyncio.wait_for(held_up.wait(), 5)
        for _ in range(64 * 16 - 1):
            yield CHUNK

    site.services.handlers["/api/uploads"] = swallow
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with site.http.post(f"{site.url}/api/uploads", data=body(), headers=site.bearer()) as answer:
        assert answer.status == 202
        assert await answer.json() == {"bytes": 64 * MIB}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


async def test_an_upload_keeps_its_length_and_type(site) -> None:
    headers = {**site.bearer(), "Content-Type": "multipart/form-data; boundary=x"}
    async with site.http.post(f"{site.url}/api/uploads", data=b"--x--", headers=headers) as answer:
        seen = dict((await answer.json())["headers"])
    assert (seen["content-length"], seen["content-type"]) == ("5", "multipart/form-data; boundary=x")
    assert "transfer-encoding" not in seen


async def test_an_upload_over_its_limit_is_cut_while_it_streams(new_site, tmp_path) -> None:
    whole = True

    async def swallow(seen, send) -> None:
        nonlocal whole
        try:
            await site.services.read_body(seen)
        except ConnectionError:
            whole = False
            return
        await site.services.reply(send, 202, {})

    async with new_site(tmp_path, max_upload_bytes=MIB) as site:
        site.services.handlers["/api/uploads"] = swallow
        token = site.bearer()["authorization"]
        first = head("/api/uploads", "Transfer-Encoding: chunked", f"Authorization: {token}")
        raw, _ = await send_for_ever(site, first, b"10000\r\n" + CHUNK + b"\r\n")
        assert site.parse(raw).status == 413
        async with asyncio.timeout(5):
            while whole:
                await asyncio.sleep(0.01)
        # Ten of those do not make the file service look broken.
        for _ in range(10):
            await send_for_ever(site, first, b"10000\r\n" + CHUNK + b"\r\n")
        assert (await site.get("/api/uploads", headers=site.bearer())).status == 202


async def test_a_client_that_hangs_up_ends_the_upload_at_the_service(site) -> None:
    ended = asyncio.Event()

    async def swallow(seen, send) -> None:
        try:
            await site.services.read_body(seen)
        except ConnectionError:
            ended.set()

    site.services.handlers["/api/uploads"] = swallow
    token = site.bearer()["authorization"]
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(head("/api/uploads", "Content-Length: 1000000", f"Authorization: {token}") + CHUNK)
    await writer.drain()
    async with asyncio.timeout(5):
        while not site.services.seen:
            await asyncio.sleep(0.01)
        writer.close()
        await ended.wait()


async def test_an_early_refusal_of_a_service_reaches_the_client(site) -> None:
    async def refuse(seen, send) -> None:
        await site.services.reply(send, 415, {"status": 415}, kind="application/problem+json")

    site.services.handlers["/api/uploads"] = refuse
    token = site.bearer()["authorization"]
    first = head("/api/uploads", "Transfer-Encoding: chunked", f"Authorization: {token}")
    raw, _ = await send_for_ever(site, first, b"10000\r\n" + CHUNK + b"\r\n", pause=0.01)
    assert site.parse(raw).status == 415
    assert site.parse(raw).headers["connection"] == "close"


async def test_a_refusal_before_a_large_body_ends_the_connection(site) -> None:
    for framing in ("Content-Length: 100000000", "Transfer-Encoding: chunked"):
        reply = site.parse(await site.raw(head("/api/uploads", framing)))
        assert (reply.status, reply.headers["connection"]) == (401, "close")
    reply = site.parse(await site.raw(head("/api/playlists", "Content-Length: 2") + b"{}"))
    assert reply.status == 401
    assert "connection" not in reply.headers


async def test_a_body_made_to_be_hard_to_read_is_answered_at_once(site) -> None:
    body = b"[]" * 33 + b'"' + b'\\"' * 60_000
    began = time.monotonic()
    raw = await site.raw(head("/api/auth/login", f"Content-Length: {len(body)}", "Connection: close") + body)
    assert site.parse(raw).status == 200, "what is no JSON is the service's to refuse"
    assert time.monotonic() - began < 2
