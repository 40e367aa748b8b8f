"""Builds the engine's query objects from our own query: no text of a user is ever parsed by the engine.

Every clause has a constant score (see the worths in `domain.asking`), so a ranking can be explained by hand
and does not change with what else is in the index.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID

from tantivy import DocAddress, FieldType, Occur, Query, Schema, SearchResult
from tantivy import Document as Row

from antiphon_search.domain import EDITS, KINDS, Filters, Group, Hit, Kind, Mode, SearchRequest, genre_key
from antiphon_search.domain import Query as TypedQuery
from antiphon_search.domain import asking as worth
from antiphon_search.domain.asking import QueryWord

FIELDS = ("title", "artist", "extra")
SPELLINGS = ("exact", "folded", "other")
LONGEST_BEGINNING = 3


class Searching(Protocol):
    """What is used of the engine's searcher."""

    def search(
        self, query: Query, *, limit: int, count: bool, offset: int = ..., weight_by_field: str | None = ...
    ) -> SearchResult: ...

    def fast_field_values(
        self, field_name: str, doc_addresses: list[DocAddress]
    ) -> list[int | float | bool | None]: ...

    def doc(self, doc_address: DocAddress) -> Row: ...


def words_query(schema: Schema, query: TypedQuery, mode: Mode, *, fields: Sequence[str] = FIELDS) -> Query:
    """All words of the query, read in this mode."""
    clauses = [(word, _word(schema, word, fields, edits=EDITS[mode])) for word in query.words]
    demanded = [clause for word, clause in clauses if not word.optional]
    helping = [clause for word, clause in clauses if word.optional]
    if mode == "loose":
        some = [(Occur.Should, clause) for clause in demanded]
        demanded = [Query.boolean_query(some, minimum_number_should_match=query.enough)]
    helping += _whole_name(schema, query)
    return Query.boolean_query(
        [(Occur.Must, clause) for clause in demanded] + [(Occur.Should, clause) for clause in helping]
    )


def filtered(schema: Schema, words: Query, filters: Filters, *, kinds: Sequence[Kind] = KINDS) -> Query:
    """Only what the viewer may find, and what they asked to see of it."""
    seen = [Query.term_query(schema, "public", True)]  # noqa: FBT003 - the engine's own signature
    if filters.viewer is not None:
        seen.append(Query.term_query(schema, "owner", filters.viewer.hex))
    limits = [_any(seen)]
    if len(kinds) < len(KINDS):
        limits.append(_any([Query.term_query(schema, "kind", KINDS.index(kind)) for kind in kinds]))
    if filters.genre is not None:
        limits.append(Query.term_query(schema, "genre", genre_key(filters.genre)))
    if filters.year_from is not None or filters.year_to is not None:
        limits.append(
            Query.range_query(schema, "year", FieldType.Integer, filters.year_from, filters.year_to)
        )
    clauses = [(Occur.Must, words)] + [(Occur.Must, Query.const_score_query(limit, 0.0)) for limit in limits]
    return Query.boolean_query(clauses)


def beginnings(terms: Iterable[str]) -> str:
    """The first one, two and three characters of terms: short beginnings are looked up, not searched for."""
    return " ".join(sorted({term[:length] for term in terms for length in range(1, LONGEST_BEGINNING + 1)}))


def hits_of(searcher: Searching, found: Sequence[tuple[float, DocAddress]]) -> tuple[Hit, ...]:
    """The engine's addresses as ids."""
    hits = []
    for score, address in found:
        row = searcher.doc(address)
        hits.append(Hit(UUID(hex=row["id"][0]), KINDS[row["kind"][0]], score))
    return tuple(hits)


def grouped(
    searcher: Searching, found: Sequence[tuple[float, DocAddress]], request: SearchRequest
) -> dict[Kind, Group]:
    """All hits of a search, by kind; only those that were asked for are looked at."""
    numbers = searcher.fast_field_values("kind", [address for _, address in found])
    groups: dict[Kind, Group] = {}
    for kind in request.kinds:
        number = KINDS.index(kind)
        mine = [hit for hit, its in zip(found, numbers, strict=True) if its == number]
        wanted = mine[request.offset : request.offset + request.limit]
        groups[kind] = Group(hits_of(searcher, wanted), len(mine))
    return groups


def total_of(result: SearchResult) -> int:
    """How many documents match in all (an attribute that the engine's stubs forgot)."""
    return int(getattr(result, "count", 0) or 0)


