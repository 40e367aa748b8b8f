"""`memory:` — a bounded cache inside one app.

Failure policy: it holds at most `bytes` (16 MiB unless told otherwise, keys, tags and what an entry costs
included) and drops what was used least recently; it cannot be away.
"""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

_DEFAULT_BYTES = 16 * 1024 * 1024
# About what Python spends on an entry and on each tag besides their text; so small values are bounded, too.
_OVERHEAD = 300
_TAG_OVERHEAD = 400
# How long a value may take to be made: purges are remembered for so long.
_PURGE_MEMORY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Entry:
    value: bytes
    expires: float
    tags: tuple[str, ...]
    cost: int


class MemoryCache:
    """Least recently used goes first."""

    def __init__(self, url: str = "memory:", *, now: Callable[[], float] = time.monotonic) -> None:
        limit = parse_qs(urlsplit(url).query).get("bytes", [str(_DEFAULT_BYTES)])[0]
        self._limit = int(limit)
        self._now = now
        self._size = 0
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._tagged: defaultdict[str, set[str]] = defaultdict(set)
        self._purges = 0
        self._purged: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def start(self) -> None:
        """Always ready."""

    async def stop(self) -> None:
        self._entries.clear()
        self._tagged.clear()
        self._size = 0

    async def ping(self) -> None:
        """Always there."""

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= self._now():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def mark(self, tags: Collection[str]) -> str:
        return self._mark(tags)

    async def set(
        self, key: str, value: bytes, *, seconds: float, tags: Collection[str] = (), mark: str | None = None
    ) -> None:
        if mark is not None and mark != self._mark(tags):
            return
        self._drop(key)
        cost = _OVERHEAD + len(key) + len(value) + sum(_TAG_OVERHEAD + len(tag) for tag in tags)
        if cost > self._limit or seconds <= 0:
            return
        self._entries[key] = _Entry(value, self._now() + seconds, tuple(tags), cost)
        self._size += cost
        for tag in tags:
            self._tagged[tag].add(key)
        while self._size > self._limit:
            self._drop(next(iter(self._entries)))

    async def delete(self, key: str) -> None:
        self._drop(key)

    async def purge(self, tags: Collection[str]) -> None:
        now = self._now()
        self._purges += 1
        for tag in tags:
            self._purged[tag] = (self._purges, now)
            self._purged.move_to_end(tag)
            for key in list(self._tagged.get(tag, ())):
                self._drop(key)
        while self._purged and next(iter(self._purged.values()))[1] < now - _PURGE_MEMORY_SECONDS:
            self._purged.popitem(last=False)

    def _mark(self, tags: Collection[str]) -> str:
        return " ".join(str(self._purged.get(tag, (0, 0.0))[0]) for tag in sorted(set(tags)))

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._size -= entry.cost
        for tag in entry.tags:
            self._tagged[tag].discard(key)
            if not self._tagged[tag]:
                del self._tagged[tag]
