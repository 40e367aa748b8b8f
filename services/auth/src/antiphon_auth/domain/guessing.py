"""How often a password may be guessed: a counter, raised before each check and forgotten after success.

The first ten attempts pass. The tenth closes the door for thirty seconds, and each one let through after that
doubles the wait, up to fifteen minutes. A known device has a counter of its own, so strangers who fail cannot
lock its owner out, and a stolen device cookie is no licence to guess.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from antiphon_common.errors import TooMany

FREE_ATTEMPTS = 10
FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Attempts:
    """What is known of one door: attempts since the last success, and until when it is closed."""

    key: str
    count: int
    closed_until: datetime | None
    last_at: datetime


def reserved(attempts: Attempts, now: datetime) -> Attempts:
    """One more attempt, to be stored before the password is looked at. Raises `TooMany` while closed."""
    if attempts.closed_until and now < attempts.closed_until:
        seconds = math.ceil((attempts.closed_until - now).total_seconds())
        detail = "Too many failed attempts for this account; wait before the next one."
        raise TooMany("too_many_attempts", detail, retry_after=seconds)
    count = attempts.count + 1
    return replace(attempts, count=count, closed_until=_closed_until(count, now), last_at=now)


def given_back(attempts: Attempts) -> Attempts:
    """One attempt less: the password was not looked at after all."""
    return replace(attempts, count=max(0, attempts.count - 1), closed_until=None)


def delay_after(count: int) -> timedelta:
    """How long the door stays closed after this many attempts in a row."""
    if count < FREE_ATTEMPTS:
        return timedelta()
    doublings: int = min(count - FREE_ATTEMPTS, 16)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)


def _closed_until(count: int, now: datetime) -> datetime | None:
    delay = delay_after(count)
    return now + delay if delay else None
