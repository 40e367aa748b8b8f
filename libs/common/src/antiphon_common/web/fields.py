"""Types for request schemas: strict, bounded, nothing unknown accepted.

`STRICT` is the configuration of every request model. `Id` and `Moment` are the types that JSON can only
spell as text, so they alone are read leniently.
"""

import unicodedata
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, StringConstraints

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)

Id = Annotated[UUID, Field(strict=False)]
Moment = Annotated[AwareDatetime, Field(strict=False)]

_FORBIDDEN = {"Cc", "Cs", "Co", "Cn"}
_ALLOWED = {"\n", "\t"}
# Bidirectional overrides can make one name look like another.
_OVERRIDES = set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068")


def _clean(text: str) -> str:
    text = unicodedata.normalize("NFC", text).strip()
    if any((unicodedata.category(c) in _FORBIDDEN and c not in _ALLOWED) or c in _OVERRIDES for c in text):
        raise ValueError("contains characters that are not allowed")
    return text


def _not_blank(text: str) -> str:
    if all(unicodedata.category(c)[0] in "ZC" for c in text):
        raise ValueError("must not be blank")
    return text


def _one_line(text: str) -> str:
    if any(c in "\n\t\u2028\u2029" for c in text):
        raise ValueError("must be one line")
    return text


def _at_most(limit: int) -> AfterValidator:
    # Normalising can make a text longer (U+0958 becomes two), and the column has its limit, too.
    def check(text: str) -> str:
        if len(text) > limit:
            raise ValueError(f"must have at most {limit} characters")
        return text

    return AfterValidator(check)


Line = Annotated[
    str, StringConstraints(min_length=1, max_length=300), AfterValidator(_clean), AfterValidator(_not_blank),
    AfterValidator(_one_line), _at_most(300),
]  # fmt: skip
"""A name or title: one line, not blank, at most 300 characters, normalised to NFC."""

Prose = Annotated[str, StringConstraints(max_length=4000), AfterValidator(_clean), _at_most(4000)]
"""Text of several lines, at most 4,000 characters, normalised to NFC."""
