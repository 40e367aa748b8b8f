"""From the artist text of a tag to credits: who is credited, in which role, and what is printed between.

Joining `name + join_phrase` of all credits gives the printed credit again. One value is split at "feat." and
its relatives only: "&", ",", "/" and "and" are part of too many names. Several values of a tag are several
artists.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from antiphon_catalog.domain.folding import clean, fold

Role = Literal["main", "featured", "remixer", "producer", "composer"]

VARIOUS_ARTISTS = "Various Artists"
_VARIOUS = {"various artists", "various", "va", "v.a.", "v/a"}
_MOST = 50

_OPENING = {"(": ")", "[": "]", "（": "）", "［": "］"}
_WORD = r"(?:(?:feat|ft)\.[ ]?|(?:feat|ft|featuring)[ ](?!(?:feat|ft|featuring)\b))"
# Not after a digit ("6 ft Under" is a name), and something must follow.
_FEAT = re.compile(rf"(?<=\S)(?<!\d)(?P<lead>[ ]?[(\[（［][ ]?{_WORD}|[ ]{_WORD})(?=\S)", re.IGNORECASE)
_FEAT_FIRST = re.compile(rf"[(\[（［]?[ ]?{_WORD}(?=\S)", re.IGNORECASE)
_AFTER_BRACKET = re.compile(r"(?P<lead>[ ]?(?:&|,|\+|and|und|et|y|и)[ ])(?=\S)", re.IGNORECASE)
_TITLE_BRACKET = re.compile(
    rf"[ ]?(?P<open>[(\[（［])[ ]?{_WORD}(?P<guest>[^()\[\]（）［］]+)[)\]）］]", re.IGNORECASE
)
# Without brackets only the forms with a dot: "Now Featuring You" is a title.
_TITLE_PLAIN = re.compile(r"[ ](?:feat|ft)\.[ ]?(?P<guest>[^()\[\]（）［］]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Credit:
    """An artist on a track or album; `join_phrase` is printed after the name."""

    artist_id: UUID
    name: str
    role: Role = "main"
    join_phrase: str = ""


@dataclass(frozen=True, slots=True)
class NamedCredit:
    """A credit whose artist is known by name only."""

    name: str
    role: Role = "main"
    join_phrase: str = ""


@dataclass(frozen=True, slots=True)
class _Part:
    """A name with what is printed before it (none: whatever fits) and directly after it."""

    name: str
    role: Role
    lead: str | None
    tail: str = ""


def is_various(name: str) -> bool:
    """Whether this album artist means "not one artist"."""
    return fold(name) in _VARIOUS


def parse_credits(values: Sequence[str], title: str | None = None) -> tuple[str | None, list[NamedCredit]]:
    """The title without its guests, and the credits of a tag's artist values and of that title."""
    parts: list[_Part] = []
    for value in map(clean, values):
        if value:
            parts.extend(_split(value, first=not parts))
    bare_title, guest = _title_guest(clean(title or ""))
    if parts and guest:
        parts.append(_Part(guest, "featured", None))
    else:
        bare_title = clean(title or "")
    return bare_title or None, _joined(_distinct(parts)[:_MOST])


def default_joins(credits_: Sequence[NamedCredit], given: Sequence[str | None]) -> list[NamedCredit]:
    """The credits with the phrases that were given, and the usual ones where none was."""
    usual = _joined([_Part(credit.name, credit.role, None) for credit in credits_])
    return [
        credit if phrase is None else replace(credit, join_phrase=phrase)
        for credit, phrase in zip(usual, given, strict=True)
    ]


def printed(credits_: Sequence[Credit | NamedCredit]) -> str:
    """The credit as it is printed."""
    return "".join(credit.name + credit.join_phrase for credit in credits_)


def _split(value: str, *, first: bool) -> list[_Part]:
    role: Role = "main"
    if not first and (opening := _FEAT_FIRST.match(value)):
        role, value = "featured", value[opening.end() :].rstrip(")]）］")
    found = _FEAT.search(value)
    if not found:
        return [_Part(value, role, None)]
    parts = [_Part(value[: found.start()], role, None)]
    rest, lead = value[found.end() :], found["lead"]
    bracket = _OPENING.get(lead.lstrip()[0])
    if bracket is None or bracket not in rest:
        guests = _split(rest, first=True)
        return [*parts, replace(guests[0], role="featured", lead=lead), *guests[1:]]
    inside, outside = rest.split(bracket, 1)
    guests = _split(inside.strip(), first=True)
    parts += [replace(guests[0], role="featured", lead=lead), *guests[1:]]
    parts[-1] = replace(parts[-1], tail=bracket)
    if not outside.strip():
        return parts
    after = _AFTER_BRACKET.match(outside)
    if not after:
        # The bracket stands inside a longer name: better one long name than two wrong ones.
        return [_Part(value, role, None)]
    return [*parts, _Part(outside[after.end() :], role, after["lead"])]


def _title_guest(title: str) -> tuple[str, str | None]:
    found = _TITLE_BRACKET.search(title) or _TITLE_PLAIN.search(title)
    if not found:
        return title, None
    rest = title[found.end() :]
    bare = (title[: found.start()].rstrip() + (" " + rest.lstrip() if rest.strip() else "")).strip()
    return (bare, found["guest"].strip()) if bare else (title, None)


def _distinct(parts: Sequence[_Part]) -> list[_Part]:
    seen: set[str] = set()
    kept = []
    for part in parts:
        key = fold(part.name)
        if key and key not in seen:
            seen.add(key)
            kept.append(part)
    return kept


def _joined(parts: Sequence[_Part]) -> list[NamedCredit]:
    joined = []
    for index, part in enumerate(parts):
        following = parts[index + 1] if index + 1 < len(parts) else None
        phrase = part.tail
        if following:
            last = index + 2 == len(parts) or parts[index + 2].role != following.role
            phrase += following.lead if following.lead is not None else _usual(part, following, last=last)
        joined.append(NamedCredit(part.name, part.role, phrase))
    return joined


def _usual(part: _Part, following: _Part, *, last: bool) -> str:
    if following.role == "featured" and part.role != "featured":
        return " feat. "
    if following.role != part.role:
        return ", "
    return " & " if last else ", "
