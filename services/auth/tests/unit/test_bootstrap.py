"""The offer to make the first administrator."""

from dataclasses import replace
from datetime import timedelta

import pytest

from antiphon_auth.domain.bootstrap import LIFETIME, Bootstrap, opens
from antiphon_common.clock import FixedClock
from antiphon_common.errors import Gone


def offer(clock: FixedClock) -> Bootstrap:
    return Bootstrap(secret_hash="right", expires_at=clock.now() + LIFETIME)


def test_only_the_right_secret_is_right(clock: FixedClock) -> None:
    assert opens(offer(clock), "right", clock.now())
    assert not opens(offer(clock), "wrong", clock.now())


def test_what_is_used_expired_or_was_never_offered_is_gone(clock: FixedClock) -> None:
    late = clock.now() + timedelta(minutes=30)
    used = replace(offer(clock), used_at=clock.now())
    for present, now in [(None, clock.now()), (used, clock.now()), (offer(clock), late)]:
        with pytest.raises(Gone):
            opens(present, "right", now)
