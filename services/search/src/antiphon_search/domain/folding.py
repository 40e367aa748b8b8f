"""Folding: one spelling for everything that a person may type for the same sound.

The index never sees raw text. Both documents and queries pass through here, so the engine behind the index
port needs no language support of its own and every engine finds the same things.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# Letters that Unicode does not decompose into a base and a mark.
_SPELLED = str.maketrans(
    {
        "đ": "d", "ð": "d", "ø": "o", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "ŋ": "n", "ə": "e", "ƒ": "f",
        "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ĳ": "ij", "ĸ": "k", "ŀ": "l", "ʼ": "",
    }
)  # fmt: skip
# Marks that carry no meaning of their own: Latin, Greek, Cyrillic; Hebrew points; Arabic vowels and hamza.
_LOOSE_MARKS = ((0x300, 0x36F), (0x591, 0x5C7), (0x610, 0x61A), (0x64B, 0x65F), (0x670, 0x670),
                (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE00, 0xFE0F))  # fmt: skip
# Scripts written without spaces (and Hangul, whose particles stick to the word): cut into pairs, not words.
_UNSPACED = ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF), (0x3005, 0x3007),
             (0x3040, 0x30FF), (0x3130, 0x318F), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
             (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # fmt: skip
_BREVE, _VARIATION = "\u0306", "\ufe0f"


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= code <= high for low, high in ranges)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A base character with its marks: where it stands in the original text, and its three spellings.

    `exact` keeps accents (case and width are folded), `folded` does not. Both are empty for anything that is
    neither letter nor digit; `raw` is the text as written. Offsets count code points of the original.
    """

    raw: str
    exact: str
    folded: str
    start: int
    end: int
    unspaced: bool


def clusters(text: str, *, offset: int = 0) -> Iterator[Cluster]:
    """The text cut into clusters, none left out. It begins at `offset` of the original."""
    start = 0
    while start < len(text):
        end = start + 1
        while end < len(text) and _continues(text[end]):
            end += 1
        yield _fold_cluster(text[start:end], offset + start)
        start = end


def fold(text: str) -> str:
    """Letters and digits of `text`, folded, nothing between them: `AC/DC` and `ac dc` are both `acdc`."""
    return "".join(cluster.folded for cluster in clusters(text))


def _continues(character: str) -> bool:
    code = ord(character)
    if code < 0x300:
        return False
    voiced_halfwidth = code in (0xFF9E, 0xFF9F)
    jamo_vowel_or_final = 0x1160 <= code <= 0x11FF
    return voiced_halfwidth or jamo_vowel_or_final or unicodedata.category(character).startswith("M")


def _fold_cluster(raw: str, start: int) -> Cluster:
    if raw.isascii():
        plain = raw.lower() if raw.isalnum() else ""
        return Cluster(raw, plain, plain, start, start + len(raw), unspaced=False)
    wide = unicodedata.normalize("NFKC", raw)
    cased = unicodedata.normalize(
        "NFC", wide.replace("İ", "i").casefold() if "ß" not in wide else wide.lower()
    )
    exact = "".join(filter(_is_wordy, cased))
    folded = "".join(filter(_is_wordy, _hiragana(_strip_marks(exact).translate(_SPELLED))))
    unspaced = bool(folded) and _within(ord(folded[0]), _UNSPACED)
    return Cluster(raw, exact, folded, start, start + len(raw), unspaced)


def _is_wordy(character: str) -> bool:
    if character == _VARIATION:
        return False
    return character.isalnum() or unicodedata.category(character).startswith("M") or character in "ー々"


def _strip_marks(text: str) -> str:
    """Without loose marks. `й` stays: it is a letter of its own, unlike `ё`, which people write as `е`."""
    kept: list[str] = []
    for mark in unicodedata.normalize("NFD", text):
        short_i = mark == _BREVE and kept and kept[-1] == "и"
        if short_i or not _within(ord(mark), _LOOSE_MARKS):
            kept.append(mark)
    return unicodedata.normalize("NFC", "".join(kept))


def _hiragana(text: str) -> str:
    """Katakana as hiragana: the two blocks lie 0x60 apart."""
    return "".join(chr(ord(kana) - 0x60) if "ァ" <= kana <= "ヶ" else kana for kana in text)
