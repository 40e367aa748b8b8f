"""Token buckets: never more than the limit, and what is said about it."""

import asyncio

import pytest

from antiphon_gateway.problems import Refused
from antiphon_gateway.ratelimit import Limit, MemoryBuckets, RateLimiter, limits_with


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def accepted(limiter: RateLimiter, caller: str, times: int) -> int:
    passed = 0
    for _ in range(times):
        try:
            await limiter.take("read", caller)
            passed += 1
        except Refused:
            pass
    return passed


def limiter(time: Time, count: int = 100, window: int = 60) -> RateLimiter:
    return RateLimiter(MemoryBuckets(now=time), {"read": Limit(count, window)})


async def test_of_2000_concurrent_requests_exactly_the_limit_passes() -> None:
    for _ in range(20):
        one = limiter(Time())
        assert sum(await asyncio.gather(*(accepted(one, "a", 40) for _ in range(50)))) == 100


async def test_callers_do_not_share_a_bucket() -> None:
    one = limiter(Time(), count=1)
    assert await accepted(one, "a", 5) == 1
    assert await accepted(one, "b", 5) == 1


async def test_a_bucket_fills_again_at_its_rate() -> None:
    time = Time()
    one = limiter(time, count=60, window=60)
    assert await accepted(one, "a", 100) == 60
    time.now += 10
    assert await accepted(one, "a", 100) == 10
    time.now += 1000
    assert await accepted(one, "a", 100) == 60


async def test_whoever_waits_as_told_may_come_back() -> None:
    time = Time()
    one = limiter(time, count=7, window=60)
    assert await accepted(one, "a", 10) == 7
    with pytest.raises(Refused) as refused:
        await one.take("read", "a")
    assert refused.value.status == 429
    headers = dict(refused.value.headers)
    time.now += int(headers[b"retry-after"]) - 1
    assert await accepted(one, "a", 1) == 0
    time.now += 1
    assert await accepted(one, "a", 1) == 1


async def test_the_headers_follow_the_draft() -> None:
    one = limiter(Time(), count=4, window=60)
    assert await one.take("read", "a") == [
        (b"ratelimit-policy", b'"read";q=4;w=60'),
        (b"ratelimit", b'"read";r=3;t=15'),
    ]


async def test_memory_is_bounded_and_the_active_are_kept() -> None:
    time = Time()
    buckets = MemoryBuckets(now=time, size=10)
    limit = Limit(1, 60)
    for number in range(1000):
        await buckets.take("busy", limit)
        await buckets.take(f"other {number}", limit)
        # Being refused keeps nobody in memory, so the busy one takes a token whenever it can.
        time.now += 60
    assert len(buckets._full_at) <= 10


def test_a_wrong_limit_is_refused() -> None:
    for wrong in ({"nothing": "1/1"}, {"read": "0/1"}, {"read": "1"}, {"read": "x/y"}, {"read": "-1/60"}):
        with pytest.raises(ValueError):
            limits_with(wrong)
    assert limits_with({"auth": "5/10"})["auth"] == Limit(5, 10)
