"""Asking: what was typed, read as words with their spellings and how far each may be from what is written."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from antiphon_search.domain.documents import Kind, keys_of
from antiphon_search.domain.words import Word, initials, words

MAX_QUERY_CHARACTERS = 200
_MOST_QUERY_WORDS = 12
_LONGEST_MISSPELT, _LONGEST_MISSPELT_TWICE = 24, 16
# Looking for what is nearly right is the expensive part of a question, and nobody misspells a seventh word.
_MOST_MISSPELT = 6
# Said with a name more often than they are part of it; they help the ranking and are not demanded.
_OPTIONAL = frozenset({"the", "a", "an", "and", "by", "feat", "ft", "featuring", "with"})
_LOOSE_SHARE, _LOOSE_FROM = 0.6, 3

Mode = Literal["strict", "typo", "typos", "loose"]
EDITS: dict[Mode, int] = {"strict": 0, "typo": 1, "typos": 2, "loose": 2}
"""How a query is read, in the order it is tried (the next only when the one before found nothing at all), and
how many edits of a word are forgiven then. Two come late: few words have two mistakes, and it costs most.
"""
_STRICTER: tuple[Mode, ...] = ("strict", "typo", "typos")

FIELD_SHARE = {"title": 1.0, "artist": 0.97, "extra": 0.6}
"""What a match in a field is worth."""
EXACT, FOLDED, OTHER, PREFIX, ONE_TYPO, TWO_TYPOS, TYPO_PREFIX = 100.0, 92.0, 86.0, 76.0, 56.0, 44.0, 34.0
"""What a match of a word is worth; the gaps are wider than popularity can bridge."""
WHOLE_NAME, IN_ORDER = 40.0, 8.0
"""Added a word when the query is the whole name, and when its words stand in the title in this order."""
KIND_SHARE: dict[Kind, float] = {"artist": 1.04, "track": 1.0, "album": 0.98, "playlist": 0.9}
"""Which kind is shown as the top result among equals."""


@dataclass(frozen=True, slots=True)
class QueryWord:
    """One word of a query.

    `joined` are words made with a neighbour, each of which stands for this word too. `typos` is how many
    edits (a transposition is one) are forgiven, `begun` whether the word may be the beginning of one.
    """

    exact: str
    folded: str
    variants: tuple[str, ...]
    parts: tuple[str, ...]
    joined: tuple[str, ...]
    unspaced: bool
    typos: int
    begun: bool
    optional: bool

    @property
    def forgiven(self) -> int:
        """How nearly right it may be; a run of signs without spaces may lack some of its parts."""
        return max(self.typos, int(self.unspaced and len(self.parts) > 1))


@dataclass(frozen=True, slots=True)
class Query:
    """What was typed, read. Without words it finds nothing."""

    words: tuple[QueryWord, ...]
    keys: tuple[str, ...]

    @property
    def enough(self) -> int:
        """How many of the words that are demanded must be found in the loose mode."""
        return math.ceil(_LOOSE_SHARE * self._demanded)

    def modes(self) -> Iterator[Mode]:
        """How it may be read, leaving out what would find nothing that the mode before does not."""
        forgiven = max((word.forgiven for word in self.words), default=-1)
        yield from (mode for mode in _STRICTER if EDITS[mode] <= forgiven)
        if self._demanded >= _LOOSE_FROM:
            yield "loose"

    @property
    def _demanded(self) -> int:
        return sum(not word.optional for word in self.words)


@dataclass(frozen=True, slots=True)
class Filters:
    """What may be found at all. `viewer` sees what is public and what is theirs."""

    viewer: UUID | None = None
    genre: str | None = None
    year_from: int | None = None
    year_to: int | None = None


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One question to the index: the same words for each kind, `limit` hits of each after `offset`."""

    query: Query
    kinds: tuple[Kind, ...]
    filters: Filters
    limit: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A found document and its score, which only compares with others of the same answer."""

    id: UUID
    kind: Kind
    score: float


@dataclass(frozen=True, slots=True)
class Group:
    """The hits of one kind, best first, and how many there are in all."""

    hits: tuple[Hit, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Found:
    """The answer of an index. All kinds were read in the same `mode`."""

    groups: dict[Kind, Group]
    mode: Mode

    def best_first(self) -> tuple[Hit, ...]:
        """The hits of all kinds, with `KIND_SHARE` deciding among equals of different kinds."""
        hits = [hit for group in self.groups.values() for hit in group.hits]
        return tuple(sorted(hits, key=lambda hit: -hit.score * KIND_SHARE[hit.kind]))


def read_query(text: str) -> Query:
    """Read what a person typed. There is no syntax: signs are letters or nothing."""
    text = text[:MAX_QUERY_CHARACTERS]
    found = words(text)[:_MOST_QUERY_WORDS]
    folded = [word.folded for word in found]
    joined = _joined(folded)
    unfinished = not text[-1:].isspace()
    wanted = [word.folded not in _OPTIONAL for word in found]
    if not any(wanted):
        wanted = [True] * len(found)
    last = len(found) - 1
    return Query(
        tuple(
            _query_word(
                word, joined=joined[place], begun=unfinished and place == last,
                forgiving=place < _MOST_MISSPELT,
                optional=not wanted[place] and not (unfinished and place == last),
            )
            for place, word in enumerate(found)
        ),
        keys_of(text),
    )  # fmt: skip


def forgiven_typos(word: str) -> int:
    """How many edits are forgiven: none up to 3 letters or with a digit in it, one up to 7, two up to 16.

    Looking for two costs the more the longer the word is, and such words are rare: one up to 24, then none.
    """
    if not 4 <= len(word) <= _LONGEST_MISSPELT or any(character.isdigit() for character in word):
        return 0
    return 2 if 8 <= len(word) <= _LONGEST_MISSPELT_TWICE else 1


def _joined(folded: list[str]) -> list[tuple[str, ...]]:
    joined: list[list[str]] = [[] for _ in folded]
    for place in range(len(folded) - 1):
        pair = folded[place] + folded[place + 1]
        joined[place].append(pair)
        joined[place + 1].append(pair)
    for first, last, run in initials(folded):
        for place in range(first, last):
            joined[place].append(run)
    return [tuple(dict.fromkeys(forms)) for forms in joined]


def _query_word(
    word: Word, *, joined: tuple[str, ...], begun: bool, forgiving: bool, optional: bool
) -> QueryWord:
    return QueryWord(
        exact=word.exact,
        folded=word.folded,
        variants=word.variants,
        parts=word.parts or (word.units if word.unspaced else ()),
        joined=joined,
        unspaced=word.unspaced,
        typos=forgiven_typos(word.folded) if forgiving and not word.unspaced else 0,
        begun=begun and not word.unspaced,
        optional=optional,
    )
