"""Where items stand: pure arithmetic."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon_common.ids import new_id
from antiphon_playlist.domain import GAP, places, spread_from, without_repeats

ANYWHERE = st.integers(-(1 << 60), 1 << 60)


@given(ANYWHERE, ANYWHERE, st.integers(1, 100))
def test_places_between_two_neighbours_rise_strictly_between_them(a: int, b: int, count: int) -> None:
    low, high = min(a, b), max(a, b)
    found = places(low, high, count)
    if found is None:
        assert high - low <= count
        return
    whole = [low, *found, high]
    assert len(found) == count
    assert all(left < right for left, right in pairwise(whole))


@given(ANYWHERE, st.integers(1, 100))
def test_places_at_either_end_lie_outside(edge: int, count: int) -> None:
    before, behind = places(None, edge, count), places(edge, None, count)
    assert before is not None
    assert behind is not None
    assert before == sorted(before)
    assert before[-1] < edge < behind[0]
    assert len(set(before + behind)) == 2 * count


def test_the_first_item_of_all_needs_no_neighbour() -> None:
    assert places(None, None, 2) == [GAP, 2 * GAP]


@pytest.mark.parametrize(("low", "high"), [(1 << 61, None), (None, -(1 << 61)), (5, 6), (5, 7)])
def test_without_room_there_are_no_places(low: int | None, high: int | None) -> None:
    assert places(low, high, 2) is None


@given(ANYWHERE, st.integers(0, 1 << 50), st.integers(1, 10_000))
def test_spreading_uses_no_number_that_was_in_use(lowest: int, width: int, count: int) -> None:
    highest = lowest + width
    start = spread_from(lowest, highest, count)
    end = start + GAP * (count - 1)
    assert start > highest or end < lowest


def test_spreading_for_ever_stays_near_zero() -> None:
    low, high = GAP, GAP * 10_000
    for _ in range(10_000):
        low = spread_from(low, high, 10_000)
        high = low + GAP * 9_999
        assert abs(low) < 1 << 50
        assert abs(high) < 1 << 50


def test_repeats_are_left_out_within_a_request_too() -> None:
    first, second, third = new_id(), new_id(), new_id()
    assert without_repeats([first, second, first, third], frozenset({third})) == [first, second]
