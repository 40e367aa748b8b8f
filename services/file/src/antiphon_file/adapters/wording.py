"""Text as people wrote it, out of tags: which encoding it really has, whatever it declares.

Runs in the analysis child. Nothing here trusts a declared encoding: ID3 frames that say Latin-1 hold
Cyrillic, Japanese or UTF-8 bytes often enough that believing them would fill the catalogue with `Ãðóïïà
êðîâè`.
"""

import re
from collections.abc import Iterable
from typing import Final

from antiphon_file.domain import clean

_RAW_LIMIT: Final = 20_000
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_WORD_WITH_HIGH = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_CYRILLIC_BYTES = frozenset([*range(0xC0, 0x100), 0xA8, 0xB8, 0xAA, 0xBA, 0xB2, 0xB3, 0xAF, 0xBF])


def split_values(texts: Iterable[str], *, limit: int) -> list[str]:
    """Every distinct non-empty value in order; NUL separates several values in one string (ID3v2.4)."""
    values: list[str] = []
    for text in texts:
        for part in text[:_RAW_LIMIT].split("\0"):
            value = clean(part)
            if value and value not in values:
                values.append(value)
            if len(values) == limit:
                return values
    return values


def guess_encoding(raw: bytes) -> str:
    """The likeliest encoding of bytes that declare none: UTF-8, Shift-JIS, Windows-1251 or Windows-1252.

    Pass all texts of one file joined by newlines: they almost always share one encoding, and longer text
    is told apart better.
    """
    if not _HIGH_RUN.search(raw):
        return "ascii"
    if _decodes(raw, "utf-8"):
        return "utf-8"
    if _looks_japanese(raw):
        return "cp932"
    if _looks_cyrillic(raw):
        return "cp1251"
    return "cp1252" if _decodes(raw, "cp1252") else "latin-1"


def decode(raw: bytes, encoding: str) -> str:
    """Decode bytes of the guessed encoding; one text of the file may still be UTF-8, which shows itself."""
    for candidate in ("utf-8", encoding):
        try:
            return raw.decode(candidate)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def repair_latin1(texts: list[str]) -> list[str]:
    """Texts that a tag declared to be Latin-1, decoded again as what their bytes really are."""
    raws = [text.encode("latin-1", errors="replace") for text in texts]
    encoding = guess_encoding(b"\n".join(raws))
    return [decode(raw, encoding) for raw in raws]


def _decodes(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _looks_japanese(raw: bytes) -> bool:
    """Shift-JIS lead bytes 0x81-0x9F are control characters in Latin-1 and rare signs in Windows-125x."""
    text = _decodes(raw, "cp932")
    if text is None or not any(0x81 <= byte <= 0x9F for byte in raw):
        return False
    wide = sum(1 for c in text if "\u3041" <= c <= "\u30fe" or "\u4e00" <= c <= "\u9fff")
    narrow = sum(1 for c in text if "\uff61" <= c <= "\uff9f")
    return wide >= 2 and wide > narrow * 2


def _looks_cyrillic(raw: bytes) -> bool:
    """Western words carry one or two accented letters; Cyrillic words consist of nothing but high bytes."""
    words = [word for word in _WORD_WITH_HIGH.findall(raw) if len(word) >= 2]
    solid = sum(
        1 for word in words if _CYRILLIC_BYTES.issuperset(word) and _plausible_case(word.decode("cp1251"))
    )
    return solid * 2 > len(words)


def _plausible_case(word: str) -> bool:
    return word.islower() or word.isupper() or word.istitle()
