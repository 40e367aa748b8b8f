"""Rate limits: a token bucket for each user or address and rate class, kept as one number each (GCRA).

The number is the time at which the bucket will be full again ("theoretical arrival time", ITU-T I.371): a
request moves it on by its share of the window and is refused when that would be further than a window away.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from antiphon_common.schemes import open_by_scheme
from antiphon_gateway.policy import Rate
from antiphon_gateway.problems import Refused

FAILED = "failed"
"""The class that pays for requests whose token was refused, by address."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`count` requests in any `window` seconds, all of them at once if the caller likes."""

    count: int
    window: int

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """From `count/window`. Raises `ValueError`."""
        count, _, window = text.partition("/")
        limit = cls(int(count), int(window))
        if limit.count <= 0 or limit.window <= 0:
            raise ValueError("a limit is count/seconds, both above zero")
        return limit

    def share(self, instances: int) -> "Limit":
        """What each of so many gateways may allow, so that together they allow no more than the limit."""
        if self.count >= instances:
            return Limit(self.count // instances, self.window)
        return Limit(1, math.ceil(self.window * instances / self.count))


LIMITS: Mapping[str, Limit] = {
    Rate.READ: Limit(1200, 60),
    Rate.WRITE: Limit(300, 60),
    Rate.SEARCH: Limit(600, 60),
    Rate.STREAM: Limit(1200, 60),
    Rate.UPLOAD: Limit(1200, 60),
    Rate.AUTH: Limit(30, 60),
    Rate.SESSION: Limit(60, 60),
    FAILED: Limit(120, 60),
}


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request may pass; `remaining` requests could follow at once, `wait` seconds until one may."""

    allowed: bool
    remaining: int
    wait: float


class Buckets(Protocol):
    """The port. Every implementation is atomic: of many callers at once no more than the limit pass."""

    async def start(self) -> None:
        """Make ready to be used."""

    async def stop(self) -> None:
        """Let go of everything."""

    async def ping(self) -> None:
        """Raise `Unavailable`, saying why, while the limits are not held together with other gateways."""

    async def take(self, key: str, limit: Limit) -> Decision:
        """Take one token."""


class MemoryBuckets:
    """`memory:` — buckets inside one gateway of so many; at most `size`, the one used longest ago goes first.

    Failure policy: it cannot be away. Forgetting a bucket fills it, so `size` is far above the number of
    addresses that one gateway talks to within a window. With other gateways it holds its share of the limit.
    """

    def __init__(
        self,
        url: str = "memory:",  # noqa: ARG002 - adapters are made from their URL
        instances: int = 1,
        *,
        now: Callable[[], float] = time.monotonic,
        size: int = 100_000,
    ) -> None:
        self._instances = instances
        self._now = now
        self._size = size
        self._full_at: OrderedDict[str, float] = OrderedDict()

    async def start(self) -> None:
        """Always ready."""

    async def stop(self) -> None:
        self._full_at.clear()

    async def ping(self) -> None:
        """Always there."""

    async def take(self, key: str, limit: Limit) -> Decision:
        now = self._now()
        if self._instances > 1:
            limit = limit.share(self._instances)
        step = limit.window / limit.count
        full_at = max(now, self._full_at.get(key, now)) + step
        wait = full_at - now - limit.window
        # A millionth of a step forgives the rounding of many additions.
        if wait > step * 1e-6:
            return Decision(allowed=False, remaining=0, wait=wait)
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._size:
            self._full_at.popitem(last=False)
        return Decision(allowed=True, remaining=int(-wait / step + 1e-6), wait=0.0)


_REDIS = ("antiphon_gateway.redis_buckets:RedisBuckets", "redis")
_ADAPTERS = {
    "memory": ("antiphon_gateway.ratelimit:MemoryBuckets", ""),
    "redis": _REDIS,
    "rediss": _REDIS,
}


def open_buckets(url: str, instances: int) -> Buckets:
    """The buckets for a URL: `memory:`, or `redis://[[user]:password@]host[:port][/number]` to share them."""
    return cast(Buckets, open_by_scheme(_ADAPTERS, url, instances))


class RateLimiter:
    """Takes a token for a request and says so in headers (draft-ietf-httpapi-ratelimit-headers-10)."""

    def __init__(self, buckets: Buckets, limits: Mapping[str, Limit]) -> None:
        self._buckets = buckets
        self._limits = limits
        self._policies = {
            name: (b"ratelimit-policy", b'"%s";q=%d;w=%d' % (name.encode(), limit.count, limit.window))
            for name, limit in limits.items()
        }

    async def take(self, name: str, caller: str) -> list[tuple[bytes, bytes]]:
        """The headers for the answer. Raises 429 with them when the bucket is empty."""
        limit = self._limits[name]
        decision = await self._buckets.take(f"{name} {caller}", limit)
        policy = self._policies[name]
        if decision.allowed:
            step = limit.window / limit.count
            full_in = math.ceil((limit.count - decision.remaining) * step)
            return [policy, (b"ratelimit", b'"%s";r=%d;t=%d' % (name.encode(), decision.remaining, full_in))]
        seconds = max(1, math.ceil(decision.wait))
        raise Refused(
            429, "rate_limited", detail="Too many requests; the Retry-After header says when to come back.",
            headers=[
                policy,
                (b"ratelimit", b'"%s";r=0;t=%d' % (name.encode(), seconds)),
                (b"retry-after", b"%d" % seconds),
            ],
        )  # fmt: skip


def limits_with(overrides: Mapping[str, str]) -> Mapping[str, Limit]:
    """The limits in force. Raises `ValueError` for a class that does not exist or a limit that is none."""
    unknown = set(overrides) - set(LIMITS)
    if unknown:
        raise ValueError(f"unknown rate class: {', '.join(sorted(unknown))}")
    return {**{str(name): limit for name, limit in LIMITS.items()},
            **{name: Limit.parse(text) for name, text in overrides.items()}}  # fmt: skip
