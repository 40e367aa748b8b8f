"""Builds Elasticsearch's query objects from our own query: no text of a user is ever parsed by the engine.

Every clause has a constant score (see the worths in `domain.asking`), as with the embedded engine, so both
rank alike and a ranking can be explained by hand.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from antiphon_search.adapters.elasticsearch_mapping import FIELDS
from antiphon_search.domain import EDITS, KINDS, Filters, Group, Hit, Kind, Mode, genre_key
from antiphon_search.domain import Query as TypedQuery
from antiphon_search.domain import asking as worth
from antiphon_search.domain.asking import QueryWord

Body = dict[str, Any]

_MOST_SPELLINGS = 50
# Scores are read from the sort values: for `track_scores` the engine would look for misspelt words twice.
_ORDER = [{"_score": "desc"}, {"number": "asc"}]


def words_query(query: TypedQuery, mode: Mode, *, fields: Sequence[str] = FIELDS) -> Body:
    """All words of the query, read in this mode."""
    clauses = [(word, _word(word, fields, edits=EDITS[mode])) for word in query.words]
    demanded = [clause for word, clause in clauses if not word.optional]
    helping = [clause for word, clause in clauses if word.optional]
    if mode == "loose":
        demanded = [{"bool": {"should": demanded, "minimum_should_match": query.enough}}]
    return {"must": demanded, "should": helping + _whole_name(query)}


def ranked(words: Body, filters: Filters, kinds: Sequence[Kind]) -> Body:
    """Only what the viewer may find, and what they asked to see of it; popularity decides among equals."""
    seen: list[Body] = [{"term": {"public": True}}]
    if filters.viewer is not None:
        seen.append({"term": {"owner": filters.viewer.hex}})
    limits: list[Body] = [_any(seen)]
    if len(kinds) < len(KINDS):
        limits.append({"terms": {"kind": list(kinds)}})
    if filters.genre is not None:
        limits.append({"term": {"genre": genre_key(filters.genre)}})
    if filters.year_from is not None or filters.year_to is not None:
        span = {"gte": filters.year_from, "lte": filters.year_to}
        limits.append({"range": {"year": {name: year for name, year in span.items() if year is not None}}})
    weight = {"field": "weight", "missing": 1}
    scored = {"bool": {**words, "filter": limits}}
    return {"function_score": {"query": scored, "field_value_factor": weight, "boost_mode": "multiply"}}


def by_kind(query: Body, limit: int) -> Body:
    """A search for the best of each kind and how many there are, found in one pass."""
    best = {"top_hits": {"size": limit, "sort": _ORDER, "_source": False}}
    groups = {"terms": {"field": "kind", "size": len(KINDS)}, "aggs": {"best": best}}
    return {"query": query, "size": 0, "aggs": {"kinds": groups}, "track_total_hits": False}


def in_order(query: Body, *, limit: int, offset: int = 0) -> Body:
    """A search for the best of all that match."""
    return {
        "query": query, "size": limit, "from": offset, "sort": _ORDER,
        "track_total_hits": True, "_source": False, "docvalue_fields": ["kind"],
    }  # fmt: skip


def groups_of(answer: Mapping[str, Any], kinds: Sequence[Kind]) -> dict[Kind, Group]:
    """The groups of an answer to `by_kind`."""
    groups = dict.fromkeys(kinds, Group((), 0))
    for bucket in answer["aggregations"]["kinds"].get("buckets", ()):
        kind = bucket["key"]
        found = bucket["best"]["hits"]["hits"]
        hits = tuple(Hit(UUID(hex=one["_id"]), kind, one["sort"][0]) for one in found)
        groups[kind] = Group(hits, bucket["doc_count"])
    return groups


def hits_of(answer: Mapping[str, Any]) -> tuple[Hit, ...]:
    """The hits of an answer to `in_order`."""
    found = answer["hits"].get("hits", ())
    return tuple(Hit(UUID(hex=one["_id"]), one["fields"]["kind"][0], one["sort"][0]) for one in found)


def _word(word: QueryWord, fields: Sequence[str], *, edits: int) -> Body:
    clauses: list[Body] = []
    for field in fields:
        share = worth.FIELD_SHARE[field]
        clauses += [_worth(query, score * share) for query, score in _as_written(word, field)]
    if word.begun:
        clauses += _begun(word, fields)
    if edits and word.typos:
        clauses += _misspelt(word, fields, min(edits, word.typos))
    if edits and word.unspaced and len(word.parts) > 1:
        enough = math.ceil(len(word.parts) / 2)
        pieces = [_any([{"term": {f"{field}_all": part}} for field in fields]) for part in word.parts]
        clauses.append(_worth({"bool": {"should": pieces, "minimum_should_match": enough}}, worth.TWO_TYPOS))
    return {"dis_max": {"queries": clauses}}


def _as_written(word: QueryWord, field: str) -> Iterable[tuple[Body, float]]:
    yield {"term": {f"{field}_exact": word.exact}}, worth.EXACT
    yield {"term": {f"{field}_folded": word.folded}}, worth.FOLDED
    yield {"terms": {f"{field}_all": [word.folded, *word.variants, *word.joined]}}, worth.OTHER
    if word.parts:
        yield (
            {"bool": {"filter": [{"term": {f"{field}_all": part}} for part in word.parts]}},
            worth.OTHER,
        )


def _begun(word: QueryWord, fields: Sequence[str]) -> Iterable[Body]:
    """Words that begin like this one: in the title, and for less anywhere."""
    yield _worth(_beginning("title", word), worth.PREFIX)
    if fields == FIELDS:
        yield _worth(_beginning("any", word), worth.PREFIX * worth.FIELD_SHARE["extra"])


def _misspelt(word: QueryWord, fields: Sequence[str], edits: int) -> Iterable[Body]:
    for field in fields[:2]:
        share = worth.FIELD_SHARE[field]
        yield _worth(_near(f"{field}_folded", word.folded, 1), worth.ONE_TYPO * share)
        if edits > 1:
            yield _worth(_near(f"{field}_folded", word.folded, edits), worth.TWO_TYPOS * share)
    if word.begun:
        yield _worth(_near("title_begun", word.folded, edits), worth.TYPO_PREFIX)
    if fields == FIELDS:
        least = worth.FIELD_SHARE["extra"]
        yield _worth(_near("any", word.folded, edits), worth.TWO_TYPOS * least)
        if word.begun:
            yield _worth(_near("any_begun", word.folded, edits), worth.TYPO_PREFIX * least)


def _beginning(field: str, word: QueryWord) -> Body:
    return {"term": {f"{field}_begun": word.folded}}


def _near(field: str, term: str, edits: int) -> Body:
    # Two edits of which one changes the first letter are looked for in vain nearly always, and cost the most:
    # the engine would walk through all the terms it has.
    kept = edits - 1
    fuzzy = {"value": term, "fuzziness": edits, "max_expansions": _MOST_SPELLINGS, "prefix_length": kept}
    return {"fuzzy": {field: fuzzy}}


def _whole_name(query: TypedQuery) -> list[Body]:
    size = len(query.words)
    clauses: list[Body] = []
    if query.keys:
        clauses.append(_worth({"terms": {"key": list(query.keys)}}, worth.WHOLE_NAME * size))
    if size > 1:
        phrase = " ".join(word.folded for word in query.words)
        clauses.append(_worth({"match_phrase": {"words": phrase}}, worth.IN_ORDER * size))
    return clauses


def _any(queries: Sequence[Body]) -> Body:
    return queries[0] if len(queries) == 1 else {"bool": {"should": list(queries)}}


def _worth(query: Body, score: float) -> Body:
    return {"constant_score": {"filter": query, "boost": score}}
