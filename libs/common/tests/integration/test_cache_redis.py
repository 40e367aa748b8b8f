"""The cache in Redis: the contract of every cache, and each sentence of its failure policy on a broken server."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from antiphon_common.cache import Cache, open_cache
from antiphon_common.cache.redis import MAX_VALUE
from antiphon_common.cache.redis.link import Link, Refusal, Script
from antiphon_common.errors import Unavailable
from antiphon_common.testing.running import eventually
from antiphon_common.testing.suites.cache import CacheSuite

TENS_OF_MS = 0.5
"""Allows for a busy machine: the policy says 90 ms."""


class TestRedisCache(CacheSuite):
    @pytest.fixture
    def cache_url(self, redis_url: str) -> str:
        return redis_url


@pytest.fixture(scope="module")
def server(private_server: Any) -> Any:
    """A Redis that may be broken."""
    return private_server("redis")


@pytest.fixture
async def admin(server: Any) -> AsyncIterator[Redis]:
    """Another client, on a server that is up and empty."""
    client = Redis.from_url(server.url)
    await eventually(lambda: _answers(client))
    await client.config_set("maxmemory", "0")
    await client.flushall()
    yield client
    await client.aclose()


async def _answers(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except Exception:  # noqa: BLE001 - whatever it is, it does not answer yet
        return False


@pytest.fixture
async def cache(server: Any, admin: Redis) -> AsyncIterator[Cache]:
    cache = open_cache(server.url)
    await cache.start()
    yield cache
    await cache.stop()


async def usable(cache: Cache) -> bool:
    try:
        await cache.ping()
    except Unavailable:
        return False
    return True


async def slowest(cache: Cache, times: int = 20) -> float:
    """The longest of some calls of each kind, and none may raise."""
    longest = 0.0
    for number in range(times):
        for call in (
            cache.get(f"k{number}"), cache.set("k", b"v", seconds=9, tags=["t"]), cache.mark(["t"]),
            cache.delete("k"), cache.purge(["t"]),
        ):  # fmt: skip
            began = time.perf_counter()
            await call
            longest = max(longest, time.perf_counter() - began)
    return longest


async def test_a_stopped_redis_is_a_cache_that_keeps_nothing_and_costs_nothing(
    server: Any, cache: Cache
) -> None:
    server.stop()
    try:
        assert await slowest(cache) < TENS_OF_MS
        assert await cache.get("k") is None
        assert not await usable(cache)
    finally:
        server.start()
    assert await eventually(lambda: usable(cache), seconds=3)
    await cache.set("a", b"x", seconds=60)
    assert await cache.get("a") == b"x"


async def test_a_frozen_redis_costs_its_first_callers_tens_of_milliseconds_and_then_nobody(
    server: Any, cache: Cache
) -> None:
    server.freeze()
    try:
        began = time.perf_counter()
        assert await asyncio.gather(*(cache.get(f"k{number}") for number in range(500))) == [None] * 500
        assert 0.05 < time.perf_counter() - began < TENS_OF_MS
        await asyncio.sleep(1)
        assert await slowest(cache) < TENS_OF_MS / 5
    finally:
        server.thaw()
    assert await eventually(lambda: usable(cache), seconds=3)


async def test_a_busy_loop_of_our_own_is_not_taken_for_a_frozen_redis(server: Any, cache: Cache) -> None:
    await cache.set("a", b"x", seconds=60)
    for _ in range(10):
        asked = asyncio.ensure_future(cache.get("a"))
        await asyncio.sleep(0)
        time.sleep(0.08)
        assert await asked == b"x"


async def test_a_full_redis_keeps_nothing_more_and_can_still_be_purged(cache: Cache, admin: Redis) -> None:
    await cache.set("a", b"x", seconds=60, tags=["t"])
    await cache.set("b", b"x", seconds=60, tags=["u"])
    await admin.config_set("maxmemory-policy", "noeviction")
    await admin.config_set("maxmemory", "1")
    assert await slowest(cache) < TENS_OF_MS
    assert await cache.get("a") is None
    assert await cache.get("b") == b"x"
    await cache.set("c", b"x", seconds=60)
    assert await cache.get("c") is None
    await cache.delete("b")
    assert await cache.get("b") is None


@pytest.mark.parametrize("forget", ["purge", "delete"])
async def test_what_was_forgotten_while_redis_was_away_is_not_found_when_it_is_back(
    server: Any, cache: Cache, fault_proxy: Any, forget: str
) -> None:
    at = urlsplit(server.url)
    proxy = await fault_proxy(at.hostname, at.port)
    cut_off = open_cache(server.url.replace(f":{at.port}", f":{proxy.port}"))
    await cut_off.start()
    await cut_off.set("a", b"x", seconds=60, tags=["t"])
    proxy.refuse()
    await eventually(lambda: usable(cut_off), lambda there: not there)
    await (cut_off.purge(["t"]) if forget == "purge" else cut_off.delete("a"))
    assert await cache.get("a") == b"x", "Redis has heard nothing of it"
    proxy.heal()
    assert await eventually(lambda: usable(cut_off), seconds=3)
    assert await cut_off.get("a") is None
    assert await cache.get("a") is None
    await cut_off.stop()


async def test_what_a_killed_redis_brings_back_is_not_found(server: Any, cache: Cache, admin: Redis) -> None:
    """Its journal may have lost the last purge but not the value."""
    await cache.set("a", b"x", seconds=60, tags=["t"])
    await eventually(lambda: admin.info("persistence"), lambda info: info["aof_pending_bio_fsync"] == 0)
    server.kill()
    server.start()
    assert await eventually(lambda: _answers(admin))
    assert await eventually(lambda: usable(cache), seconds=3)
    assert await admin.keys("antiphon:cache:*"), "the journal has kept the value"
    assert await cache.get("a") is None


async def test_a_lost_connection_alone_costs_no_value(cache: Cache, admin: Redis) -> None:
    await cache.set("a", b"x", seconds=60, tags=["t"])
    await admin.client_kill_filter(_type="normal", skipme=True)
    await eventually(lambda: cache.get("a"), lambda value: value == b"x", seconds=3)


async def test_a_wiped_redis_is_an_empty_cache(cache: Cache, admin: Redis) -> None:
    mark = await cache.mark(["t"])
    await cache.set("a", b"x", seconds=60, tags=["t"])
    await admin.flushall()
    assert await cache.get("a") is None
    await cache.set("a", b"old", seconds=60, tags=["t"], mark=mark)
    assert await cache.get("a") is None
    await cache.set("a", b"new", seconds=60, tags=["t"])
    assert await cache.get("a") == b"new"


async def test_a_mark_that_was_evicted_hides_what_was_kept_under_it(cache: Cache, admin: Redis) -> None:
    await cache.set("a", b"x", seconds=60, tags=["t"])
    await admin.delete("antiphon:mark:t")
    assert await cache.get("a") is None
    assert not await admin.exists(*await admin.keys("antiphon:cache:*") or ["none"])


async def test_all_see_a_purge_of_one_and_none_keeps_what_was_made_before_it(
    server: Any, cache: Cache
) -> None:
    other = open_cache(server.url)
    await other.start()
    await cache.set("a", b"x", seconds=60, tags=["t"])
    mark = await other.mark(["t"])
    assert await other.get("a") == b"x"
    await cache.purge(["t"])
    assert await other.get("a") is None
    await other.set("a", b"old", seconds=60, tags=["t"], mark=mark)
    assert await cache.get("a") is None
    await other.stop()


async def test_a_wrong_password_keeps_nothing_and_is_said_without_the_password(server: Any) -> None:
    cache = open_cache(server.url.replace("://", "://nobody").replace("@", "-wrong@"))
    await cache.start()
    assert await slowest(cache) < TENS_OF_MS
    with pytest.raises(Unavailable) as away:
        await cache.ping()
    assert "WRONGPASS" in away.value.detail
    assert "secret" not in away.value.detail
    await cache.stop()


async def test_everything_it_keeps_has_an_end_and_a_bound(cache: Cache, admin: Redis) -> None:
    await cache.set("a", b"x", seconds=5, tags=["t"])
    await cache.set("large", bytes(MAX_VALUE + 1), seconds=5)
    await cache.set("largest", bytes(MAX_VALUE), seconds=5)
    await cache.mark(["only marked"])
    keys = await admin.keys()
    assert len([key for key in keys if key.startswith(b"antiphon:cache:")]) == 2
    assert all([0 < await admin.ttl(key) <= 66 for key in keys])
    assert await cache.get("large") is None


async def test_a_larger_value_does_not_leave_an_older_one_in_its_place(cache: Cache) -> None:
    await cache.set("a", b"old", seconds=5)
    await cache.set("a", bytes(MAX_VALUE + 1), seconds=5)
    assert await cache.get("a") is None


async def test_a_thousand_at_once_get_each_their_own_answer(server: Any, admin: Redis) -> None:
    link = Link(server.url)
    await link.start()
    answers = await asyncio.gather(*(link.ask("ECHO", str(number)) for number in range(1000)))
    assert answers == [b"%d" % number for number in range(1000)]
    await link.stop()


async def test_who_gives_up_waiting_takes_no_answer_from_the_next(server: Any, admin: Redis) -> None:
    link = Link(server.url)
    await link.start()
    first, second = link.ask("ECHO", "1"), link.ask("ECHO", "2")
    first.cancel()
    assert await second == b"2"
    await link.stop()


async def test_a_script_that_redis_has_forgotten_is_sent_again(server: Any, admin: Redis) -> None:
    link, script = Link(server.url), Script("return ARGV[1]")
    await link.start()
    assert await link.run(script, [], "1") == b"1"
    await admin.script_flush()
    assert await link.run(script, [], "2") == b"2"
    with pytest.raises(Refusal):
        await link.run(Script("return {"), [])
    assert await link.ask("ECHO", "3") == b"3"
    await link.stop()


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+PONG\r\n" * 50, b"$-9\r\n", b""])
async def test_what_is_no_redis_is_never_used(said: bytes) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as impostor:
        link = Link(f"redis://127.0.0.1:{impostor.sockets[0].getsockname()[1]}")
        await link.start()
        with pytest.raises(Unavailable):
            await link.ask("PING")
        await link.stop()


@pytest.mark.parametrize(
    "wrong", ["redis://", "redis:///0", "redis://host/x", "redis://host:99999", "rediss:"]
)
def test_an_address_that_is_none_is_refused_at_once(wrong: str) -> None:
    with pytest.raises(ValueError):
        open_cache(wrong)
