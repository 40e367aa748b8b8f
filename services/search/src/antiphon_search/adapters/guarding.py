"""Guards the questions of people: a deadline for each, and none to an index that is known to fail.

Failure policy: an answer that is not there in time, or an engine that is away, is `Unavailable` within the
deadline. After five failures in a row questions are refused at once, but for one trial after 0.5 s, then
1 s, 2 s and so on up to 5 s; the first that succeeds lets all of them through again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from antiphon_common.errors import Unavailable

T = TypeVar("T")

_THRESHOLD = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0


class Breaker:
    """`Guard` with a deadline in seconds."""

    def __init__(self, deadline: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._deadline = deadline
        self._now = now
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._next_trial = float("-inf")

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        if self._failures >= _THRESHOLD:
            self._try_or_refuse()
        try:
            answer = await asyncio.wait_for(question(), self._deadline)
        except (TimeoutError, Unavailable) as error:
            self._failed()
            if isinstance(error, Unavailable):
                raise
            raise _unavailable() from error
        self._failures, self._pause = 0, _FIRST_PAUSE
        return answer

    def _try_or_refuse(self) -> None:
        if self._now() < self._next_trial:
            raise _unavailable()
        # This caller is the trial; whoever comes before its result waits for another one.
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._next_trial = self._now() + self._pause

    def _failed(self) -> None:
        self._failures += 1
        if self._failures == _THRESHOLD:
            self._next_trial = self._now() + self._pause


def _unavailable() -> Unavailable:
    return Unavailable("index_unavailable", "The search index does not answer.", retry_after=1)
