"""Matching words with an original text: highlights, and the spelling a person probably meant.

Both look only at documents the caller was allowed to find, so neither can betray another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from antiphon_search.domain.asking import Query, QueryWord
from antiphon_search.domain.words import Word, words


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the original text: code points from `start` up to, not including, `end`."""

    start: int
    end: int


def highlights(query: Query, text: str) -> tuple[Span, ...]:
    """Where the query's words are in a text, in order and without overlaps."""
    found = words(text)
    spans = [span for word in found for wanted in query.words for span in _spans(wanted, word)]
    spans += _neighbour_spans(query, found)
    return _merged(spans)


def did_you_mean(query: Query, texts: Sequence[str]) -> str | None:
    """The query with its misspelt words as the best hit writes them, or none when nothing was misspelt.

    `texts` are the fields of that hit.
    """
    known = [(word, text[word.start : word.end]) for text in texts for word in words(text)]
    corrected: list[str] = []
    changed = False
    for wanted in query.words:
        if any(_matches_plainly(wanted, word) for word, _ in known):
            corrected.append(wanted.exact)
            continue
        near = [
            (distance(wanted.folded, word.folded, limit=wanted.typos), written) for word, written in known
        ]
        best = min(
            (pair for pair in near if pair[0] is not None), key=lambda pair: pair[0] or 0, default=None
        )
        corrected.append(best[1].lower() if best else wanted.exact)
        changed = changed or best is not None
    return " ".join(corrected) if changed else None


def distance(a: str, b: str, *, limit: int) -> int | None:
    """Edits from `a` to `b` if within `limit`: insert, delete, replace, swap (optimal string alignment)."""
    # An edit adds and removes a letter at most, which tells most words apart at once.
    if abs(len(a) - len(b)) > limit or len(set(a) ^ set(b)) > 2 * limit:
        return None
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return None
        before, previous = previous, row
    return previous[-1] if previous[-1] <= limit else None


def _matches_plainly(wanted: QueryWord, word: Word) -> bool:
    forms = {word.folded, *word.variants, *word.parts}
    if forms & {wanted.folded, *wanted.variants, *wanted.joined}:
        return True
    if wanted.begun and any(form.startswith(wanted.folded) for form in forms):
        return True
    return wanted.unspaced and word.unspaced and bool(_run_in(wanted.folded, word))


def _spans(wanted: QueryWord, word: Word) -> list[Span]:
    if wanted.unspaced and word.unspaced:
        return _run_in(wanted.folded, word)
    forms = {word.folded, *word.variants}
    if forms & {wanted.folded, *wanted.variants, *wanted.joined}:
        return [Span(word.start, word.end)]
    if wanted.begun and word.folded.startswith(wanted.folded):
        return [_part(word, 0, len(wanted.folded))]
    if wanted.folded in word.parts or _is_misspelt(wanted, word):
        return [Span(word.start, word.end)]
    return []


def _is_misspelt(wanted: QueryWord, word: Word) -> bool:
    return wanted.typos > 0 and distance(wanted.folded, word.folded, limit=wanted.typos) is not None


def _run_in(run: str, word: Word) -> list[Span]:
    at = word.folded.find(run)
    if at >= 0:
        return [_part(word, at, at + len(run))]
    pairs = [pair for pair in pairwise(run) if "".join(pair) in word.folded]
    return [span for pair in pairs for span in _run_in("".join(pair), word)]


def _part(word: Word, first: int, after: int) -> Span:
    """Where some folded characters come from; half of an `ß` (folded `ss`) is the whole of it."""
    while after < len(word.places) and word.places[after] == word.places[after - 1]:
        after += 1
    return Span(word.places[first], word.places[after] if after < len(word.places) else word.end)


def _neighbour_spans(query: Query, found: Sequence[Word]) -> list[Span]:
    """Two words of the text that were typed as one: `linkinpark` in `Linkin Park`."""
    typed = {word.folded for word in query.words}
    pairs = pairwise(found)
    return [Span(a.start, b.end) for a, b in pairs if a.folded + b.folded in typed]


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, s.end)):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(span.end, merged[-1].end))
        else:
            merged.append(span)
    return tuple(merged)
