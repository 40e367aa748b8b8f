"""Ranges and conditions: a table of the standard's corners, and every header against a naive model."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon_stream.domain import Answer, Asked, decide

SIZE = 1000
ETAG = '"abc"'
WHOLE = (200, 0, SIZE, None)
NOTHING = (416, 0, 0, f"bytes */{SIZE}")


def part(first: int, last: int) -> tuple[int, int, int, str]:
    return 206, first, last - first + 1, f"bytes {first}-{last}/{SIZE}"


def told(answer: Answer) -> tuple[int, int, int, str | None]:
    return answer.status, answer.start, answer.length, answer.content_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", part(0, 0)), ("bytes=0-999", part(0, 999)), ("bytes=0-", part(0, 999)),
        ("bytes=999-", part(999, 999)), ("bytes=5-9", part(5, 9)), ("bytes=-1", part(999, 999)),
        ("bytes=-1000", part(0, 999)), ("bytes=-5000", part(0, 999)), ("bytes=990-5000", part(990, 999)),
        ("bytes=0-99999999999999999999999", part(0, 999)), ("BYTES=0-0", part(0, 0)),
        ("bytes=000-0009", part(0, 9)), ("bytes= 0-0", part(0, 0)), ("bytes=0-0,", part(0, 0)),
        ("bytes=,,0-0", part(0, 0)), ("bytes=\t5-9 ", part(5, 9)),
        ("bytes=1000-", NOTHING), ("bytes=1000-1000", NOTHING), ("bytes=-0", NOTHING),
        ("bytes=99999999999999999999999-", NOTHING),
        ("bytes=0-0,-1", WHOLE), ("bytes=0-0,5-9", WHOLE), ("bytes=5-4", WHOLE), ("items=0-1", WHOLE),
        ("bytes", WHOLE), ("bytes=", WHOLE), ("bytes=-", WHOLE), ("bytes=a-b", WHOLE), ("bytes=0-1-2", WHOLE),
        ("bytes=0 -1", WHOLE), ("bytes=0- 1", WHOLE), ("bytes=+0-1", WHOLE), ("bytes=0x0-1", WHOLE),
        ("bytes=--1", WHOLE), ("0-1", WHOLE), ("", WHOLE), ("=0-1", WHOLE), ("bytes:0-1", WHOLE),
        ("bytes=²-3", WHOLE), ("bytes=٣-9", WHOLE), ("bytes 0-1/1000", WHOLE), ("bytes=0-1;q=1", WHOLE),
        ("bytes=" + "0" * 260 + "-1", WHOLE), ("bytes=" + ",".join("0-0" for _ in range(2000)), WHOLE),
    ],
)  # fmt: skip
def test_a_range_header_is_answered_as_the_standard_says(
    header: str, expected: tuple[int, int, int, str | None]
) -> None:
    assert told(decide(Asked(range=header), size=SIZE, etag=ETAG)) == expected


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (Asked(method="HEAD", range="bytes=0-9"), 200),
        (Asked(range="bytes=0-9", if_range=ETAG), 206),
        (Asked(range="bytes=0-9", if_range='"other"'), 200),
        (Asked(range="bytes=0-9", if_range="W/" + ETAG), 200),
        (Asked(range="bytes=0-9", if_range="Sat, 21 Nov 2026 09:00:00 GMT"), 200),
        (Asked(range="bytes=0-9", if_range=""), 200),
        (Asked(range="bytes=5000-", if_range='"other"'), 200),
        (Asked(range="bytes=5000-", if_range=ETAG), 416),
        (Asked(if_range=ETAG), 200),
        (Asked(if_none_match=ETAG), 304),
        (Asked(if_none_match="W/" + ETAG), 304),
        (Asked(if_none_match="*"), 304),
        (Asked(if_none_match=f'"x", {ETAG}'), 304),
        (Asked(if_none_match='"x"'), 200),
        (Asked(if_none_match="abc"), 200),
        (Asked(if_none_match=ETAG, range="bytes=0-9"), 304),
        (Asked(method="HEAD", if_none_match=ETAG), 304),
        (Asked(if_match=ETAG), 200),
        (Asked(if_match="*"), 200),
        (Asked(if_match='"x"'), 412),
        (Asked(if_match="W/" + ETAG), 412),
        (Asked(if_match='"x"', if_none_match=ETAG), 412),
        (Asked(if_match=ETAG, range="bytes=0-9"), 206),
        (Asked(), 200),
    ],
)
def test_conditions_come_before_ranges_in_the_order_of_the_standard(asked: Asked, status: int) -> None:
    assert decide(asked, size=SIZE, etag=ETAG).status == status


def test_every_range_of_an_empty_file_is_unsatisfiable() -> None:
    for header in ("bytes=0-", "bytes=0-0", "bytes=-5"):
        assert told(decide(Asked(range=header), size=0, etag=ETAG)) == (416, 0, 0, "bytes */0")


def _model(header: str, data: bytes) -> tuple[int, bytes]:
    """The naive reader: byte by byte, for headers of at most one range."""
    match = re.fullmatch(r"bytes=(?:,| )*(\d*)-(\d*)(?:,| )*", header, re.ASCII | re.IGNORECASE)
    if len(header) > 256 or not match or match.group(1) + match.group(2) == "":
        return 200, data
    first, last = match.groups()
    if first and last and int(first) > int(last):
        return 200, data
    picked = [
        place
        for place in range(len(data))
        if (
            int(first) <= place <= (int(last) if last else len(data))
            if first
            else place >= len(data) - int(last)
        )
    ]
    return (206, bytes(data[place] for place in picked)) if picked else (416, b"")


_NUMBER = st.integers(0, 60).map(str) | st.just("") | st.sampled_from(["00", "007", "99999999999999999999"])
_SANE = st.builds("bytes={}-{}".format, _NUMBER, _NUMBER)
_ODD = st.text('bytes=-, 0123456789wW/"', max_size=24) | st.builds(
    "bytes={},{}-{}".format, _NUMBER, _NUMBER, _NUMBER
)


@settings(max_examples=3000, deadline=None)
@given(_SANE | _ODD, st.binary(max_size=40))
def test_any_header_and_any_file_agree_with_the_naive_model(header: str, data: bytes) -> None:
    answer = decide(Asked(range=header), size=len(data), etag=ETAG)
    body = data[answer.start : answer.start + answer.length]
    assert (answer.status, body) == _model(header, data)
    if answer.status == 206:
        assert answer.content_range == f"bytes {answer.start}-{answer.start + answer.length - 1}/{len(data)}"
        assert answer.length == len(body) > 0


@given(st.text(max_size=300), st.text(max_size=40), st.text(max_size=40))
def test_no_header_breaks_the_decision(range_: str, match: str, none_match: str) -> None:
    asked = Asked(range=range_, if_match=match, if_none_match=none_match, if_range=match)
    assert decide(asked, size=SIZE, etag=ETAG).status in {200, 206, 304, 412, 416}
