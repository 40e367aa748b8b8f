"""Builds Elasticsearch's query objects from our own query: no text of a user is ever parsed by the engine.

Every clause has a constant score (see the worths in `domain.asking`), as with the embedded engine, so both
rank alike and a ranking can be explained by hand. A misspelt word costs the most, so its spellings are
looked up once (`spellings`), and the clauses of all fields name those.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from antiphon_search.adapters.elasticsearch_mapping import FIELDS
from antiphon_search.domain import KINDS, Filters, Group, Hit, Kind, Mode, genre_key
from antiphon_search.domain import Query as TypedQuery
from antiphon_search.domain import asking as worth
from antiphon_search.domain.asking import QueryWord
from antiphon_search.domain.matching import distance

Body = dict[str, Any]

_LOOSE_SHARE = 0.6
_LOOSE_FROM = 3
_MOST_SPELLINGS = 50
_ANY_FREQUENCY = 1_000_000_000  # otherwise what is written often is taken to be right
_ORDER = [{"_score": "desc"}, {"number": "asc"}]


@dataclass(frozen=True, slots=True)
class Near:
    """What the index has that is nearly a word: whole words with their distance, and beginnings."""

    whole: Mapping[str, int]
    begun: Sequence[str]


def spellings(query: TypedQuery, *, fields: Sequence[str] = FIELDS) -> Body | None:
    """A question for what is written nearly like the query's words; none when no typo is forgiven."""
    everywhere = fields == FIELDS
    asked: Body = {}
    for place, word in enumerate(query.words):
        if word.typos:
            asked[f"{place}"] = _near("any" if everywhere else "title_all", word)
        if word.typos and word.begun:
            asked[f"{place} begun"] = _near("any_begun" if everywhere else "title_begun", word)
    return {"suggest": asked, "size": 0} if asked else None


def near_of(answer: Mapping[str, Any], query: TypedQuery) -> Mapping[str, Near]:
    """The answer to `spellings`, by the word."""
    found = {
        name: [option["text"] for one in entries for option in one.get("options", ())]
        for name, entries in answer.get("suggest", {}).items()
    }
    near = {}
    for place, word in enumerate(query.words):
        whole = {text: distance(word.folded, text, limit=2) or 0 for text in found.get(f"{place}", ())}
        near[word.folded] = Near(whole, found.get(f"{place} begun", ()))
    return near


def words_query(
    query: TypedQuery, mode: Mode, *, near: Mapping[str, Near], fields: Sequence[str] = FIELDS
) -> Body | None:
    """All words of the query, read in this mode; none when the mode would find nothing that others do not."""
    clauses = [(word, _word(word, fields, near=None if mode == "strict" else near)) for word in query.words]
    demanded = [clause for word, clause in clauses if not word.optional]
    helping = [clause for word, clause in clauses if word.optional]
    if mode == "loose":
        if len(demanded) < _LOOSE_FROM:
            return None
        enough = math.ceil(_LOOSE_SHARE * len(demanded))
        demanded = [{"bool": {"should": demanded, "minimum_should_match": enough}}]
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
    best = {"top_hits": {"size": limit, "sort": _ORDER, "track_scores": True, "_source": False}}
    groups = {"terms": {"field": "kind", "size": len(KINDS)}, "aggs": {"best": best}}
    return {"query": query, "size": 0, "aggs": {"kinds": groups}, "track_total_hits": False}


def in_order(query: Body, *, limit: int, offset: int = 0) -> Body:
    """A search for the best of all that match."""
    return {
        "query": query, "size": limit, "from": offset, "sort": _ORDER, "track_scores": True,
        "track_total_hits": True, "_source": False, "docvalue_fields": ["kind"],
    }  # fmt: skip


def groups_of(answer: Mapping[str, Any], kinds: Sequence[Kind]) -> dict[Kind, Group]:
    """The groups of an answer to `by_kind`."""
    groups = dict.fromkeys(kinds, Group((), 0))
    for bucket in answer["aggregations"]["kinds"].get("buckets", ()):
        kind = bucket["key"]
        found = bucket["best"]["hits"]["hits"]
        hits = tuple(Hit(UUID(hex=one["_id"]), kind, one["_score"]) for one in found)
        groups[kind] = Group(hits, bucket["doc_count"])
    return groups


def hits_of(answer: Mapping[str, Any]) -> tuple[Hit, ...]:
    """The hits of an answer to `in_order`."""
    found = answer["hits"].get("hits", ())
    return tuple(Hit(UUID(hex=one["_id"]), one["fields"]["kind"][0], one["_score"]) for one in found)


def _word(word: QueryWord, fields: Sequence[str], *, near: Mapping[str, Near] | None) -> Body:
    clauses: list[Body] = []
    for field in fields:
        share = worth.FIELD_SHARE[field]
        clauses += [_worth(query, score * share) for query, score in _as_written(word, field)]
    if word.begun:
        clauses += _begun(word, fields)
    if near and word.folded in near:
        clauses += _misspelt(word, fields, near[word.folded])
    if near is not None and word.unspaced and len(word.parts) > 1:
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


def _misspelt(word: QueryWord, fields: Sequence[str], near: Near) -> Iterable[Body]:
    one_edit = [text for text, edits in near.whole.items() if edits < 2]
    for field in fields[:2]:
        share = worth.FIELD_SHARE[field]
        yield from _one_of(f"{field}_folded", one_edit, worth.ONE_TYPO * share)
        if word.typos > 1:
            yield from _one_of(f"{field}_folded", near.whole, worth.TWO_TYPOS * share)
    yield from _one_of("title_begun", near.begun, worth.TYPO_PREFIX)
    if fields == FIELDS:
        least = worth.FIELD_SHARE["extra"]
        yield from _one_of("any", near.whole, worth.TWO_TYPOS * least)
        yield from _one_of("any_begun", near.begun, worth.TYPO_PREFIX * least)


def _one_of(field: str, texts: Iterable[str], score: float) -> Iterable[Body]:
    if several := list(texts):
        yield _worth({"terms": {field: several}}, score)


def _beginning(field: str, word: QueryWord) -> Body:
    return {"term": {f"{field}_begun": word.folded}}


def _near(field: str, word: QueryWord) -> Body:
    # Two edits of which one changes the first letter are looked for in vain nearly always, and cost the most:
    # the engine would walk through all the terms it has.
    term = {
        "field": field, "max_edits": word.typos, "prefix_length": word.typos - 1, "size": _MOST_SPELLINGS,
        "suggest_mode": "always", "max_term_freq": _ANY_FREQUENCY,
    }  # fmt: skip
    return {"text": word.folded, "term": term}


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
