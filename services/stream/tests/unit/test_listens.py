"""Listens: unique bytes, earned, and no way to earn faster than one can listen."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from antiphon_stream.domain import Credit, Heard, Ledger
from antiphon_stream.domain.listens import Coverage, needed_ms

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEARD = Heard(UUID(int=1), UUID(int=2), UUID(int=3))
STRETCH = st.tuples(st.integers(0, 50), st.integers(0, 50))


def _serve(
    ledger: Ledger,
    start: int,
    end: int,
    *,
    at: datetime = NOW,
    heard: Heard = HEARD,
    duration_ms: int = 100_000,
) -> Credit | None:
    return ledger.served(heard, start, end, size=1000, duration_ms=duration_ms, at=at)


@given(st.lists(STRETCH, max_size=30))
def test_coverage_is_the_set_of_positions(stretches: list[tuple[int, int]]) -> None:
    covered, model = Coverage(), set[int]()
    for start, end in stretches:
        repeated = {place for a, b in covered.add(start, end) for place in range(a, b)}
        assert repeated == model & set(range(start, end))
        model |= set(range(start, end))
        assert covered.total == len(model)


def test_coverage_is_bounded_and_never_counts_too_much() -> None:
    covered = Coverage()
    for place in range(0, 10_000, 2):
        covered.add(place, place + 1)
    assert covered.total == 128
    covered.add(0, 10_000)
    assert covered.total == 10_000


def test_thirty_seconds_give_one_credit() -> None:
    ledger = Ledger()
    assert _serve(ledger, 0, 299) is None
    credit = _serve(ledger, 299, 300, at=NOW + timedelta(seconds=1))
    assert credit == Credit(HEARD, 30_000, NOW, NOW + timedelta(seconds=1))
    assert _serve(ledger, 300, 1000) is None


def test_a_short_track_counts_from_nine_tenths() -> None:
    ledger = Ledger()
    assert needed_ms(10_000) == 9_000
    assert _serve(ledger, 0, 899, duration_ms=10_000) is None
    assert _serve(ledger, 899, 900, duration_ms=10_000) is not None


def test_the_same_bytes_again_earn_nothing() -> None:
    ledger = Ledger()
    assert not any(_serve(ledger, 0, 250) for _ in range(100))


def test_pieces_from_anywhere_add_up() -> None:
    ledger = Ledger()
    earned = [_serve(ledger, start, start + 10) for start in range(900, 0, -30)]
    assert sum(credit is not None for credit in earned) == 1


def test_the_rest_of_a_long_track_is_no_second_listen() -> None:
    ledger = Ledger()
    later = NOW
    earned = []
    for start in range(0, 1000, 10):
        later += timedelta(seconds=1)
        earned.append(_serve(ledger, start, start + 10, at=later))
    assert sum(credit is not None for credit in earned) == 1


def test_hearing_it_again_in_real_time_is_a_second_listen() -> None:
    ledger = Ledger()
    assert _serve(ledger, 0, 1000) is not None
    again = NOW + timedelta(seconds=100)
    assert _serve(ledger, 0, 200, at=again) is None
    credit = _serve(ledger, 200, 400, at=again + timedelta(seconds=20))
    assert credit is not None
    assert credit.started_at == again
    assert _serve(ledger, 400, 1000, at=again + timedelta(seconds=60)) is None


def test_a_loop_of_requests_cannot_earn_faster_than_one_can_listen() -> None:
    ledger = Ledger()
    earned = [_serve(ledger, 0, 1000, at=NOW + timedelta(milliseconds=10 * n)) for n in range(6_001)]
    assert sum(credit is not None for credit in earned) == 3


def _heard(listen: int, *, user: int = 1, track: int = 2) -> Heard:
    return Heard(UUID(int=user), UUID(int=track), UUID(int=listen))


def test_another_ticket_is_another_listen_once_there_was_time_for_one() -> None:
    ledger = Ledger()
    assert _serve(ledger, 0, 1000, heard=_heard(3)) is not None
    soon, later = NOW + timedelta(milliseconds=29_999), NOW + timedelta(seconds=30)
    assert _serve(ledger, 0, 1000, heard=_heard(4), at=soon) is None
    assert _serve(ledger, 0, 1000, heard=_heard(5), at=later) is not None


def test_many_tickets_at_once_are_one_listen_of_that_user_and_track() -> None:
    ledger = Ledger()
    earned = [
        _serve(ledger, 0, 1000, heard=_heard(n), at=NOW + timedelta(seconds=n / 2), duration_ms=40_000)
        for n in range(10)
    ]
    assert [credit is not None for credit in earned] == [True] + [False] * 9
    assert _serve(ledger, 0, 1000, heard=_heard(20, user=7)) is not None
    assert _serve(ledger, 0, 1000, heard=_heard(21, track=7)) is not None


def test_a_listen_that_came_too_soon_is_credited_when_it_goes_on_in_time() -> None:
    ledger = Ledger()
    assert _serve(ledger, 0, 1000, heard=_heard(3)) is not None
    assert _serve(ledger, 0, 600, heard=_heard(4), at=NOW + timedelta(seconds=20)) is None
    later = NOW + timedelta(seconds=40)
    assert _serve(ledger, 600, 700, heard=_heard(4), at=later) is not None
    assert _serve(ledger, 700, 1000, heard=_heard(4), at=later) is None


def test_the_ledger_is_bounded() -> None:
    ledger = Ledger(capacity=10)
    for number in range(100):
        _serve(ledger, 0, 1, heard=Heard(UUID(int=1), UUID(int=2), UUID(int=number)))
    assert len(ledger) == 10
    for number in range(100):
        assert _serve(ledger, 0, 1000, heard=_heard(number, track=number)) is not None
    assert len(ledger) == 10
    assert ledger.credited == 10


def test_a_track_without_duration_earns_nothing_twice() -> None:
    ledger = Ledger()
    _serve(ledger, 0, 1000, duration_ms=0)
    assert not any(_serve(ledger, 0, 1000, duration_ms=0, at=NOW + timedelta(hours=n)) for n in range(9))
