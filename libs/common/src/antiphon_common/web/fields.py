"""Types for request schemas: strict, bounded, nothing unknown accepted.

`STRICT` is the configuration of every request model. `Id` and `Moment` are the types that JSON can only
spell as text, so they alone are read leniently.
"""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, StringConstraints

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _spelt_out(value: object) -> object:
    # Read leniently, a number of seconds or a date alone would be a moment, too.
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("must be a moment like 2026-01-31T12:00:00Z")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is out of bounds") from error


Id = Annotated[UUID, Field(strict=False)]
Moment = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_spelt_out), AfterValidator(_in_utc)
]  # fmt: skip
"""An RFC 3339 moment, converted to UTC."""


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
