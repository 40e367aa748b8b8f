"""Words: a text cut into what is indexed and looked up, each with its other spellings and its place.

`AC/DC` is one word `acdc` with the parts `ac` and `dc`; `P!nk` is `pnk` and also `pink`; `Anti-Hero` is two
words; a run of Japanese or Chinese is one word whose parts are its pairs of characters.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from antiphon_search.domain.folding import Cluster, clusters

_APOSTROPHES = frozenset("'’‘ʼʻ`´＇′")
# Signs that end a word even without a space. All other signs may stand inside one (AC/DC, R.E.M., P!nk).
_BREAKS = frozenset(',;:()[]{}"“”„«»…|—?¿¡~〜、。・「」『』【】（）！？：；，．<>=')
_LOOKALIKES = {"$": "s", "!": "i", "@": "a", "€": "e", "£": "l", "я": "r", "и": "n"}
_AND = frozenset("&+＆＋")
# What `_chunks` makes of ASCII: control characters are not printable, so they end a word as well.
_ASCII_CHUNK = re.compile(r"""[^\x00-\x20\x7f,;:()\[\]{}"|?~<>=]+""")
_LONGEST_WORD = 64
_MOST_WORDS = 120


@dataclass(frozen=True, slots=True)
class Word:
    """One word: `folded` is its main form, `exact` keeps accents, `variants` are whole other spellings.

    `parts` are pieces that together mean the word (empty when there is only one). `places[i]` is where the
    i-th character of `folded` begins in the original text; `start` and `end` enclose the word there.
    """

    exact: str
    folded: str
    start: int
    end: int
    places: tuple[int, ...]
    variants: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    @property
    def unspaced(self) -> bool:
        """Whether the word is a run of a script without spaces; `units` are then its characters."""
        return bool(self.units)


def words(text: str) -> tuple[Word, ...]:
    """The words of `text` in order, at most 120. A text of signs only (`÷`, `!!!`) is a word of signs."""
    found: list[Word] = []
    for some in _ascii_words(text) if text.isascii() else map(_words_of_chunk, _chunks(text)):
        found.extend(some)
        if len(found) >= _MOST_WORDS:
            break
    if not found:
        found.extend(_sign_words(text))
    return tuple(found[:_MOST_WORDS])


def joined_neighbours(folded: list[str]) -> tuple[str, ...]:
    """Neighbouring words written as one (`linkin park` -> `linkinpark`), and runs of initials (`r e m`)."""
    pairs = [a + b for a, b in pairwise(folded) if len(a) + len(b) <= _LONGEST_WORD]
    return tuple(dict.fromkeys([*pairs, *(run for _, _, run in initials(folded))]))


def initials(folded: list[str]) -> Iterator[tuple[int, int, str]]:
    """Runs of three or more one-letter words: first index, index after the last, and the run as one word."""
    first = 0
    while first < len(folded):
        last = first
        while last < len(folded) and len(folded[last]) == 1:
            last += 1
        if last - first >= 3:
            yield first, last, "".join(folded[first:last])
        first = max(last, first + 1)


def _ascii_words(text: str) -> Iterator[Iterable[Word]]:
    # Every title that is shown comes by here, and nearly all words are plain: a cluster a letter is too dear.
    for match in _ASCII_CHUNK.finditer(text):
        start, end = match.span()
        written = match[0]
        if written.isalnum():
            plain = written[:_LONGEST_WORD].lower()
            yield [Word(plain, plain, start, end, tuple(range(start, start + len(plain))))]
        else:
            yield _words_of_chunk(list(clusters(written, offset=start)))


def _chunks(text: str) -> Iterator[list[Cluster]]:
    chunk: list[Cluster] = []
    for cluster in clusters(text):
        boundary = not cluster.folded and (
            cluster.raw.isspace() or cluster.raw[0] in _BREAKS or not cluster.raw.isprintable()
        )
        if not boundary:
            chunk.append(cluster)
            continue
        if chunk:
            yield chunk
        chunk = []
    if chunk:
        yield chunk


