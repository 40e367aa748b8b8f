"""Hashes passwords with Argon2id (RFC 9106) and judges them with zxcvbn, in two threads of its own.

Two at a time, twenty waiting, and the next is told to come back: a flood of logins cannot take the machine
from the listeners.
"""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2
from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS
from zxcvbn.matching import L33T_TABLE

from antiphon_auth.domain.passwords import PRODUCT_WORDS
from antiphon_common.errors import Unavailable

T = TypeVar("T")

AT_A_TIME = 2
QUEUED = 20
JUDGED_CHARACTERS = 100
_MAX_LEET = 5
_LEET = "".join(sorted({sign for signs in L33T_TABLE.values() for sign in signs}))
# As many signs that zxcvbn reads as nothing else.
_PLAIN = "".join(chr(0xA1 + i) for i in range(len(_LEET)))


class Argon2Passwords:
    """`Passwords` with 19 MiB, two passes, one lane."""

    def __init__(self) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="passwords")
        self._inside = 0
        self._dummy = ""
        self.common = frozenset(FREQUENCY_LISTS["passwords"])

    async def start(self) -> None:
        # What an unknown account is checked against, so that it costs what a known one costs.
        self._dummy = await self.hash(secrets.token_urlsafe(16))

    async def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        return await self._away(lambda: self._hasher.hash(password))

    async def verify(self, hashed: str | None, password: str) -> bool:
        matches = await self._away(lambda: self._matches(hashed or self._dummy, password))
        return matches and hashed is not None

    def outdated(self, hashed: str) -> bool:
        return self._hasher.check_needs_rehash(hashed)

    async def strength(self, password: str, hints: tuple[str, ...]) -> int:
        return await self._away(lambda: _strength(password, hints))

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False

    async def _away(self, work: Callable[[], T]) -> T:
        if self._inside >= AT_A_TIME + QUEUED:
            raise Unavailable("busy", "Too many people are logging in; try again in a moment.", retry_after=2)
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._inside -= 1


def _strength(password: str, hints: tuple[str, ...]) -> int:
    if not password:
        return 0
    judged = _without_excess_leet(password[:JUDGED_CHARACTERS])
    words = [*PRODUCT_WORDS, *(hint for hint in hints if hint)]
    return int(zxcvbn(judged, user_inputs=words, max_length=JUDGED_CHARACTERS)["score"])


def _without_excess_leet(text: str) -> str:
    """The text with at most five kinds of "leet" signs, the others exchanged one for one by plain signs.

    zxcvbn tries every reading of every such sign: twenty kinds keep it busy for seconds.
    """
    kinds = list(dict.fromkeys(c for c in text if c in _LEET))
    return text.translate({ord(c): _PLAIN[_LEET.index(c)] for c in kinds[_MAX_LEET:]})
