"""`redis:` and `rediss:` — token buckets that several gateways share.

Failure policy: while Redis is down, frozen, full or refuses us, the buckets of this gateway's own memory
decide, each with the gateway's share of the limit, so there is never no limit; nobody waits for Redis
longer than a few tens of milliseconds, and it is used again as soon as it answers. An outage and a wipe
give a caller at most one burst more, because a bucket that nobody remembers is full.

The time is that of Redis: one clock for all gateways. If it is set back, a caller waits one window at most.
"""

from antiphon_common.cache.redis.link import Link, Refusal, Script
from antiphon_common.errors import Unavailable
from antiphon_gateway.ratelimit import Decision, Limit, MemoryBuckets

# KEYS: the bucket's. ARGV: microseconds of a step and of the window. The answer is how long to wait, or, not
# above zero, how far the bucket is from empty. A step's thousandth forgives the rounding of many additions.
_TAKE = Script("""#!lua
local time = redis.call('TIME')
local now, step, window = time[1] * 1000000 + time[2], tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = tonumber(redis.call('GET', KEYS[1]) or 0)
full_at = math.min(math.max(full_at, now), now + window) + step
local wait = full_at - now - window
if wait > step / 1000 then return math.ceil(wait) end
local forget = math.max(1, math.ceil((full_at - now) / 1000))
redis.call('SET', KEYS[1], string.format('%.17g', full_at), 'PX', forget)
return math.min(0, math.floor(wait))
""")


class RedisBuckets:
    """Buckets in one Redis; `instances` gateways share a limit while it is away."""

    def __init__(self, url: str, instances: int = 1) -> None:
        self._link = Link(url)
        self._own = MemoryBuckets(instances=instances)

    async def start(self) -> None:
        await self._link.start()

    async def stop(self) -> None:
        await self._link.stop()

    async def ping(self) -> None:
        await self._link.ask("PING")

    async def take(self, key: str, limit: Limit) -> Decision:
        step = limit.window * 1_000_000 / limit.count
        try:
            wait = await self._link.run(_TAKE, [f"antiphon:rate:{key}"], step, limit.window * 1_000_000)
        except (Unavailable, Refusal):
            return await self._own.take(key, limit)
        if not isinstance(wait, int):
            return await self._own.take(key, limit)
        if wait > 0:
            return Decision(allowed=False, remaining=0, wait=wait / 1_000_000)
        # Whole tokens only; the thousandth is the script's.
        return Decision(allowed=True, remaining=int(-wait / step + 1e-3), wait=0.0)
