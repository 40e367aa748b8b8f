"""Text made comparable: two spellings with the same key name the same artist, album or genre.

Case, compatibility forms and runs of white space do not count; accents and articles do ("Björk" is not
"Bjork", "The Band" is not "Band").
"""

import re
import unicodedata

NAME_LENGTH = 300
SORT_LENGTH = 100

_SPACE = re.compile(r"\s+")
_FORBIDDEN = {"Cc", "Cs", "Cn", "Co"}
# Bidirectional overrides can make one name look like another.
_OVERRIDES = frozenset("\u202a\u202b\u202d\u202e\u2066\u2067\u2068")


def clean(text: str) -> str:
    """The text as one line in NFC, without control characters and overrides, at most 300 characters long."""
    spaced = _SPACE.sub(" ", unicodedata.normalize("NFC", text))
    kept = "".join(c for c in spaced if unicodedata.category(c) not in _FORBIDDEN and c not in _OVERRIDES)
    return kept.strip()[:NAME_LENGTH].rstrip()


def fold(text: str) -> str:
    """The key of a name. Casefolding can undo the normal form, so it is made again (Unicode, D146)."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _SPACE.sub(" ", folded).strip()[:NAME_LENGTH]


def sort_key(text: str) -> str:
    """What a list sorted by title compares: the key's beginning; ties are broken by the id."""
    return fold(text)[:SORT_LENGTH]
