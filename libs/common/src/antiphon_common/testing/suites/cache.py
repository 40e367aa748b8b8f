"""What every cache does. The subclass gives `cache_url`, the address of an empty cache."""

from collections.abc import AsyncIterator

import pytest

from antiphon_common.cache import Cache, open_cache
from antiphon_common.testing.running import eventually


class CacheSuite:
    """Subclass it and define the fixture `cache_url`."""

    @pytest.fixture
    async def cache(self, cache_url: str) -> AsyncIterator[Cache]:
        cache = open_cache(cache_url)
        await cache.start()
        yield cache
        await cache.stop()

    async def test_a_value_is_found_again_byte_by_byte(self, cache: Cache) -> None:
        value = bytes(range(256)) * 100
        await cache.set("GET /api/things?q=%C3%B3\n", value, seconds=60)
        assert await cache.get("GET /api/things?q=%C3%B3\n") == value
        assert await cache.get("GET /api/things?q=") is None

    async def test_an_empty_value_is_a_value(self, cache: Cache) -> None:
        await cache.set("a", b"", seconds=60)
        assert await cache.get("a") == b""

    async def test_a_newer_value_replaces_an_older_one_and_its_tags(self, cache: Cache) -> None:
        await cache.set("a", b"1", seconds=60, tags=["old"])
        await cache.set("a", b"2", seconds=60, tags=["new"])
        await cache.purge(["old"])
        assert await cache.get("a") == b"2"
        await cache.purge(["new"])
        assert await cache.get("a") is None

    async def test_a_value_is_gone_after_its_time(self, cache: Cache) -> None:
        await cache.set("short", b"x", seconds=0.05)
        await cache.set("long", b"x", seconds=60)
        await eventually(lambda: cache.get("short"), lambda value: value is None, seconds=2)
        assert await cache.get("long") == b"x"

    @pytest.mark.parametrize("seconds", [0, -1])
    async def test_what_is_kept_for_no_time_is_not_kept(self, cache: Cache, seconds: float) -> None:
        await cache.set("a", b"old", seconds=60)
        await cache.set("a", b"new", seconds=seconds)
        assert await cache.get("a") is None

    async def test_a_deleted_value_is_gone_and_may_be_deleted_again(self, cache: Cache) -> None:
        await cache.set("a", b"x", seconds=60, tags=["t"])
        await cache.delete("a")
        await cache.delete("a")
        assert await cache.get("a") is None
        await cache.purge(["t"])

    async def test_a_purge_takes_all_that_has_one_of_the_tags_and_nothing_else(self, cache: Cache) -> None:
        await cache.set("a", b"a", seconds=60, tags=["x", "y"])
        await cache.set("b", b"b", seconds=60, tags=["y", "y"])
        await cache.set("c", b"c", seconds=60, tags=["z"])
        await cache.set("d", b"d", seconds=60)
        await cache.purge(["x", "unknown"])
        assert [await cache.get(key) for key in "abcd"] == [None, b"b", b"c", b"d"]
        await cache.purge(["y", "z"])
        assert [await cache.get(key) for key in "abcd"] == [None, None, None, b"d"]
        await cache.purge([])
        assert await cache.get("d") == b"d"

    async def test_a_value_made_before_a_purge_is_not_kept_after_it(self, cache: Cache) -> None:
        mark = await cache.mark(["x", "y"])
        await cache.purge(["y"])
        await cache.set("a", b"old", seconds=60, tags=["x", "y"], mark=mark)
        assert await cache.get("a") is None
        await cache.set("a", b"new", seconds=60, tags=["x", "y"], mark=await cache.mark(["y", "x"]))
        assert await cache.get("a") == b"new"

    async def test_a_mark_stays_until_one_of_its_tags_is_purged(self, cache: Cache) -> None:
        mark = await cache.mark(["x", "y"])
        assert await cache.mark(["x", "y"]) == mark
        await cache.purge(["z"])
        await cache.set("a", b"a", seconds=60, tags=["x", "y"], mark=mark)
        assert await cache.get("a") == b"a"
        assert await cache.mark(["x", "y"]) == mark
        await cache.purge(["x"])
        assert await cache.mark(["x", "y"]) != mark

    async def test_a_store_that_is_there_answers_a_ping(self, cache: Cache) -> None:
        await cache.ping()
