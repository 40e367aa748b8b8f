"""Text out of tags: its real encoding, and what of it is kept."""

import pytest

from antiphon_file.adapters.wording import repair_latin1, split_values
from antiphon_file.domain import MAX_CODE_POINTS, MAX_GRAPHEMES, clean


def declared_latin1(texts: list[str], really: str) -> list[str]:
    return repair_latin1([text.encode(really).decode("latin-1") for text in texts])


@pytest.mark.parametrize(
    ("texts", "really"),
    [
        (["Группа крови", "Кино"], "cp1251"),
        (["Ёлка", "Он"], "cp1251"),
        (["ДДТ", "Я"], "cp1251"),
        (["Ночь (live 1999)", "Аквариум & Friends"], "cp1251"),
        (["椎名林檎", "無罪モラトリアム"], "cp932"),
        (["さくら", "AB"], "cp932"),
        (["Nguyễn Ánh", "Đêm"], "utf-8"),
        (["Café del Mar", "Björk"], "latin-1"),
        (["Sigur Rós", "Ágætis byrjun", "()"], "latin-1"),
        (["Ñandú", "Él", "À côté"], "latin-1"),
        (["Motörhead", "Mötley Crüe", "Ænima"], "latin-1"),
        (["It’s — “ok” …"], "cp1252"),
        (["Plain", "Words"], "ascii"),
    ],
)
def test_text_that_says_latin1_is_read_as_what_it_is(texts: list[str], really: str) -> None:
    assert declared_latin1(texts, really) == texts


def test_one_field_in_utf8_among_others_in_cyrillic_is_read_too() -> None:
    raws = [
        "Кино".encode("cp1251").decode("latin-1"),
        "Đêm".encode().decode("latin-1"),
        "Звезда".encode("cp1251").decode("latin-1"),
    ]
    assert repair_latin1(raws) == ["Кино", "Đêm", "Звезда"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\0b", "ab"),
        ("  two \t\r\n lines\u2028here ", "two lines here"),
        ("evil\u202etxt.exe", "eviltxt.exe"),
        ("\ufeffBOM", "BOM"),
        ("e\u0301", "é"),
        ("\ud800lone", "lone"),
        ("\x1b[31mred", "[31mred"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🎤", "👩\u200d🎤"),
        ("\ufffd\ufffd\ufffdx", ""),
        ("\0\0", ""),
    ],
)
def test_what_misleads_or_cannot_be_seen_is_dropped(text: str, kept: str) -> None:
    assert clean(text) == kept


def test_text_is_cut_at_a_thousand_graphemes_and_marks_stay_with_their_letters() -> None:
    assert len(clean("x" * 5000)) == MAX_GRAPHEMES
    marked = clean("q\u0323" * 5000)
    assert len(marked) == 2 * MAX_GRAPHEMES
    assert len(clean("q" + "\u0323" * 15_000)) <= MAX_CODE_POINTS


def test_nul_separates_values_and_empty_or_repeated_ones_are_dropped() -> None:
    assert split_values(["A\0B", "", "A", "C\0", " "], limit=9) == ["A", "B", "C"]
    assert split_values([str(n) for n in range(50)], limit=20) == [str(n) for n in range(20)]
