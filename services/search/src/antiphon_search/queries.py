"""Questions to the index, answered with what the documents say.

The index only names ids. What is shown, and whether the caller may see it, is read from the documents, which
know of a withdrawal before the index does.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import select

from antiphon_common.db import Database
from antiphon_common.errors import FieldError, Invalid, Unavailable
from antiphon_common.pages import Key, decode_cursor, encode_cursor
from antiphon_contracts.event import Event
from antiphon_search.domain import (
    KINDS,
    Filters,
    Hit,
    Kind,
    Query,
    SearchRequest,
    did_you_mean,
    fold,
    highlights,
    read_query,
)
from antiphon_search.ports import Deps
from antiphon_search.tables import DocumentRow

Shown = dict[str, Any]

DEEPEST = 1000
"""Hits that pages reach; who has not found it by then asks better."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, by whom."""

    typed: str
    filters: Filters
    limit: int


async def search(deps: Deps, question: Question, kinds: Sequence[Kind]) -> Shown:
    """The best hits of each kind, the best of all, and what was meant. Raises `Unavailable`."""
    query = read_query(question.typed)
    request = SearchRequest(query, tuple(kinds), question.filters, question.limit)
    found = await deps.guard.ask(partial(deps.index.search, request))
    _refuse_to_find_nothing_by_mistake(deps, total=sum(group.total for group in found.groups.values()))
    best_first = found.best_first()
    documents = await _documents(deps.database, [hit.id for hit in best_first], question.filters.viewer)
    answer: Shown = {f"{kind}s": {"items": [], "total": 0} for kind in KINDS}
    for kind, group in found.groups.items():
        items = _shown(query, group.hits, documents)
        answer[f"{kind}s"] = {"items": items, "total": group.total - (len(group.hits) - len(items))}
    top = _shown(query, best_first, documents)[:1]
    return {
        **answer,
        "top": top[0] if top else None,
        "did_you_mean": _meant(query, top, documents),
        "degraded": deps.completeness() != "whole",
    }


async def search_kind(deps: Deps, question: Question, kind: Kind, cursor: str | None) -> Shown:
    """One page of one kind. Raises `Unavailable`, and `Invalid` for a cursor of another question."""
    scope = f"search {kind} {question.typed!r} {question.filters!r}"
    offset = _offset(decode_cursor(scope, cursor, int)) if cursor else 0
    limit = min(question.limit, DEEPEST - offset)
    query = read_query(question.typed)
    request = SearchRequest(query, (kind,), question.filters, limit, offset)
    found = await deps.guard.ask(partial(deps.index.search, request))
    group = found.groups[kind]
    _refuse_to_find_nothing_by_mistake(deps, total=group.total)
    documents = await _documents(deps.database, [hit.id for hit in group.hits], question.filters.viewer)
    items = _shown(query, group.hits, documents)
    after = offset + len(group.hits)
    more = len(group.hits) == limit and after < min(group.total, DEEPEST)
    return {
        "items": items,
        "total": group.total - (len(group.hits) - len(items)),
        "next_cursor": encode_cursor(scope, (after,)) if more else None,
        "did_you_mean": _meant(query, items, documents) if not offset else None,
        "degraded": deps.completeness() != "whole",
    }


async def suggest(deps: Deps, question: Question) -> Shown:
    """Names that begin like what was typed, none of them twice. Raises `Unavailable`."""
    query = read_query(question.typed)
    # Some hits share a name (a title track and its album), so more are asked for than are shown.
    asked = partial(deps.index.suggest, query, question.filters, limit=4 * question.limit)
    hits = await deps.guard.ask(asked)
    documents = await _documents(deps.database, [hit.id for hit in hits], question.filters.viewer)
    items: dict[str, Shown] = {}
    for hit in hits:
        row = documents.get(hit.id)
        if row is None:
            continue
        name = row["title"]
        spans = [{"field": "text", "start": s.start, "end": s.end} for s in highlights(query, name)]
        item = {"text": name, "kind": row["kind"], "id": row["id"], "highlights": spans}
        items.setdefault(fold(name) or name, item)
    _refuse_to_find_nothing_by_mistake(deps, total=len(items))
    return {"items": list(items.values())[: question.limit], "degraded": deps.completeness() != "whole"}


async def current_events(_: Database) -> AsyncIterator[Event]:
    """Search publishes nothing, so there is nothing to publish again."""
    nothing: tuple[Event, ...] = ()
    for event in nothing:
        yield event


def _refuse_to_find_nothing_by_mistake(deps: Deps, *, total: int) -> None:
    """An index that may lack anything must not say that there is nothing."""
    if total == 0 and deps.completeness() == "partial":
        raise Unavailable("index_behind", "The search index is being made.", retry_after=1)


def _offset(values: tuple[Key, ...]) -> int:
    offset = values[0]
    if isinstance(offset, int) and not isinstance(offset, bool) and 0 < offset < DEEPEST:
        return offset
    field = FieldError("query.cursor", "invalid_cursor", "This cursor was not made by this list.")
    raise Invalid("invalid_cursor", "The cursor is not valid.", errors=[field])


async def _documents(
    database: Database, ids: Sequence[UUID], viewer: UUID | None
) -> dict[UUID, Mapping[str, Any]]:
    if not ids:
        return {}
    row = DocumentRow
    visible = row.public if viewer is None else (row.public | (row.owner_id == viewer))
    columns = (row.id, row.kind, row.title, row.artists, row.extra, row.shown)
    query = select(*columns).where(row.id.in_(ids), ~row.deleted, visible)
    async with database.read() as connection:
        found = (await connection.execute(query)).mappings().all()
    return {one["id"]: dict(one) for one in found}


def _shown(query: Query, hits: Sequence[Hit], documents: Mapping[UUID, Mapping[str, Any]]) -> list[Shown]:
    rows = [documents[hit.id] for hit in hits if hit.id in documents]
    return [
        {"kind": row["kind"], "id": row["id"], **row["shown"], "highlights": _marks(query, row)}
        for row in rows
    ]


def _marks(query: Query, row: Mapping[str, Any]) -> list[Shown]:
    name = "name" if row["kind"] == "artist" else "title"
    texts = [(name, row["title"])]
    texts += [(f"artists.{place}.name", artist) for place, artist in enumerate(row["artists"])]
    if row["extra"]:
        texts.append(("description" if row["kind"] == "playlist" else "album.title", row["extra"]))
    return [
        {"field": field, "start": span.start, "end": span.end}
        for field, text in texts
        for span in highlights(query, text)
    ]


def _meant(query: Query, best: Sequence[Shown], documents: Mapping[UUID, Mapping[str, Any]]) -> str | None:
    if not best:
        return None
    row = documents[best[0]["id"]]
    return did_you_mean(query, [row["title"], *row["artists"], row["extra"]])
