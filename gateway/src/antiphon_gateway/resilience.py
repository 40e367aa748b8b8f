"""What keeps one bad service from taking the gateway with it: breaker, bulkhead and a budget for retries."""

import random
from collections.abc import Callable

from antiphon_gateway.problems import unavailable


class Breaker:
    """Opens after five failures in a row; then lets one trial through after 0.5 s, 1 s ... at most 5 s.

    That an answer is late says more about the question than about the service: one caller's expensive
    searches must not close it to everybody. Five late ones in a row (one, while it is open) are a doubt,
    which whoever probes settles by `succeeded` or `dead`; nobody is a trial meanwhile.
    """

    THRESHOLD = 5
    FIRST_PAUSE = 0.5
    LONGEST_PAUSE = 5.0

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._failures = 0
        self._late = 0
        self._pause = self.FIRST_PAUSE
        self._closed_until: float | None = None

    @property
    def is_open(self) -> bool:
        return self._closed_until is not None

    @property
    def is_doubted(self) -> bool:
        return self._late >= (1 if self.is_open else self.THRESHOLD)

    def check(self) -> None:
        """Raises 503 while the service is given time to recover."""
        if self._closed_until is None:
            return
        wait = self._closed_until - self._now()
        if wait > 0 or self.is_doubted:
            raise unavailable(
                503, "service_unavailable", detail="This part of the platform is not answering.",
                retry_after=wait,
            )  # fmt: skip
        # This caller is the trial; whoever comes before its result waits another pause.
        self._closed_until = self._now() + self._pause

    def succeeded(self) -> None:
        self._failures = self._late = 0
        self._pause = self.FIRST_PAUSE
        self._closed_until = None

    def failed(self) -> None:
        self._failures += 1
        if self._closed_until is not None:
            self._pause = min(self._pause * 2, self.LONGEST_PAUSE)
        if self._failures >= self.THRESHOLD:
            self._closed_until = self._now() + self._pause

    def late(self) -> None:
        self._late += 1

    def dead(self) -> None:
        """Open at once: it does not even say that it lives."""
        self._failures = self.THRESHOLD
        self.failed()


class Bulkhead:
    """At most `size` calls at once; the next one is refused rather than queued."""

    def __init__(self, size: int) -> None:
        self._free = size

    def enter(self) -> None:
        """Raises 503 when it is full."""
        if self._free <= 0:
            raise unavailable(503, "overloaded", detail="Too many requests are being served.")
        self._free -= 1

    def leave(self) -> None:
        self._free += 1


class RetryBudget:
    """Retries are at most a tenth of the calls, so that retrying never multiplies an outage."""

    RATIO = 0.1
    RESERVE = 10.0
    TRIES = 3
    BASE_SECONDS = 0.05

    def __init__(self, *, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._saved = self.RESERVE
        self._uniform = uniform

    def called(self) -> None:
        self._saved = min(self._saved + self.RATIO, self.RESERVE)

    def pause_before(self, retry: int) -> float | None:
        """Seconds to wait before this retry (1 is the first), fully jittered; none for no retry."""
        if retry >= self.TRIES or self._saved < 1:
            return None
        self._saved -= 1
        return self._uniform(0.0, self.BASE_SECONDS * 2**retry)
