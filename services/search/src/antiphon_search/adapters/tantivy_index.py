"""`tantivy:///directory` — the index inside this process.

Failure policy: a directory that is missing, of another format or not readable is an empty index without a
stamp, which the indexer fills again; an engine that fails while it runs is `Unavailable`, and the next write
opens it anew. All work runs in threads of this adapter, which the engine leaves the interpreter free to do.
"""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit
from uuid import UUID

from tantivy import Document as Row
from tantivy import Index, IndexWriter, Query, Schema, SchemaBuilder

from antiphon_common.errors import Unavailable
from antiphon_search.adapters import tantivy_queries as queries
from antiphon_search.domain import (
    KINDS,
    Document,
    Filters,
    Found,
    Group,
    Hit,
    Kind,
    SearchRequest,
    terms_of,
)
from antiphon_search.domain import Query as TypedQuery
from antiphon_search.ports import Change

T = TypeVar("T")

_FORMAT = "v2"
_STAMP_ID = "stamp"
# The smallest the engine accepts: a batch is at most 500 documents.
_HEAP_BYTES = 15_000_000
_READERS = 2
_AT_ONCE = 1000


class TantivyIndex:
    """The index in one directory; nobody else may write to it meanwhile."""

    def __init__(self, url: str, _deadline: float) -> None:
        root = Path(unquote(urlsplit(url).path))
        self._root = root
        self._directory = root / _FORMAT
        self._index: Index | None = None
        self._writer: IndexWriter | None = None
        self._schema = _schema()
        self._readers = ThreadPoolExecutor(_READERS, "search-index")
        self._writing = ThreadPoolExecutor(1, "search-index-writer")

    async def start(self) -> None:
        await self._write(self._open)

    async def stop(self) -> None:
        await self._write(self._close)
        self._readers.shutdown(wait=False)
        self._writing.shutdown(wait=False)

    async def ping(self) -> None:
        await self.count()

    async def stamp(self) -> int | None:
        return await self._write(self._stamp)

    async def apply(self, changes: Sequence[Change], *, stamp: int, more: bool = False) -> Mapping[UUID, str]:  # noqa: ARG002
        # A commit is a matter of milliseconds here: there is nothing to save when `more` follows.
        return await self._write(self._apply, changes, stamp)

    async def wipe(self, *, stamp: int) -> None:
        await self._write(self._wipe, stamp)

    async def search(self, request: SearchRequest) -> Found:
        return await self._read(self._search, request)

    async def suggest(self, query: TypedQuery, filters: Filters, *, limit: int) -> tuple[Hit, ...]:
        return await self._read(self._suggest, query, filters, limit)

    async def count(self, kind: Kind | None = None) -> int:
        return await self._read(self._count, kind)

    async def _read(self, work: Callable[..., T], *arguments: object) -> T:
        return await _in_thread(self._readers, work, *arguments)

    async def _write(self, work: Callable[..., T], *arguments: object) -> T:
        return await _in_thread(self._writing, work, *arguments)

    def _open(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        for other in self._root.iterdir():
            if other.is_dir() and other.name != _FORMAT:
                shutil.rmtree(other, ignore_errors=True)
        try:
            self._index = self._opened()
            self._index.searcher().search(Query.all_query(), limit=1)
        except (ValueError, OSError):
            self._empty()

    def _opened(self) -> Index:
        index = Index(self._schema, path=str(self._directory), reuse=True)
        # We reload after our own commits; watching the directory would cost a thread that polls.
        index.config_reader("manual", 0)
        index.reload()
        return index

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.wait_merging_threads()
        self._writer = None
        self._index = None

    def _wipe(self, stamp: int) -> None:
        self._empty()
        self._apply([], stamp)

    def _empty(self) -> None:
        self._writer = None
        self._index = None
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._index = self._opened()

    def _apply(self, changes: Sequence[Change], stamp: int) -> Mapping[UUID, str]:
        rows, refused = self._rows(changes)
        try:
            index = self._index or self._opened()
            writer = self._writer or index.writer(_HEAP_BYTES, 1)
            self._index, self._writer = index, writer
            for change in changes:
                writer.delete_documents_by_term("id", change.id.hex)
            for row in rows:
                writer.add_document(row)
            writer.delete_documents_by_term("id", _STAMP_ID)
            writer.add_document(Row.from_dict({"id": _STAMP_ID, "stamp": stamp}, self._schema))
            writer.commit()
            index.reload()
        except BaseException:
            # The writer may hold half a batch: it is dropped with it, and the next batch opens another.
            self._writer = None
            self._index = None
            raise
        return refused

    def _rows(self, changes: Sequence[Change]) -> tuple[list[Row], dict[UUID, str]]:
        rows: list[Row] = []
        refused: dict[UUID, str] = {}
        for change in changes:
            try:
                if change.document:
                    rows.append(Row.from_dict(_row(change.document), self._schema))
            except (ValueError, OverflowError) as error:
                refused[change.id] = str(error)
        return rows, refused

    def _stamp(self) -> int | None:
        # Every step begins here, so here is opened what a failure has closed.
        self._index = self._index or self._opened()
        searcher = self._index.searcher()
        hits = searcher.search(Query.term_query(self._schema, "id", _STAMP_ID), limit=1).hits
        return int(searcher.doc(hits[0][1])["stamp"][0]) if hits else None

    def _count(self, kind: Kind | None) -> int:
        searcher = self._ready().searcher()
        chosen = (
            Query.term_query(self._schema, "kind", KINDS.index(kind))
            if kind
            else Query.exists_query("weight")
        )
        return queries.total_of(searcher.search(chosen, limit=1, count=True))

    def _search(self, request: SearchRequest) -> Found:
        searcher = self._ready().searcher()
        for mode in request.query.modes():
            words = queries.words_query(self._schema, request.query, mode)
            groups = self._groups(searcher, words, request)
            if any(group.total for group in groups.values()):
                return Found(groups, mode)
        return Found({kind: Group((), 0) for kind in request.kinds}, "strict")

    def _groups(self, searcher: queries.Searching, words: Query, request: SearchRequest) -> dict[Kind, Group]:
        """The hits by kind: out of one search if it shows all there are, else by one search a kind."""
        if len(request.kinds) > 1:
            limited = queries.filtered(self._schema, words, request.filters, kinds=request.kinds)
            result = searcher.search(limited, limit=_AT_ONCE, count=True, weight_by_field="weight")
            if queries.total_of(result) <= _AT_ONCE:
                return queries.grouped(searcher, result.hits, request)
        return {kind: self._group(searcher, words, kind, request) for kind in request.kinds}

    def _group(self, searcher: queries.Searching, words: Query, kind: Kind, request: SearchRequest) -> Group:
        limited = queries.filtered(self._schema, words, request.filters, kinds=(kind,))
        result = searcher.search(
            limited, limit=request.limit, offset=request.offset, count=True, weight_by_field="weight"
        )
        return Group(queries.hits_of(searcher, result.hits), queries.total_of(result))

    def _suggest(self, query: TypedQuery, filters: Filters, limit: int) -> tuple[Hit, ...]:
        searcher = self._ready().searcher()
        for mode in query.modes():
            if mode == "loose":
                break
            words = queries.words_query(self._schema, query, mode, fields=("title",))
            limited = queries.filtered(self._schema, words, filters)
            result = searcher.search(limited, limit=limit, count=False, weight_by_field="weight")
            if result.hits:
                return queries.hits_of(searcher, result.hits)
        return ()

    def _ready(self) -> Index:
        if self._index is None:
            raise Unavailable("index_unavailable", "The search index is not open.")
        return self._index


async def _in_thread(pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: object) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)
    except (ValueError, OSError, RuntimeError) as error:
        raise Unavailable("index_unavailable", "The search index does not answer.") from error


