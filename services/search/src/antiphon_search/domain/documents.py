"""Documents: what can be found, who may find it, and the terms it is found by."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

from antiphon_search.domain.folding import fold
from antiphon_search.domain.words import Word, joined_neighbours, words

Kind = Literal["track", "artist", "album", "playlist"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_ASIDE = re.compile(r"\s*[(\[【（].*|\s+[-–—]\s+.*")
_MANY_PLAYS = 10_000_000
_POPULARITY_SHARE = 0.05
_TIE_SHARE = 0.0001
_LIKE_IN_PLAYS = 3
_POPULARITY_STEPS = 4


@dataclass(frozen=True, slots=True)
class Document:
    """One findable thing. `title` is its name, `extra` an album's title or a playlist's description.

    `public` things are found by everyone, the rest by `owner_id` alone. `popularity` is in plays.
    """

    id: UUID
    kind: Kind
    owner_id: UUID
    public: bool
    title: str
    artists: tuple[str, ...] = ()
    extra: str = ""
    genres: tuple[str, ...] = ()
    year: int | None = None
    popularity: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A document at a revision of its publisher, with what an answer shows of it (JSON values)."""

    document: Document
    revision: int
    shown: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Counts:
    """Absolute counts of a track, each with the revision of its own counter."""

    plays: int = 0
    plays_revision: int = 0
    likes: int = 0
    likes_revision: int = 0

    @property
    def popularity(self) -> int:
        return popularity(plays=self.plays, likes=self.likes)


@dataclass(frozen=True, slots=True)
class FieldTerms:
    """The terms of one field: words with accents, words folded (in order), and every other spelling."""

    exact: tuple[str, ...]
    folded: tuple[str, ...]
    other: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """All that an index adapter stores of a document; nothing is left for it to analyse."""

    title: FieldTerms
    artist: FieldTerms
    extra: FieldTerms
    keys: tuple[str, ...]
    genres: tuple[str, ...]
    weight: float


def terms_of(document: Document) -> Terms:
    """The terms of a document."""
    return Terms(
        title=_field([document.title]),
        artist=_field(document.artists),
        extra=_field([document.extra]),
        keys=keys_of(document.title),
        genres=tuple(dict.fromkeys(genre_key(genre) for genre in document.genres)),
        weight=weight_of(document),
    )


def keys_of(text: str) -> tuple[str, ...]:
    """Spellings of a whole name as one word: signs read as letters, `the` and brackets left out."""
    keys: list[str] = []
    for name in (text, _ASIDE.sub("", text)):
        found = words(name)
        plain = [word.folded for word in found]
        spelled = [word.variants[0] if word.variants else word.folded for word in found]
        for spelling in (plain, spelled):
            keys.append("".join(spelling))
            if spelling[:1] == ["the"]:
                keys.append("".join(spelling[1:]))
    return tuple(dict.fromkeys(key for key in keys if key))


def genre_key(genre: str) -> str:
    """`Hip-Hop`, `hip hop` and `HipHop` are one genre."""
    return fold(genre) or genre.strip().casefold()


def weight_of(document: Document) -> float:
    """What a document's score is multiplied with: 1 to 1.05 by popularity, so that it decides among equals.

    The logarithm keeps ten more plays worth as much at the bottom as a million at the top. A trace of the id
    gives equals a lasting order, so that pages do not overlap.
    """
    fame = min(1.0, math.log1p(document.popularity) / math.log1p(_MANY_PLAYS))
    trace = hashlib.blake2b(document.id.bytes, digest_size=1).digest()[0] / 256
    return 1 + _POPULARITY_SHARE * fame + _TIE_SHARE * trace


def popularity(*, plays: int, likes: int) -> int:
    """Plays and likes as one number, in steps so coarse that one more play rarely changes the index."""
    total = max(0, plays) + _LIKE_IN_PLAYS * max(0, likes)
    if total < _POPULARITY_STEPS:
        return total
    step = math.floor(_POPULARITY_STEPS * math.log2(total))
    return round(2 ** (step / _POPULARITY_STEPS))


def _field(texts: Iterable[str]) -> FieldTerms:
    exact: list[str] = []
    folded: list[str] = []
    other: list[str] = []
    for text in texts:
        found = words(text)
        plain = [word.folded for word in found]
        exact.extend(word.exact for word in found)
        folded.extend(plain)
        for word in found:
            other.extend(_other_spellings(word))
        other.extend(joined_neighbours(plain))
    return FieldTerms(tuple(exact), tuple(folded), tuple(dict.fromkeys(other)))


def _other_spellings(word: Word) -> Iterable[str]:
    yield from word.variants
    yield from word.parts
    yield from word.units
