"""Rate limits and connection limits as clients meet them."""

import asyncio
import time

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOGIN = {"Content-Length": "2", "Content-Type": "application/json"}


async def login(site, headers: dict[str, str] | None = None) -> int:
    lines = [f"{name}: {value}" for name, value in {**LOGIN, **(headers or {})}.items()]
    head = "\r\n".join(
        ["POST /api/auth/login HTTP/1.1", "Host: localhost", "Connection: close", *lines, "", ""]
    )
    return site.parse(await site.raw(head.encode("latin-1") + b"{}")).status


async def test_a_spoofed_address_does_not_buy_another_try(new_site, tmp_path) -> None:
    names = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP")
    values = (
        "9.9.9.{n}",
        "for=9.9.9.{n}",
        "2001:db8::{n}",
        "{n}",
        "unknown",
        "127.0.0.{n}, 9.9.9.{n}",
        ",,,{n}",
    )
    async with new_site(tmp_path, rates={"auth": "20/600"}) as site:
        answers = [
            await login(site, {names[n % len(names)]: values[n % len(values)].format(n=n % 250)})
            for n in range(500)
        ]
    assert answers.count(200) == 20
    assert answers.count(429) == 480


async def test_behind_a_proxy_of_ours_clients_are_told_apart(new_site, tmp_path) -> None:
    async with new_site(tmp_path, rates={"auth": "1/600"}, trusted_proxies=1) as site:
        assert await login(site, {"X-Forwarded-For": "9.9.9.1"}) == 200
        assert await login(site, {"X-Forwarded-For": "9.9.9.1"}) == 429
        assert await login(site, {"X-Forwarded-For": "9.9.9.9, 9.9.9.1"}) == 429
        assert await login(site, {"X-Forwarded-For": "9.9.9.2"}) == 200
        assert site.services.seen[-1].header("x-antiphon-client") == "9.9.9.2"


async def test_with_a_secret_a_neighbour_of_the_edge_is_not_taken_for_it(new_site, tmp_path) -> None:
    secret = "planted-" * 5
    settings = {"rates": {"auth": "1/600"}, "trusted_proxies": 1, "edge_secret": secret, "access_log": True}
    async with new_site(tmp_path, **settings, log_file=tmp_path / "log") as site:
        edge = {"X-Antiphon-Edge": secret}
        assert await login(site, {"X-Forwarded-For": "9.9.9.1"}) == 200
        assert await login(site, {"X-Forwarded-For": "9.9.9.2"}) == 429, "both pay as the neighbour"
        assert await login(site, {"X-Forwarded-For": "9.9.9.3", "X-Antiphon-Edge": "x" * 40}) == 429
        assert await login(site, {"X-Forwarded-For": "9.9.9.1", **edge}) == 200
        assert await login(site, {"X-Forwarded-For": "9.9.9.1", **edge}) == 429
        assert await login(site, {"X-Forwarded-For": "9.9.9.2", **edge}) == 200
        seen = site.services.seen
        assert [one.header("x-antiphon-client") for one in seen] == ["127.0.0.1", "9.9.9.1", "9.9.9.2"]
        assert "planted" not in str([one.headers for one in seen])
    assert b"planted" not in (tmp_path / "log").read_bytes()


async def test_of_2000_requests_on_50_connections_exactly_the_limit_passes(new_site, tmp_path) -> None:
    async with new_site(tmp_path, rates={"search": "100/600"}) as site:

        async def forty() -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(b"GET /api/search?q=a HTTP/1.1\r\nHost: localhost\r\n\r\n" * 39)
            writer.write(b"GET /api/search?q=a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            raw = await asyncio.wait_for(reader.read(), 20)
            writer.close()
            assert raw.count(b"HTTP/1.1 ") == 40
            return raw.count(b"HTTP/1.1 200 ")

        assert sum(await asyncio.gather(*(forty() for _ in range(50)))) == 100
        assert len(site.services.seen) == 100


async def test_users_have_buckets_of_their_own_and_are_told_what_is_left(new_site, tmp_path) -> None:
    async with new_site(tmp_path, rates={"read": "2/60"}) as site:
        a, b = site.bearer(), site.bearer()
        assert [(await site.get("/api/me", headers=a)).status for _ in range(3)] == [200, 200, 429]
        reply = await site.get("/api/me", headers=b)
        assert reply.status == 200
        assert reply.headers["ratelimit-policy"] == '"read";q=2;w=60'
        assert reply.headers["ratelimit"] == '"read";r=1;t=30'
        refused = await site.get("/api/me", headers=a)
        assert (refused.status, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refused.headers["retry-after"]) <= 30


async def test_guessing_tokens_is_limited_by_address(new_site, tmp_path) -> None:
    async with new_site(tmp_path, rates={"failed": "5/600"}) as site:
        bad = {"Authorization": "Bearer a.b.c"}
        assert [(await site.get("/api/me", headers=bad)).status for _ in range(7)] == [401] * 5 + [429] * 2
        assert (await site.get("/api/me", headers=site.bearer())).status == 200


async def test_one_address_gets_so_many_connections(new_site, tmp_path) -> None:
    async with new_site(tmp_path, connections_per_address=10) as site:
        await site.http.close()
        held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(10)]
        reply = await site.get("/healthz")
        assert (reply.status, reply.json()["code"]) == (503, "too_many_connections")
        assert reply.headers["retry-after"] == "1"
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(5):
            while (await site.get("/healthz")).status != 200:
                await asyncio.sleep(0.01)


