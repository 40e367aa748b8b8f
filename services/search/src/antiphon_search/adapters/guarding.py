"""Guards the questions of people: a deadline for each, and none to an index that is known to fail.

Failure policy: an answer that is not there in time, or an engine that is away, is `Unavailable` within the
deadline. After five failures in a row questions are refused at once, but for one trial after 0.5 s, then
1 s, 2 s and so on up to 5 s; the first that succeeds lets all of them through again. A late answer is no
failure but has the engine pinged, and one that leaves this unanswered for four more deadlines has failed
five times: what is expensive to answer, or asked too often, closes the index to nobody else.
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
    """`Guard` with a deadline in seconds for the index that answers this ping."""

    def __init__(
        self,
        deadline: float,
        ping: Callable[[], Awaitable[None]],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deadline = deadline
        self._ping = ping
        self._now = now
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._next_trial = float("-inf")
        self._doubt: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """There is nothing to ask yet."""

    async def stop(self) -> None:
        """Let go of the index, whose ping may still be waited for."""
        if self._doubt is not None:
            self._doubt.cancel()
            await asyncio.wait([self._doubt])

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        if self._failures >= _THRESHOLD:
            self._try_or_refuse()
        try:
            answer = await asyncio.wait_for(question(), self._deadline)
        except Unavailable:
            self._failed()
            raise
        except TimeoutError as error:
            # Nobody waits for the ping as well.
            if self._doubt is None or self._doubt.done():
                self._doubt = asyncio.create_task(self._look(), name="is-the-index-alive")
            raise _unavailable() from error
        self._worked()
        return answer

    async def _look(self) -> None:
        try:
            await asyncio.wait_for(self._ping(), (_THRESHOLD - 1) * self._deadline)
        except TimeoutError:
            self._failed(times=_THRESHOLD)
        except Unavailable:
            self._failed()
        else:
            self._worked()

    def _try_or_refuse(self) -> None:
        if self._now() < self._next_trial:
            raise _unavailable()
        # This caller is the trial; whoever comes before its result waits for another one.
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._next_trial = self._now() + self._pause

    def _worked(self) -> None:
        self._failures, self._pause = 0, _FIRST_PAUSE

    def _failed(self, times: int = 1) -> None:
        was_open = self._failures >= _THRESHOLD
        self._failures += times
        if self._failures >= _THRESHOLD and not was_open:
            self._next_trial = self._now() + self._pause


def _unavailable() -> Unavailable:
    return Unavailable("index_unavailable", "The search index does not answer.", retry_after=1)