def _schema() -> Schema:
    builder = SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("kind", stored=True, indexed=True, fast=True)
    builder.add_text_field("owner", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("genre", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("key", tokenizer_name="raw", index_option="basic")
    builder.add_boolean_field("public", indexed=True)
    builder.add_integer_field("year", indexed=True, fast=True)
    builder.add_float_field("weight", fast=True)
    builder.add_integer_field("stamp", stored=True)
    for name in queries.FIELDS:
        for spelling in queries.SPELLINGS:
            positions = "position" if (name, spelling) == ("title", "folded") else "basic"
            builder.add_text_field(f"{name}_{spelling}", tokenizer_name="whitespace", index_option=positions)
    for name in ("any", "any_begun", "title_begun"):
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="basic")
    return builder.build()


def _row(document: Document) -> dict[str, object]:
    terms = terms_of(document)
    row: dict[str, object] = {
        "id": document.id.hex,
        "kind": KINDS.index(document.kind),
        "owner": document.owner_id.hex,
        "genre": list(terms.genres),
        "key": list(terms.keys),
        "public": document.public,
        # The engine multiplies with log2(2 + value).
        "weight": 2**terms.weight - 2,
    }
    if document.year is not None:
        row["year"] = document.year
    fields = {name: getattr(terms, name) for name in queries.FIELDS}
    for name, field in fields.items():
        for spelling in queries.SPELLINGS:
            row[f"{name}_{spelling}"] = " ".join(getattr(field, spelling))
    everything = {term for field in fields.values() for term in (*field.folded, *field.other)}
    row["any"] = " ".join(sorted(everything))
    row["any_begun"] = queries.beginnings(everything)
    row["title_begun"] = queries.beginnings({*terms.title.folded, *terms.title.other})
    return row