async def test_a_flood_of_connections_passes_and_leaves_nothing(new_site, tmp_path) -> None:
    async with new_site(tmp_path, connections=50, connections_per_address=1000) as site:
        for _ in range(5):
            opened = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(150)]
            for _, writer in opened:
                writer.close()
        async with asyncio.timeout(5):
            while (await site.get("/healthz")).status != 200:
                await asyncio.sleep(0.02)
        assert len(site.gateway.guard._by_address) <= 1


async def test_slow_heads_are_cut_while_honest_clients_are_served(new_site, tmp_path) -> None:
    async with new_site(tmp_path, head_seconds=1.0) as site:

        async def drip(first: bytes, part: bytes) -> tuple[bytes, float]:
            began = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            got = asyncio.create_task(reader.read())
            try:
                writer.write(first)
                while not got.done() and time.monotonic() - began < 6:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.1)
            except (ConnectionResetError, BrokenPipeError):
                pass
            writer.close()
            try:
                return await asyncio.wait_for(got, 1), time.monotonic() - began
            except (ConnectionResetError, TimeoutError):
                return b"", time.monotonic() - began

        slow = [
            drip(b"GET /api/genres HTTP/1.1\r\nHost: localhost\r\n", b"X-%d: 1\r\n" % n) for n in range(40)
        ]
        slow += [drip(b"", b"\r\n") for _ in range(10)] + [drip(b"", b"") for _ in range(10)]
        slow += [drip(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n") for _ in range(10)]
        running = [asyncio.create_task(one) for one in slow]
        worst = 0.0
        while not all(task.done() for task in running):
            began = time.monotonic()
            assert (await site.get("/healthz")).status == 200
            worst = max(worst, time.monotonic() - began)
            await asyncio.sleep(0.05)
        results = [task.result() for task in running]
        assert max(took for _, took in results) < 4
        assert worst < 1.0
        assert [raw for raw, _ in results[:40] if b"408" not in raw[:20]] == []


async def test_a_head_that_never_ends_is_refused_early(site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
    answer, began = asyncio.create_task(reader.read()), time.monotonic()
    sent = 0
    try:
        while not answer.done() and sent < 50_000_000:
            writer.write(b"a" * 8192)
            await writer.drain()
            await asyncio.sleep(0)
            sent += 8192
    except (ConnectionResetError, BrokenPipeError):
        pass
    assert sent < 10_000_000
    assert time.monotonic() - began < 3
    writer.close()


async def test_a_client_that_stops_reading_is_let_go(new_site, tmp_path) -> None:
    ended = asyncio.Event()

    async def flood(seen, send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"audio/mpeg")]}
        )
        watch = asyncio.create_task(gone(seen))
        while not watch.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            # To somebody who is gone the server sends at once, and nobody else would have a turn.
            await asyncio.sleep(0)
        ended.set()

    async def gone(seen) -> None:
        while (await seen.receive())["type"] != "http.disconnect":
            pass

    async with new_site(tmp_path, stalled_write_seconds=0.5) as site:
        path = "/api/stream/019a0000-0000-7000-8000-000000000000"
        site.services.handlers[path] = flood
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await writer.drain()
        await asyncio.wait_for(ended.wait(), 6)
        writer.close()
        assert reader
