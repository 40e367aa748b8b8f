"""The cache in memory: the contract of every cache, and its bound."""

import tracemalloc

import pytest

from antiphon_common.cache.memory import MemoryCache
from antiphon_common.testing.suites.cache import CacheSuite


class TestMemoryCache(CacheSuite):
    @pytest.fixture
    def cache_url(self) -> str:
        return "memory:"


@pytest.mark.parametrize(("value_size", "tags"), [(0, 0), (10, 2), (10_000, 1)])
async def test_it_holds_at_most_its_bytes_whatever_is_put_in(value_size: int, tags: int) -> None:
    limit = 2_000_000
    cache = MemoryCache(f"memory:?bytes={limit}")
    tracemalloc.start()
    for number in range(20_000 if value_size < 1000 else 2_000):
        names = [f"tag-{number}-{tag}" for tag in range(tags)]
        await cache.set(f"key-{number}", bytes(value_size), seconds=60, tags=names)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 1.5 * limit


async def test_what_was_used_least_recently_goes_first() -> None:
    cache = MemoryCache("memory:?bytes=6000")
    for key in "abc":
        await cache.set(key, bytes(1000), seconds=60, tags=["t"])
    assert await cache.get("a")
    await cache.set("d", bytes(1000), seconds=60, tags=["t"])
    assert [bool(await cache.get(key)) for key in "abcd"] == [True, False, True, True]
    await cache.purge(["t"])
    assert [await cache.get(key) for key in "abcd"] == [None] * 4


async def test_a_value_larger_than_the_cache_is_not_kept_and_drops_nothing() -> None:
    cache = MemoryCache("memory:?bytes=6000")
    await cache.set("a", b"x", seconds=60)
    await cache.set("b", bytes(7000), seconds=60)
    assert (await cache.get("a"), await cache.get("b")) == (b"x", None)


async def test_time_is_told_by_the_given_clock() -> None:
    now = 0.0
    cache = MemoryCache(now=lambda: now)
    await cache.set("a", b"x", seconds=10)
    now = 9.9
    assert await cache.get("a") == b"x"
    now = 10.0
    assert await cache.get("a") is None
