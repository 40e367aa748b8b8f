"""The offer to make the first administrator."""

from dataclasses import replace
from datetime import timedelta

import pytest

from antiphon_auth.domain.bootstrap import LIFETIME, Bootstrap, tried
from antiphon_common.clock import FixedClock
from antiphon_common.errors import Gone


def offer(clock: FixedClock) -> Bootstrap:
    return Bootstrap(secret_hash="right", expires_at=clock.now() + LIFETIME)


def test_the_right_secret_leaves_the_offer_and_a_wrong_one_is_counted(clock: FixedClock) -> None:
    assert tried(offer(clock), "right", clock.now()) == offer(clock)
    assert tried(offer(clock), "wrong", clock.now()).failures == 1


def test_ten_wrong_secrets_close_the_offer_for_the_right_one_too(clock: FixedClock) -> None:
    present = offer(clock)
    for _ in range(10):
        present = tried(present, "wrong", clock.now())
    with pytest.raises(Gone):
        tried(present, "right", clock.now())


def test_what_is_used_expired_or_was_never_offered_is_gone(clock: FixedClock) -> None:
    late = clock.now() + timedelta(minutes=30)
    used = replace(offer(clock), used_at=clock.now())
    for present, now in [(None, clock.now()), (used, clock.now()), (offer(clock), late)]:
        with pytest.raises(Gone):
            tried(present, "right", now)
