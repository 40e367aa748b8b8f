"""Highlights as offsets into the original, and the spelling that was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon_search.domain import did_you_mean, highlights, read_query
from antiphon_search.domain.matching import distance

WORDS = st.text("abcd", max_size=7)


@pytest.mark.parametrize(
    ("typed", "text", "marked"),
    [
        ("bjork", "Björk", ["Björk"]),
        ("bjo", "Bjo\u0308rk live", ["Bjo\u0308"]),
        ("strasse", "Die Straße", ["Straße"]),
        ("stras", "Die Straße", ["Straß"]),
        ("acdc", "Back by AC/DC!", ["AC/DC"]),
        ("ac dc", "AC/DC", ["AC/DC"]),
        ("rem", "R.E.M.", ["R.E.M"]),
        ("pink", "P!nk", ["P!nk"]),
        ("metalica one", "One by Metallica", ["One", "Metallica"]),
        ("linkinpark", "Linkin Park", ["Linkin Park"]),
        ("ヒカル", "宇多田ヒカルの歌", ["ヒカル"]),
        ("さくら", "サクラ咲く", ["サクラ"]),
        ("елка", "🎄 Ёлка 🎄", ["Ёлка"]),
        ("duong", "Đường Về", ["Đường"]),
        ("hello", "Goodbye", []),
        ("", "Goodbye", []),
        ("÷", "÷", ["÷"]),
    ],
)
def test_a_highlight_names_the_stretch_of_the_original(typed: str, text: str, marked: list[str]) -> None:
    assert [text[span.start : span.end] for span in highlights(read_query(typed), text)] == marked


@given(st.text(max_size=30), st.text(max_size=60))
def test_highlights_lie_inside_the_text_in_order(typed: str, text: str) -> None:
    spans = highlights(read_query(typed), text)
    edges = [edge for span in spans for edge in (span.start, span.end)]
    assert edges == sorted(set(edges))
    assert all(0 <= edge <= len(text) for edge in edges)


def test_markup_in_a_title_is_no_business_of_a_highlight() -> None:
    spans = highlights(read_query("script"), "<script>alert(1)</script>")
    assert [(span.start, span.end) for span in spans] == [(1, 7), (18, 24)]


@pytest.mark.parametrize(
    ("typed", "texts", "meant"),
    [
        ("metalica", ["Metallica"], "metallica"),
        ("bjrok joga", ["Jóga", "Björk"], "björk joga"),
        ("metalli", ["Metallica"], None),
        ("metallica", ["Metallica"], None),
        ("something", ["Metallica"], None),
        ("bjork", ["Björk"], None),
    ],
)
def test_what_was_meant_comes_from_the_best_hit(typed: str, texts: list[str], meant: str | None) -> None:
    assert did_you_mean(read_query(typed), texts) == meant


@given(WORDS, WORDS, st.integers(0, 3))
def test_the_distance_is_that_of_the_textbook(a: str, b: str, limit: int) -> None:
    exact = _textbook(a, b)
    assert distance(a, b, limit=limit) == (exact if exact <= limit else None)


def _textbook(a: str, b: str) -> int:
    table = [[i + j if not i * j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            cost = 0 if a[i - 1] == b[j - 1] else 1
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + cost)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


def test_a_query_is_cut_at_its_limits() -> None:
    assert len(read_query("a b c d e f g h i j k l m n o p q").words) == 12
    assert read_query("x" * 5000).words[0].folded == "x" * 64


@pytest.mark.parametrize(
    ("typed", "modes"),
    [
        ("", []),
        ("abc", ["strict"]),
        ("abcd", ["strict", "typo"]),
        ("abcdefgh", ["strict", "typo", "typos"]),
        ("ab cd ef", ["strict", "loose"]),
        ("the abcd and abcdefgh by efg", ["strict", "typo", "typos", "loose"]),
        ("中文歌", ["strict", "typo"]),
    ],
)
def test_a_query_is_read_in_no_mode_that_finds_nothing_more(typed: str, modes: list[str]) -> None:
    assert list(read_query(typed).modes()) == modes


def test_only_the_first_six_words_may_be_misspelt() -> None:
    typed = "group crowds always sounds lovely better tonight forever"
    assert [word.typos for word in read_query(typed).words] == [1, 1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("letters", "edits"), [(3, 0), (4, 1), (7, 1), (8, 2), (16, 2), (17, 1), (24, 1), (25, 0)]
)
def test_how_many_mistakes_are_forgiven_depends_on_the_length_of_a_word(letters: int, edits: int) -> None:
    (word,) = read_query("abcdefghijklmnopqrstuvwxyz"[:letters]).words
    assert word.typos == edits
