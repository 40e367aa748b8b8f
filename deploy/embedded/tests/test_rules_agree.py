"""Rules that two services hold, each in its own words, because no service imports another."""

from antiphon_library.domain import is_enough
from antiphon_stream.domain.listens import needed_ms


def test_what_earns_a_credit_at_stream_is_what_counts_at_library() -> None:
    for duration_ms in range(1, 200_001, 7):
        needed = needed_ms(duration_ms)
        assert is_enough(needed, duration_ms), duration_ms
        assert not is_enough(needed - 1, duration_ms), duration_ms
