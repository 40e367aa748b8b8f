"""The attempt counter: ten are free, then the wait doubles."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon_auth.domain.guessing import Attempts, delay_after, given_back, reserved
from antiphon_common.clock import FixedClock
from antiphon_common.errors import TooMany


def door(clock: FixedClock) -> Attempts:
    return Attempts(key="ada", count=0, closed_until=None, last_at=clock.now())


def test_ten_attempts_pass_and_the_eleventh_is_told_when_to_come_back(clock: FixedClock) -> None:
    attempts = door(clock)
    for _ in range(10):
        attempts = reserved(attempts, clock.now())
    with pytest.raises(TooMany) as refusal:
        reserved(attempts, clock.now())
    assert refusal.value.retry_after == 30
    clock.advance(timedelta(seconds=29.5))
    with pytest.raises(TooMany) as refusal:
        reserved(attempts, clock.now())
    assert refusal.value.retry_after == 1
    clock.advance(timedelta(seconds=0.5))
    assert reserved(attempts, clock.now()).count == 11


def test_the_wait_doubles_up_to_fifteen_minutes() -> None:
    seconds = [delay_after(count).total_seconds() for count in (9, 10, 11, 12, 13, 14, 15, 16, 10_000)]
    assert seconds == [0, 30, 60, 120, 240, 480, 900, 900, 900]


def test_an_attempt_that_was_given_back_opens_the_door_again(clock: FixedClock) -> None:
    attempts = door(clock)
    for _ in range(10):
        attempts = reserved(attempts, clock.now())
    assert reserved(given_back(attempts), clock.now()).count == 10


@given(pauses=st.lists(st.floats(0, 1000), max_size=60))
def test_however_they_pause_nobody_gets_more_than_the_schedule_allows(pauses: list[float]) -> None:
    clock = FixedClock()
    attempts, passed, waited = door(clock), 0, 0.0
    for pause in pauses:
        clock.advance(timedelta(seconds=pause))
        waited += pause
        try:
            attempts = reserved(attempts, clock.now())
            passed += 1
        except TooMany:
            continue
    paid = sum(delay_after(count).total_seconds() for count in range(10, passed))
    assert passed <= 10 or waited >= paid - 1e-3
