"""Public answers remembered for everybody: single flight, jittered expiry, stale while revalidating.

Only answers without an identity come here (see `policy.Public`), under a key of everything that was sent
upstream. An event purges by tag; a fetch that began before a purge is neither stored nor joined after it,
so a private thing never comes back from the cache. What stands for "before" is the store's mark of the
tags, so this holds for all gateways of one store, whichever of them hears the event.
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import orjson
from structlog.typing import FilteringBoundLogger

from antiphon_common.cache import Cache
from antiphon_common.metrics import Metrics
from antiphon_gateway.problems import Refused

MAX_BODY = 1024 * 1024
STALE_ON_ERROR_SECONDS = 300.0

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Remembered:
    """A 200 answer as it is sent to clients; `etag` is among the headers. Times are of the wall clock."""

    headers: Headers
    body: bytes
    etag: bytes
    fresh_until: float
    stale_until: float

    def to_bytes(self) -> bytes:
        head = orjson.dumps(
            {
                "headers": [
                    [name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers
                ],
                "etag": self.etag.decode("latin-1"),
                "fresh": self.fresh_until,
                "stale": self.stale_until,
            }
        )
        return head + b"\n" + self.body

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Remembered":
        head, _, body = raw.partition(b"\n")
        values = orjson.loads(head)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in values["headers"]]
        return cls(headers, body, values["etag"].encode("latin-1"), values["fresh"], values["stale"])


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an upstream said to a request without identity, read whole."""

    status: int
    headers: Headers
    body: bytes


Fetch = Callable[[], Awaitable[Fetched]]


@dataclass(frozen=True, slots=True)
class _Flight:
    mark: str
    task: "asyncio.Task[Fetched | Remembered]"


class AnswerCache:
    """Remembers answers behind the cache port."""

    def __init__(self, store: Cache, *, now: Callable[[], float], log: FilteringBoundLogger) -> None:
        self._store = store
        self._now = now
        self._log = log
        self._flights: dict[str, _Flight] = {}
        self.measure(Metrics())

    def measure(self, metrics: Metrics) -> None:
        """How often an answer was there, how often an old one had to do."""
        given = metrics.counter(
            "antiphon_cache_answers_total", "Answers that might have been remembered", "found"
        )
        self._hits, self._stale, self._misses = (given.labels(found) for found in ("hit", "stale", "miss"))

    async def start(self) -> None:
        await self._store.start()

    async def stop(self) -> None:
        for flight in list(self._flights.values()):
            flight.task.cancel()
        await self._store.stop()

    async def purge(self, tags: Collection[str]) -> None:
        """Forget every answer that is made of one of these."""
        await self._store.purge(tags)

    async def get(
        self, key: str, *, seconds: float, tags: Collection[str], fetch: Fetch
    ) -> Fetched | Remembered:
        """The remembered answer, or what `fetch` brings. A stale one is given while a new one is fetched."""
        raw = await self._store.get(key)
        held = Remembered.from_bytes(raw) if raw else None
        now = self._now()
        if held and now < held.fresh_until:
            self._hits.inc()
            return held
        (self._stale if held else self._misses).inc()
        mark = await self._store.mark(tags)
        flight = self._flight(key, mark, seconds=seconds, tags=tags, fetch=fetch)
        if held and now < held.stale_until:
            return held
        try:
            found = await asyncio.shield(flight.task)
        except Refused:
            if held and await self._store.mark(tags) == flight.mark:
                return held
            raise
        if held and isinstance(found, Fetched) and found.status >= 500:
            return held
        return found

    def _flight(self, key: str, mark: str, *, seconds: float, tags: Collection[str], fetch: Fetch) -> _Flight:
        flying = self._flights.get(key)
        if flying and flying.mark == mark:
            return flying
        task = asyncio.create_task(self._fetch(key, mark, seconds=seconds, tags=tags, fetch=fetch))
        flight = self._flights[key] = _Flight(mark, task)

        def landed(done: "asyncio.Task[Fetched | Remembered]") -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]
            # A background refresh has nobody to tell; looking at the error keeps asyncio quiet about it.
            if not done.cancelled() and done.exception():
                self._log.debug("refresh_failed", error=type(done.exception()).__name__)

        task.add_done_callback(landed)
        return flight

    async def _fetch(
        self, key: str, mark: str, *, seconds: float, tags: Collection[str], fetch: Fetch
    ) -> Fetched | Remembered:
        try:
            found = await fetch()
        except Refused as refused:
            await self._drop_if_gone(key, refused.status)
            raise
        if not _may_be_remembered(found):
            await self._drop_if_gone(key, found.status)
            return found
        remembered = _remember(found, seconds=seconds, now=self._now())
        lifetime = remembered.stale_until - self._now() + STALE_ON_ERROR_SECONDS
        await self._store.set(key, remembered.to_bytes(), seconds=lifetime, tags=tags, mark=mark)
        return remembered

    async def _drop_if_gone(self, key: str, status: int) -> None:
        """What was public is gone, or public no more; an error of the service says nothing about that."""
        if status < 500:
            await self._store.delete(key)


def _may_be_remembered(found: Fetched) -> bool:
    """Only a plain 200 that is not called private, sets no cookie and varies by nothing else."""
    if found.status != 200 or len(found.body) > MAX_BODY:
        return False
    for name, value in found.headers:
        lowered = value.lower()
        if name == b"set-cookie" or (
            name == b"cache-control" and (b"private" in lowered or b"no-store" in lowered)
        ):
            return False
        if name == b"vary" and not set(lowered.replace(b" ", b"").split(b",")) <= {
            b"accept-encoding", b"authorization", b"origin", b"accept"
        }:  # fmt: skip
            return False
    return True


def _remember(found: Fetched, *, seconds: float, now: float) -> Remembered:
    headers = [pair for pair in found.headers if pair[0] != b"content-length"]
    etag = next((value for name, value in headers if name == b"etag"), None)
    if etag is None:
        etag = b'"%s"' % hashlib.blake2b(found.body, digest_size=12).hexdigest().encode()
        headers.append((b"etag", etag))
    if not any(name == b"cache-control" for name, _ in headers):
        # Browsers keep it and ask each time: a purge here is then a purge there.
        headers.append((b"cache-control", b"no-cache"))
    # Answers made in the same moment must not all expire in the same moment.
    fresh = seconds * random.uniform(0.8, 1.0)  # noqa: S311 - no secret
    return Remembered(headers, found.body, etag, now + fresh, now + fresh + seconds)
