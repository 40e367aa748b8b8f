"""What counts as a play and what may be seen: pure rules."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon_common.clock import FixedClock
from antiphon_common.errors import Invalid
from antiphon_common.ids import new_id
from antiphon_common.principal import Principal
from antiphon_library.domain import COUNTS_FROM_MS, Item, check_started, is_enough, may_see

NOW = FixedClock().now()


def person(*roles: str) -> Principal:
    return Principal(
        user_id=new_id(), roles=frozenset(roles), session=new_id(), verified=True, issued_at=NOW,
        authenticated_at=NOW,
    )  # fmt: skip


@given(st.integers(0, 86_400_000), st.integers(COUNTS_FROM_MS, 86_400_000))
def test_of_a_track_of_thirty_seconds_or_more_thirty_seconds_are_enough(listened: int, duration: int) -> None:
    assert is_enough(listened, duration) is (listened >= COUNTS_FROM_MS)


@given(st.integers(0, 86_400_000), st.integers(1, COUNTS_FROM_MS - 1))
def test_of_a_shorter_track_nine_tenths_are_enough(listened: int, duration: int) -> None:
    assert is_enough(listened, duration) is (listened * 10 >= duration * 9)


def test_nothing_heard_of_nothing_is_not_enough() -> None:
    assert is_enough(0, 0) is False


@pytest.mark.parametrize("shift", [timedelta(days=-30), timedelta(0), timedelta(minutes=5)])
def test_the_bounds_of_a_start_are_within(shift: timedelta) -> None:
    check_started(NOW + shift, NOW)


@pytest.mark.parametrize(
    "shift",
    [timedelta(days=-30, microseconds=-1), timedelta(minutes=5, microseconds=1), timedelta(days=2_000_000)],
)
def test_beyond_the_bounds_a_start_is_refused(shift: timedelta) -> None:
    with pytest.raises(Invalid):
        check_started(NOW + shift, NOW)


@pytest.mark.parametrize(
    ("reachable", "deleted", "stranger", "owner", "admin"),
    [(True, False, True, True, True), (False, False, False, True, True), (False, True, False, False, False),
     (True, True, False, False, False)],
)  # fmt: skip
def test_who_may_see_an_item(
    *, reachable: bool, deleted: bool, stranger: bool, owner: bool, admin: bool
) -> None:
    mine = person()
    item = Item("track", new_id(), mine.user_id, reachable, {}, revision=1, deleted=deleted)
    seen = [may_see(item, viewer) for viewer in (person(), mine, person("admin"))]
    assert seen == [stranger, owner, admin]


def test_a_tombstone_without_an_owner_is_nobodys() -> None:
    item = Item("album", new_id(), None, reachable=False, card={}, revision=1)
    assert may_see(item, person()) is False
