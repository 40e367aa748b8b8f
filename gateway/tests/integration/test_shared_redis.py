"""Several gateways on one Redis: what they share, and what each cell of "when something is down" says of them."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from antiphon_common.ids import new_id
from antiphon_common.testing.running import eventually, publish
from antiphon_contracts.playlist import PlaylistChanged
from antiphon_gateway.app import _keys, _verifier

NOBODY = "http://127.0.0.1:9"
SOON = 0.3


@pytest.fixture(scope="module")
def redis(private_server: Any) -> Any:
    """A Redis that may be broken."""
    return private_server("redis")


@pytest.fixture
async def admin(redis: Any) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis.url)
    await client.flushall()
    yield client
    await client.aclose()


async def missing(site: Any) -> list[str]:
    return (await site.get("/readyz")).json()["missing"]


def of_session(site: Any, session: Any) -> dict[str, str]:
    token = site.tokens.sign(site.tokens.claims(session=session))
    return {"authorization": f"Bearer {token}"}


def counting(site: Any, path: str) -> list[Any]:
    calls: list[Any] = []

    async def answer(seen: Any, send: Any) -> None:
        calls.append(seen)
        await site.services.reply(send, 200, {"n": len(calls)})

    site.services.handlers[path] = answer
    return calls


async def test_a_public_answer_is_fetched_once_for_all_and_purged_in_all_by_whoever_hears_of_it(
    new_site: Any, another: Any, redis: Any, admin: Redis, tmp_path: Path
) -> None:
    path = "/api/playlists/public"
    async with new_site(tmp_path, cache_url=redis.url) as site, another(site) as second:
        counting(site, path)
        number = 0
        for _ in range(5):
            # Each fetch has a number of its own, so equal answers are one fetch.
            number = await eventually(lambda: agreed(path, site, second), lambda n, old=number: n > old)
            changed = PlaylistChanged(
                subject=new_id(), revision=2, owner_id=new_id(), title="t", visibility="private", item_count=0
            )
            await publish(site.settings.bus_url, [changed])
            for one in (site, second):
                await eventually(
                    lambda one=one: one.get(path),
                    lambda reply, old=number: reply.json()["n"] > old,
                    seconds=SOON * 5,
                )


async def agreed(path: str, *sites: Any) -> int:
    """What all gateways answer, asked in turn; nothing when they differ."""
    numbers = {(await one.get(path)).json()["n"] for one in (*sites, *sites)}
    return numbers.pop() if len(numbers) == 1 else 0


async def test_what_one_gateway_fetched_before_a_purge_is_not_kept_when_another_heard_the_purge(
    new_site: Any, another: Any, redis: Any, admin: Redis, tmp_path: Path
) -> None:
    release, calls = asyncio.Event(), 0

    async def answer(seen: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        title = "old" if calls == 1 else "new"
        if calls == 1:
            await release.wait()
        await site.services.reply(send, 200, {"title": title})

    async with new_site(tmp_path, cache_url=redis.url) as site, another(site) as second:
        path = f"/api/tracks/{new_id()}"
        site.services.handlers[path] = answer
        first = asyncio.create_task(site.get(path))
        await eventually(lambda: asyncio.sleep(0, calls), lambda count: count == 1)
        await second.gateway._parts.answers._answers.purge([path.replace("/api/tracks/", "track:")])
        # Not joined at the gateway that knows nothing of the purge, and not kept.
        assert (await site.get(path)).json() == {"title": "new"}
        release.set()
        assert (await first).json() == {"title": "old"}
        assert [(await one.get(path)).json()["title"] for one in (site, second)] == ["new", "new"]


async def test_nothing_private_is_ever_in_redis(
    new_site: Any, redis: Any, admin: Redis, tmp_path: Path
) -> None:
    canary = f"canary-{new_id()}"

    async def personal(seen: Any, send: Any) -> None:
        mine = seen.header("authorization") is not None
        await site.services.reply(send, 200, {"secret": canary if mine else "public-answer"})

    async with new_site(tmp_path, cache_url=redis.url) as site:
        one = new_id()
        a = site.bearer()
        for path in ("/api/tracks", f"/api/tracks/{one}", "/api/genres", "/api/artists", "/api/me", "/api/search",
                     "/api/playlists", f"/api/playlists/{one}", f"/api/users/{one}", f"/api/images/{one}"):  # fmt: skip
            site.services.handlers[path] = personal
            for who in (a, {}, a):
                await site.get(f"{path}?q={canary}-asked", headers={**who, "Cookie": canary})
        dumped = b""
        for key in await admin.keys():
            dumped += key + b"\n" + (await admin.dump(key) or b"")
            dumped += b"".join(await admin.lrange(key, 0, -1)) if await admin.type(key) == b"list" else b""
        assert b"public-answer" in dumped
        assert canary.encode() not in dumped
        token = a["authorization"].partition(" ")[2].encode()
        assert token not in dumped
        assert token.rpartition(b".")[2] not in dumped


async def test_limits_hold_together_over_two_gateways(
    new_site: Any, another: Any, redis: Any, admin: Redis, tmp_path: Path
) -> None:
    rates = {"search": "40/3600"}
    async with new_site(tmp_path, cache_url=redis.url, rates=rates) as site, another(site) as second:
        replies = await asyncio.gather(*(one.get("/api/search") for _ in range(60) for one in (site, second)))
        assert [reply.status for reply in replies].count(200) == 40
        refused = next(reply for reply in replies if reply.status == 429)
        assert 80 <= int(refused.headers["retry-after"]) <= 90
        assert refused.headers["ratelimit"].startswith('"search";r=0;t=')


async def test_without_redis_each_gateway_holds_its_share_and_all_is_served(
    new_site: Any, another: Any, redis: Any, admin: Redis, tmp_path: Path
) -> None:
    rates = {"search": "40/3600"}
    settings = {"cache_url": redis.url, "rates": rates, "instances": 2}
    async with new_site(tmp_path, **settings) as site, another(site) as second:
        redis.stop()
        try:
            replies = await asyncio.gather(
                *(one.get("/api/search") for _ in range(60) for one in (site, second))
            )
            assert [reply.status for reply in replies].count(200) == 40
            calls = counting(site, "/api/genres")
            for path, headers in (("/api/genres", {}), ("/api/genres", {}), ("/api/me", site.bearer())):
                began = time.monotonic()
                assert (await site.get(path, headers=headers)).status == 200
                assert time.monotonic() - began < SOON
            assert len(calls) == 2
            assert await missing(site) == ["cache", "limits"]
        finally:
            redis.start()
        await eventually(lambda: missing(site), lambda names: names == [], seconds=5)
        await site.get("/api/genres")
        await site.get("/api/genres")
        assert len(calls) == 3


async def test_a_frozen_redis_is_felt_by_nobody(
    new_site: Any, redis: Any, admin: Redis, tmp_path: Path
) -> None:
    async with new_site(tmp_path, cache_url=redis.url) as site:
        redis.freeze()
        try:
            for _ in range(10):
                began = time.monotonic()
                assert (await site.get("/api/tracks")).status == 200
                assert time.monotonic() - began < SOON
        finally:
            redis.thaw()
        await eventually(lambda: missing(site), lambda names: names == [], seconds=5)


async def test_a_wiped_redis_revives_nothing_and_locks_nobody_out(
    new_site: Any, redis: Any, admin: Redis, tmp_path: Path
) -> None:
    async with new_site(tmp_path, cache_url=redis.url) as site:
        session = new_id()
        dead, living = of_session(site, session), site.bearer()
        site.services.revoked.append({"session": str(session)})
        await eventually(
            lambda: site.get("/api/me", headers=dead), lambda reply: reply.status == 401, seconds=2
        )
        for _ in range(3):
            await admin.flushall()
            assert (await site.get("/api/me", headers=dead)).status == 401
            assert (await site.get("/api/me", headers=living)).status == 200


async def test_a_wrong_password_is_said_by_readiness_and_in_one_line_and_all_is_served(
    new_site: Any, redis: Any, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    wrong = redis.url.replace("@", "-wrong@")
    async with new_site(tmp_path, cache_url=wrong, rates={"search": "5/3600"}, log_file=log) as site:
        assert await missing(site) == ["cache", "limits"]
        statuses = [(await site.get("/api/search")).status for _ in range(7)]
        assert statuses == [200] * 5 + [429] * 2
        await asyncio.sleep(1.2)
    lines = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    said = {line["setting"]: line["detail"] for line in lines if line["event"] == "store_away"}
    assert set(said) == {"GATEWAY_CACHE_URL", "GATEWAY_LIMITS_URL"}
    assert all("WRONGPASS" in detail for detail in said.values())
    assert len([line for line in lines if line["event"] == "store_away"]) == 2
    assert b"-wrong" not in log.read_bytes()


async def test_a_gateway_starts_without_redis_and_broker_and_serves(new_site: Any, tmp_path: Path) -> None:
    began = time.monotonic()
    urls = {"cache_url": "redis://127.0.0.1:9", "bus_url": "amqp://a:b@127.0.0.1:9/x"}
    async with new_site(tmp_path, **urls) as site:
        assert time.monotonic() - began < 8
        assert (await site.get("/api/genres")).status == 200
        assert (await site.get("/api/me", headers=site.bearer())).status == 200


async def test_while_auth_is_away_who_runs_serves_and_who_starts_admits_no_token(
    new_site: Any, another: Any, tmp_path: Path
) -> None:
    async with new_site(tmp_path) as site:
        session = new_id()
        dead, living = of_session(site, session), site.bearer()
        site.services.revoked.append({"session": str(session)})
        await eventually(
            lambda: site.get("/api/me", headers=dead), lambda reply: reply.status == 401, seconds=2
        )
        for one in site.gateway._parts.forwarder._upstreams["auth"].instances.every:
            one.base = NOBODY
        await asyncio.sleep(0.5)
        assert (await site.get("/api/me", headers=living)).status == 200
        assert (await site.get("/api/me", headers=dead)).status == 401
        login = await site.get("/api/auth/refresh", headers={"Content-Length": "0"}, method="POST")
        assert (login.status, "retry-after" in login.headers) == (503, True)
        async with another(site, auth_url=NOBODY, bus_url=f"inproc://{tmp_path}/2.db") as late:
            assert (await late.get("/api/genres")).status == 200
            refused = await late.get("/api/me", headers=living)
            assert (refused.status, refused.json()["code"]) == (503, "identity_unavailable")
            assert int(refused.headers["retry-after"]) >= 1
            assert {"auth", "revocations"} <= set(await missing(late))


async def test_a_service_that_is_down_is_a_cached_answer_or_503_with_a_time_at_once(
    new_site: Any, tmp_path: Path
) -> None:
    async with new_site(tmp_path) as site:
        assert (await site.get("/api/genres")).status == 200
        for name in ("catalog", "search"):
            for one in site.gateway._parts.forwarder._upstreams[name].instances.every:
                one.base = NOBODY
        assert (await site.get("/api/genres")).status == 200
        for path in ("/api/genres?cursor=other", "/api/search?q=a"):
            for _ in range(8):
                began = time.monotonic()
                reply = await site.get(path)
                assert reply.status == 503
                assert int(reply.headers["retry-after"]) >= 1
                assert reply.headers["content-type"] == "application/problem+json"
                assert time.monotonic() - began < SOON


async def test_gateways_with_caches_of_their_own_have_a_queue_each(
    new_site: Any, another: Any, tmp_path: Path
) -> None:
    path = "/api/playlists/public"
    own = {"instances": 2, "queue": "gateway-1"}
    async with new_site(tmp_path, **own) as site, another(site, queue="gateway-2") as second:
        counting(site, path)
        before = {one.port: (await one.get(path)).json()["n"] for one in (site, second)}
        changed = PlaylistChanged(
            subject=new_id(), revision=2, owner_id=new_id(), title="t", visibility="private", item_count=0
        )
        await publish(site.settings.bus_url, [changed])
        for one in (site, second):
            await eventually(
                lambda one=one: one.get(path),
                lambda reply, one=one: reply.json()["n"] not in before.values(),
                seconds=1,
            )


async def test_keys_are_found_at_any_instance_of_auth(new_site: Any, tmp_path: Path) -> None:
    async with new_site(tmp_path) as site:
        jwks = orjson.loads(Path(site.tokens.jwks_url.removeprefix("file://")).read_bytes())

        async def published(seen: Any, send: Any) -> None:
            await site.services.reply(send, 200, jwks)

        site.services.handlers["/api/auth/jwks.json"] = published
        both = f"{NOBODY},http://127.0.0.1:{site.services.port}"
        settings = site.settings.model_copy(update={"jwks_url": None, "auth_url": both})
        token = site.bearer()["authorization"].partition(" ")[2]
        assert (await _verifier(_keys(settings), settings).verify(token)).user_id
