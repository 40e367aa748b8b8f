"""Cursors: opaque, of one list, and of one spelling."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon_common.errors import Invalid
from antiphon_common.pages import Page, _digest, _encoded, decode_cursor, encode_cursor, page_of

CURSOR = encode_cursor("tracks:recent", ("2026-01-01T00:00:00Z", 7))


@given(st.text(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
def test_a_cursor_gives_back_what_was_put_in(text: str, number: int, share: float) -> None:
    if any("\ud800" <= c <= "\udfff" or c == "\0" for c in text):
        return
    cursor = encode_cursor("list", (text, number, share))
    assert cursor.isascii()
    assert set(cursor) <= set(string.ascii_letters + string.digits + "-_")
    assert decode_cursor("list", cursor, str, int, float) == (text, number, share)


def test_any_other_character_at_any_place_is_refused() -> None:
    accepted = []
    for place, right in enumerate(CURSOR):
        for wrong in set(string.printable + "é\0") - {right}:
            tampered = CURSOR[:place] + wrong + CURSOR[place + 1 :]
            try:
                decode_cursor("tracks:recent", tampered, str, int)
            except Invalid:
                continue
            accepted.append(tampered)
    assert accepted == []


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "=",
        "x",
        CURSOR[:-1],
        CURSOR + "A",
        CURSOR + "=",
        CURSOR + "\n",
        " " + CURSOR,
        CURSOR * 2,
        "\ud800",
    ],
)
def test_any_other_text_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_cursor("tracks:recent", cursor, str, int)
    assert (caught.value.code, caught.value.errors[0].loc) == ("invalid_cursor", "query.cursor")


def test_the_cursor_of_another_list_or_sort_is_refused() -> None:
    for scope in ("tracks:popular", "albums:recent", ""):
        with pytest.raises(Invalid):
            decode_cursor(scope, CURSOR, str, int)


@pytest.mark.parametrize("kinds", [(), (str,), (int, str), (str, str), (str, int, int)])
def test_values_of_other_kinds_are_refused(kinds: tuple[type, ...]) -> None:
    with pytest.raises(Invalid):
        decode_cursor("tracks:recent", CURSOR, *kinds)


def test_a_page_has_a_cursor_only_if_there_is_more() -> None:
    def key(row: int) -> tuple[int]:
        return (row,)

    assert page_of([1, 2], 2, scope="list", key=key) == Page([1, 2], None)
    page = page_of([1, 2, 3], 2, scope="list", key=key)
    assert page.items == [1, 2]
    assert decode_cursor("list", page.next_cursor or "", int) == (2,)
    assert page_of([], 2, scope="list", key=key) == Page([], None)


@pytest.mark.parametrize(
    "body", [b"7", b"null", b'"ab"', b'{"a":1,"b":2}', b'["a\\u0000",1]', b'["a",true]', b'["a",9223372036854775808]',
             b'["a",1.0]', b'[["a"],1]', b"[", b""]
)  # fmt: skip
def test_a_forged_body_with_a_right_checksum_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        decode_cursor("tracks:recent", _encoded(_digest("tracks:recent", body) + body), str, int)
