"""Which answers a client need not be sent again."""

import pytest

from antiphon_common.web.etags import is_unchanged


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (None, False), ("", False), ("*", True), (' "a"', True), ('W/"a"', True), ('"b", "a"', True),
        ('"b"', False), ("a", False), ('"a', False), ('"b", *', False),
    ],
)  # fmt: skip
def test_a_copy_is_compared_weakly(sent: str | None, expected: bool) -> None:
    assert is_unchanged(sent, '"a"') is expected
    assert is_unchanged(sent, 'W/"a"') is expected


def test_a_header_that_is_too_long_matches_nothing() -> None:
    longest = '"a",' + " " * 1020
    assert is_unchanged(longest, '"a"')
    assert not is_unchanged(longest + " ", '"a"')
