"""One spelling for everything that a person may type for the same sound."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon_search.domain.documents import genre_key, keys_of, popularity
from antiphon_search.domain.folding import clusters, fold
from antiphon_search.domain.words import words


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("Björk", "bjork"), ("Ёлка", "елка"), ("Đường", "duong"), ("Người", "nguoi"), ("Straße", "STRASSE"),
        ("Ærø", "aero"), ("Łódź", "lodz"), ("ＡＢＣ", "abc"), ("ﬁn", "fin"), ("サクラ", "さくら"),
        ("ｻｸﾗ", "さくら"), ("ガギ", "がぎ"),
        ("ｶﾞｷﾞ", "がぎ"), ("İstanbul", "istanbul"), ("AC/DC", "acdc"), ("R.E.M.", "rem"),
        ("ΘΆΛΑΣΣΑ", "θαλασσα"), ("naïve", "nai\u0308ve"), ("각", "\u1100\u1161\u11a8"), ("Þórr", "thorr"),
    ],
)  # fmt: skip
def test_both_spellings_fold_to_the_same(written: str, typed: str) -> None:
    assert fold(written) == fold(typed)


@pytest.mark.parametrize(
    ("one", "other"), [("й", "и"), ("が", "か"), ("तुम", "तम"), ("a", "b"), ("ペ", "ベ"), ("รัก", "รก")]
)
def test_letters_that_differ_stay_different(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text())
def test_clusters_cover_every_text_without_gaps(text: str) -> None:
    found = list(clusters(text))
    assert "".join(cluster.raw for cluster in found) == text
    assert [cluster.start for cluster in found[1:]] == [cluster.end for cluster in found[:-1]]


@given(st.text())
def test_folding_ignores_case_and_composition(text: str) -> None:
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_words_stand_where_they_say(text: str) -> None:
    for word in words(text):
        assert 0 <= word.start < word.end <= len(text)
        assert len(word.places) == len(word.folded)
        assert all(word.start <= place < word.end for place in word.places)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_a_term_never_contains_a_space_or_half_a_surrogate_pair(text: str) -> None:
    for word in words(text):
        for term in (word.exact, word.folded, *word.variants, *word.parts, *word.units):
            assert not any(character.isspace() for character in term)
            term.encode("utf-8")


@given(st.text(min_size=1, max_size=20))
def test_half_a_surrogate_pair_is_never_a_term(text: str) -> None:
    for word in words("\ud800" + text + "\udfff"):
        word.folded.encode("utf-8")


def test_a_very_long_text_has_a_bounded_number_of_words() -> None:
    assert len(words("la " * 5000)) == 120
    assert max(len(word.folded) for word in words("a" * 5000)) == 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AC/DC", [("acdc", (), ("ac", "dc"))]),
        ("P!nk", [("pnk", ("pink",), ("p", "nk"))]),
        ("Anti-Hero", [("anti", (), ()), ("hero", (), ())]),
        ("Jay-Z", [("jayz", (), ("jay", "z"))]),
        ("don’t", [("dont", (), ("don", "t"))]),
        ("Simon & Garfunkel", [("simon", (), ()), ("and", (), ()), ("garfunkel", (), ())]),
        ("KoЯn", [("koяn", ("korn",), ())]),
        ("÷", [("÷", (), ())]),
        ("", []),
        ("東京First", [("東京", (), ("東京",)), ("first", (), ())]),
    ],
)
def test_a_text_is_cut_into_words(
    text: str, expected: list[tuple[str, tuple[str, ...], tuple[str, ...]]]
) -> None:
    assert [(word.folded, word.variants, word.parts) for word in words(text)] == expected


def test_a_name_has_a_key_without_article_and_aside() -> None:
    assert "beatles" in keys_of("The Beatles")
    assert "bohemianrhapsody" in keys_of("Bohemian Rhapsody - Remastered 2011")
    assert "champions" in keys_of("Champions (feat. Nobody) [Live]")
    assert "pink" in keys_of("P!nk")
    assert keys_of("") == ()


def test_a_genre_has_one_spelling() -> None:
    assert genre_key("Hip-Hop") == genre_key("hip hop") == genre_key("HipHop")
    assert genre_key("+") == "+"


def test_popularity_moves_in_steps_and_never_backwards() -> None:
    values = [popularity(plays=plays, likes=0) for plays in range(10_000)]
    assert values == sorted(values)
    assert len(set(values)) < 60
    assert popularity(plays=-5, likes=-5) == 0
    assert popularity(plays=0, likes=1) > popularity(plays=1, likes=0)


@given(
    st.text(st.characters(max_codepoint=127), max_size=60).filter(lambda text: any(map(str.isalnum, text)))
)
def test_plain_text_is_cut_like_any_other(text: str) -> None:
    foreign = words("\u00e9 " + text)[1:]
    moved = [
        replace(
            word, start=word.start - 2, end=word.end - 2, places=tuple(place - 2 for place in word.places)
        )
        for word in foreign
    ]
    assert list(words(text)) == moved
