"""The cache: answers that can be made again. It is never the authority for anything."""

from collections.abc import Collection
from typing import Protocol, cast

from antiphon_common.schemes import open_by_scheme


class Cache(Protocol):
    """The port. It fails soft: when the store is away, `get` finds nothing and writing does nothing."""

    async def start(self) -> None:
        """Make ready to be used."""

    async def stop(self) -> None:
        """Let go of everything."""

    async def ping(self) -> None:
        """Raise `Unavailable`, saying why, unless the store answers."""

    async def get(self, key: str) -> bytes | None:
        """The value, or none when it is absent or expired."""

    async def mark(self, tags: Collection[str]) -> str:
        """A word that changes when one of these tags is purged, by whomever. Ask before a value is made."""

    async def set(
        self, key: str, value: bytes, *, seconds: float, tags: Collection[str] = (), mark: str | None = None
    ) -> None:
        """Keep a value for some seconds, findable by its tags; with a mark, unless one was purged since."""

    async def delete(self, key: str) -> None:
        """Forget one value."""

    async def purge(self, tags: Collection[str]) -> None:
        """Forget every value that has one of these tags."""


_REDIS = ("antiphon_common.cache.redis:RedisCache", "redis")
_ADAPTERS = {
    "memory": ("antiphon_common.cache.memory:MemoryCache", ""),
    "redis": _REDIS,
    "rediss": _REDIS,
}


def open_cache(url: str) -> Cache:
    """The cache for a URL: `memory:` (of this app alone; `memory:?bytes=N` bounds it), or
    `redis://[[user]:password@]host[:port][/number]` (`rediss:` with TLS), shared by all who name it.
    """
    return cast(Cache, open_by_scheme(_ADAPTERS, url))


__all__ = ["Cache", "open_cache"]
