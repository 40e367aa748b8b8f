"""`redis:` and `rediss:` — a cache that several apps and their instances share.

A tag has a *mark*, a random word under a key of its own. A value is kept together with the marks its tags
had, and is found only while they still have them, so purging is deleting marks: it works on a Redis that is
full, takes all values at once, and a value made before a purge is not found even when it is stored after
it, by whomever. A mark that was evicted or expired hides values and shows none. One more mark belongs to
everything.

Failure policy: a Redis that is down, frozen, full or refuses us is a cache in which nothing is found and
nothing is kept; nobody waits for it longer than a few tens of milliseconds (`link.py`). What could not
be purged or deleted meanwhile, and what a crash of Redis may have brought back, is never found: the mark of
everything is deleted before a Redis is used that was restarted or that missed something. A wiped Redis is
an empty cache.

It needs one Redis, 7 or newer (with replicas if wanted), not a cluster.
"""

import hashlib
import re
import secrets
from collections.abc import Awaitable, Collection

from antiphon_common.cache.redis.link import Ask, Link, Refusal, Reply, Script
from antiphon_common.errors import Unavailable

MAX_VALUE = 2 * 1024 * 1024
_EVERYTHING = ""

_GET = Script("""
local entry = redis.call('LRANGE', KEYS[1], 0, -1)
for i = 2, #entry, 2 do
  if redis.call('GET', entry[i]) ~= entry[i + 1] then
    redis.call('UNLINK', KEYS[1])
    return false
  end
end
return entry[1] or false
""")

# The first line (Redis 7) makes a full Redis refuse the whole script rather than some of it.
_MARK = Script("""#!lua
local marks = {}
for i, key in ipairs(KEYS) do
  local mark = redis.call('GET', key)
  if mark then
    redis.call('PEXPIRE', key, 60000, 'GT')
  else
    mark = ARGV[1]
    redis.call('SET', key, mark, 'PX', 60000)
  end
  marks[i] = mark
end
return table.concat(marks, ' ')
""")

# KEYS: the value's, then those of the marks. ARGV: value, milliseconds, marks.
_SET = Script("""#!lua
local entry, count = {ARGV[1]}, 1
for mark in string.gmatch(ARGV[3], '%S+') do
  count = count + 1
  if not KEYS[count] or redis.call('GET', KEYS[count]) ~= mark then return 0 end
  entry[#entry + 1] = KEYS[count]
  entry[#entry + 1] = mark
end
if count ~= #KEYS then return 0 end
redis.call('UNLINK', KEYS[1])
redis.call('RPUSH', KEYS[1], unpack(entry))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for i = 2, count do redis.call('PEXPIRE', KEYS[i], ARGV[2] + 60000, 'GT') end
return 1
""")


class RedisCache:
    """Keys are hashed, so they are short and say nothing about anybody."""

    def __init__(self, url: str) -> None:
        self._link = Link(url, greet=self._greet)
        self._server = b""
        self._missed = 0
        self._is_whole = False

    async def start(self) -> None:
        await self._link.start()

    async def stop(self) -> None:
        await self._link.stop()

    async def ping(self) -> None:
        await self._link.ask("PING")

    async def get(self, key: str) -> bytes | None:
        found = await _softly(self._link.run(_GET, [_value(key)]))
        return found if isinstance(found, bytes) else None

    async def mark(self, tags: Collection[str]) -> str:
        mark = await _softly(self._link.run(_MARK, _marks(tags), secrets.token_hex(8)))
        # While Redis is away nothing is kept under this; it changes with each purge that we hear of.
        return mark.decode() if isinstance(mark, bytes) else f"away {self._missed}"

    async def set(
        self, key: str, value: bytes, *, seconds: float, tags: Collection[str] = (), mark: str | None = None
    ) -> None:
        milliseconds = int(seconds * 1000)
        if milliseconds <= 0 or len(value) > MAX_VALUE:
            await self.delete(key)
            return
        if mark is None:
            mark = await self.mark(tags)
        await _softly(self._link.run(_SET, [_value(key), *_marks(tags)], value, milliseconds, mark))

    async def delete(self, key: str) -> None:
        await self._forget([_value(key)])

    async def purge(self, tags: Collection[str]) -> None:
        if tags:
            await self._forget([_mark(tag) for tag in tags])

    async def _forget(self, keys: Collection[str]) -> None:
        try:
            await self._link.ask("UNLINK", *keys)
        except (Unavailable, Refusal):
            self._missed += 1
            self._is_whole = False
            self._link.drop()

    async def _greet(self, ask: Ask) -> None:
        """Before a new connection is used: forget everything unless Redis has run and heard all the while."""
        server = await _run_id(ask)
        if not server or server != self._server:
            self._is_whole = False
        while not self._is_whole:
            missed = self._missed
            await ask("UNLINK", _mark(_EVERYTHING))
            # A purge that came while we waited was missed, too.
            self._is_whole = missed == self._missed
        self._server = server


async def _run_id(ask: Ask) -> bytes:
    """What is another for each start of a Redis; empty when we may not know it."""
    try:
        info = await ask("INFO", "server")
    except Refusal:
        return b""
    found = re.search(rb"run_id:(\w+)", info) if isinstance(info, bytes) else None
    return found[1] if found else b""


async def _softly(asked: Awaitable[Reply]) -> Reply:
    try:
        return await asked
    except (Unavailable, Refusal):
        return None


def _value(key: str) -> str:
    return f"antiphon:cache:{hashlib.blake2b(key.encode(), digest_size=20).hexdigest()}"


def _mark(tag: str) -> str:
    return f"antiphon:mark:{tag}"


def _marks(tags: Collection[str]) -> list[str]:
    return [_mark(tag) for tag in (_EVERYTHING, *sorted(set(tags)))]