def _words_of_chunk(chunk: list[Cluster]) -> Iterator[Word]:
    if len(chunk) == 1 and chunk[0].raw in _AND:
        yield Word("and", "and", chunk[0].start, chunk[0].end, (chunk[0].start,) * 3)
        return
    run: list[Cluster] = []
    for cluster in chunk:
        if cluster.unspaced:
            if run and not run[-1].unspaced:
                yield from _spaced_words(run)
                run = []
        elif cluster.folded and run and run[-1].unspaced:
            yield _unspaced_word(run)
            run = []
        elif not cluster.folded and run and run[-1].unspaced:
            continue
        run.append(cluster)
    if run and run[-1].unspaced:
        yield _unspaced_word(run)
    else:
        yield from _spaced_words(run)


def _unspaced_word(run: list[Cluster]) -> Word:
    units = tuple(cluster.folded for cluster in run[:_LONGEST_WORD])
    pairs = tuple(a + b for a, b in pairwise(units))
    whole = _word(run[:_LONGEST_WORD])
    return Word(
        whole.exact,
        whole.folded,
        whole.start,
        whole.end,
        whole.places,
        parts=tuple(dict.fromkeys(pairs)),
        units=units,
    )


def _spaced_words(run: list[Cluster]) -> Iterator[Word]:
    pieces = list(_pieces(run))
    if not pieces:
        return
    apostrophe = any(cluster.raw in _APOSTROPHES for cluster in run)
    variant = _lookalike(run)
    if len(pieces) > 1 and not apostrophe and not variant and min(map(len, pieces)) >= 3:
        for piece in pieces:
            yield _word(piece)
        return
    kept = [cluster for cluster in run if cluster.folded]
    whole = _word(kept)
    parts = tuple(dict.fromkeys(_folded(piece) for piece in pieces)) if len(pieces) > 1 else ()
    variants = (variant,) if variant and variant != whole.folded else ()
    yield Word(
        whole.exact, whole.folded, whole.start, whole.end, whole.places, variants=variants, parts=parts
    )


def _pieces(run: list[Cluster]) -> Iterator[list[Cluster]]:
    piece: list[Cluster] = []
    for cluster in run:
        if cluster.folded:
            piece.append(cluster)
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _word(kept: list[Cluster]) -> Word:
    exact = "".join(cluster.exact for cluster in kept)[:_LONGEST_WORD]
    places = tuple(cluster.start for cluster in kept for _ in cluster.folded)[:_LONGEST_WORD]
    return Word(exact, _folded(kept), kept[0].start, kept[-1].end, places)


def _folded(kept: Iterable[Cluster]) -> str:
    return "".join(cluster.folded for cluster in kept)[:_LONGEST_WORD]


def _lookalike(run: list[Cluster]) -> str:
    """The word with signs read as letters (`P!nk` -> `pink`, `A$AP` -> `asap`), or nothing."""
    latin = any("a" <= cluster.folded[:1] <= "z" for cluster in run)
    if not latin:
        return ""
    letters: list[str] = []
    replaced = False
    for place, cluster in enumerate(run):
        instead = _LOOKALIKES.get(cluster.folded or cluster.raw)
        followed = place + 1 < len(run) and bool(run[place + 1].folded)
        if instead and (followed or cluster.raw == "$" or cluster.folded):
            letters.append(instead)
            replaced = True
        else:
            letters.append(cluster.folded)
    return "".join(letters)[:_LONGEST_WORD] if replaced else ""


def _sign_words(text: str) -> Iterator[Word]:
    for match in re.finditer(r"\S+", text):
        sign = "".join(c for c in match.group() if c.isprintable() and not "\ud800" <= c <= "\udfff")[
            :_LONGEST_WORD
        ]
        if sign:
            places = tuple(range(match.start(), match.start() + len(sign)))
            yield Word(sign, sign, match.start(), match.end(), places)