def _word(schema: Schema, word: QueryWord, fields: Sequence[str], *, edits: int) -> Query:
    clauses: list[Query] = []
    for field in fields:
        share = worth.FIELD_SHARE[field]
        clauses += [_worth(query, score * share) for query, score in _as_written(schema, word, field)]
    if word.begun:
        clauses += [_worth(query, score) for query, score in _begun(schema, word, fields)]
    if edits and word.typos:
        near = _misspelt(schema, word, fields, min(edits, word.typos))
        clauses += [_worth(query, score) for query, score in near]
    if edits and word.unspaced and len(word.parts) > 1:
        enough = math.ceil(len(word.parts) / 2)
        pieces = [(Occur.Should, _any(_terms(schema, fields, [part]))) for part in word.parts]
        some = Query.boolean_query(pieces, minimum_number_should_match=enough)
        clauses.append(_worth(some, worth.TWO_TYPOS))
    return Query.disjunction_max_query(clauses)


def _as_written(schema: Schema, word: QueryWord, field: str) -> Iterable[tuple[Query, float]]:
    folded, other = f"{field}_folded", f"{field}_other"
    yield Query.term_query(schema, f"{field}_exact", word.exact), worth.EXACT
    yield Query.term_query(schema, folded, word.folded), worth.FOLDED
    spellings = [word.folded, *word.variants, *word.joined]
    yield (
        _any([Query.term_query(schema, name, form) for form in spellings for name in (other, folded)]),
        worth.OTHER,
    )
    if word.parts:
        pieces = [_any(_terms(schema, [field], [part])) for part in word.parts]
        yield Query.boolean_query([(Occur.Must, piece) for piece in pieces]), worth.OTHER


def _begun(schema: Schema, word: QueryWord, fields: Sequence[str]) -> Iterable[tuple[Query, float]]:
    """Words that begin like this one: in the title, and for less anywhere."""
    everywhere = worth.PREFIX * worth.FIELD_SHARE["extra"]
    if len(word.folded) <= LONGEST_BEGINNING:
        yield Query.term_query(schema, "title_begun", word.folded), worth.PREFIX
        if fields == FIELDS:
            yield Query.term_query(schema, "any_begun", word.folded), everywhere
        return
    yield _near(schema, "title_folded", word.folded, 0, begun=True), worth.PREFIX
    anywhere = "any" if fields == FIELDS else "title_other"
    yield _near(schema, anywhere, word.folded, 0, begun=True), everywhere


def _misspelt(
    schema: Schema, word: QueryWord, fields: Sequence[str], edits: int
) -> Iterable[tuple[Query, float]]:
    for field in fields[:2]:
        share = worth.FIELD_SHARE[field]
        yield _near(schema, f"{field}_folded", word.folded, 1), worth.ONE_TYPO * share
        if edits > 1:
            yield _near(schema, f"{field}_folded", word.folded, edits), worth.TWO_TYPOS * share
    if word.begun:
        yield _near(schema, f"{fields[0]}_folded", word.folded, edits, begun=True), worth.TYPO_PREFIX
    if fields == FIELDS:
        least = worth.FIELD_SHARE["extra"]
        yield _near(schema, "any", word.folded, edits), worth.TWO_TYPOS * least
        if word.begun:
            yield _near(schema, "any", word.folded, edits, begun=True), worth.TYPO_PREFIX * least


def _near(schema: Schema, field: str, term: str, edits: int, *, begun: bool = False) -> Query:
    return Query.fuzzy_term_query(schema, field, term, edits, True, begun)  # noqa: FBT003


def _whole_name(schema: Schema, query: TypedQuery) -> list[Query]:
    size = len(query.words)
    keys = [Query.term_query(schema, "key", key) for key in query.keys]
    clauses = [_worth(_any(keys), worth.WHOLE_NAME * size)] if keys else []
    if size > 1:
        phrase = [word.folded for word in query.words]
        clauses.append(
            _worth(Query.phrase_query(schema, "title_folded", list(phrase)), worth.IN_ORDER * size)
        )
    return clauses


def _terms(schema: Schema, fields: Sequence[str], forms: Sequence[str]) -> list[Query]:
    names = [f"{field}_{spelling}" for field in fields for spelling in ("folded", "other")]
    return [Query.term_query(schema, name, form) for form in forms for name in names]


def _any(queries: Sequence[Query]) -> Query:
    return (
        queries[0] if len(queries) == 1 else Query.boolean_query([(Occur.Should, query) for query in queries])
    )


def _worth(query: Query, score: float) -> Query:
    return Query.const_score_query(query, score)
