"""`elasticsearch://[user:password@]host:port/alias` — an index that several instances share.

Failure policy: a server that is down, frozen, read-only, full or of another major version, and an index of
another format, are `Unavailable` with the reason in one line; nothing is written then, and the same batch may
be written again. An index that was deleted has no stamp, which makes the indexer begin anew. Every document
has the version of its row, so that an older one never wins, whoever sends it and however late; what is gone
stays as an empty document with its version. A partial answer of the server counts as none. While an index
is built beside (`reindex`), every batch goes to both.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from elasticsearch import NotFoundError

from antiphon_common.errors import Unavailable
from antiphon_search.adapters import elasticsearch_queries as queries
from antiphon_search.adapters.elasticsearch_mapping import FORMAT, STAMP_ID
from antiphon_search.adapters.elasticsearch_server import Action, Server, Vanished
from antiphon_search.domain import KINDS, Filters, Found, Group, Hit, Kind, Query, SearchRequest, read_query
from antiphon_search.ports import Change

# The server gives up a search that nobody waits for any more, and never before: that would be a failure.
_DEADLINES = 2
# An engine that has just started takes longer for its first question than people wait, so it is not one of
# theirs, and is read in every mode.
_FIRST = SearchRequest(read_query("zzyzxquestion first asked"), KINDS, Filters(), limit=1)
# The server leaves out what is empty, but never these counts: a strange answer is not taken for an empty one.
_NEEDED = (
    "timed_out,aggregations.kinds.sum_other_doc_count,hits.total.value,hits.hits._id,hits.hits.sort,hits.hits.fields,"
    "aggregations.kinds.buckets.key,aggregations.kinds.buckets.doc_count,"
    "aggregations.kinds.buckets.best.hits.hits._id,aggregations.kinds.buckets.best.hits.hits.sort"
)


class ElasticsearchIndex:
    """`SearchIndex` on Elasticsearch 8."""

    def __init__(self, url: str, deadline: float) -> None:
        patience = _DEADLINES * deadline
        self.server = Server(url, patience)
        self._has_answered = False
        self._timeout = f"{patience * 1000:.0f}ms"

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    async def ping(self) -> None:
        if await self.server.current() is None:
            raise _missing()
        if not self._has_answered:
            await self.search(_FIRST)
            self._has_answered = True

    async def stamp(self) -> int | None:
        part = await self.server.current()
        if part is None:
            return None
        try:
            found = await self.server.call(lambda client: client.get(index=part.name, id=STAMP_ID))
        except NotFoundError:
            return None
        return int(found["_version"])

    async def apply(self, changes: Sequence[Change], *, stamp: int, more: bool = False) -> Mapping[UUID, str]:
        try:
            refused = await self._put(changes, stamp=stamp, more=more)
        except Vanished:
            # The index that was built beside took this one's place just now.
            refused = await self._put(changes, stamp=stamp, more=more)
        return {UUID(hex=which): why for which, why in refused.items()}

    async def _put(self, changes: Sequence[Change], *, stamp: int, more: bool) -> Mapping[str, str]:
        # Whoever builds an index beside this one reads the documents after it was made. So if it is not there
        # yet, all that is in this batch will be read; and if it is, the batch goes there as well.
        parts = await self.server.parts()
        if not any(self.server.alias in part.aliases for part in parts):
            raise _missing()
        building = any(self.server.next in part.aliases and part.format == FORMAT for part in parts)
        targets = (self.server.alias, self.server.next) if building else (self.server.alias,)
        return await self.server.put(changes, targets, stamp=stamp, refresh=not more)

    async def wipe(self, *, stamp: int) -> None:
        old = await self.server.parts()
        new = await self.server.create()
        await self.server.put_stamp(new.name, stamp)
        removed: list[Action] = [{"remove_index": {"index": part.name}} for part in old]
        added: Action = {"add": {"index": new.name, "alias": self.server.alias}}
        try:
            await self.server.move([added, *removed])
        except NotFoundError as error:
            raise _missing() from error

    async def search(self, request: SearchRequest) -> Found:
        for mode in request.query.modes():
            groups = await self._groups(queries.words_query(request.query, mode), request)
            if any(group.total for group in groups.values()):
                return Found(groups, mode)
        return Found({kind: Group((), 0) for kind in request.kinds}, "strict")

    async def suggest(self, query: Query, filters: Filters, *, limit: int) -> tuple[Hit, ...]:
        for mode in query.modes():
            if mode == "loose":
                break
            ranked = queries.ranked(queries.words_query(query, mode, fields=("title",)), filters, KINDS)
            hits = queries.hits_of(await self._ask(queries.in_order(ranked, limit=limit)))
            if hits:
                return hits
        return ()

    async def count(self, kind: Kind | None = None) -> int:
        chosen: dict[str, Any] = {"term": {"kind": kind}} if kind else {"exists": {"field": "kind"}}
        answer = await self._ask({"query": chosen, "size": 0, "track_total_hits": True})
        return int(answer["hits"]["total"]["value"])

    async def _groups(self, words: queries.Body, request: SearchRequest) -> dict[Kind, Group]:
        ranked = queries.ranked(words, request.filters, request.kinds)
        if len(request.kinds) > 1:
            return queries.groups_of(await self._ask(queries.by_kind(ranked, request.limit)), request.kinds)
        answer = await self._ask(queries.in_order(ranked, limit=request.limit, offset=request.offset))
        return {request.kinds[0]: Group(queries.hits_of(answer), answer["hits"]["total"]["value"])}

    async def _ask(self, body: queries.Body) -> Mapping[str, Any]:
        try:
            answer = await self.server.call(
                lambda client: client.search(
                    index=self.server.alias,
                    body={**body, "timeout": self._timeout},
                    allow_partial_search_results=False,
                    filter_path=_NEEDED,
                )
            )
        except NotFoundError as error:
            raise _missing() from error
        if answer["timed_out"]:
            raise Unavailable("index_unavailable", "Elasticsearch takes too long.", retry_after=1)
        return answer


def _missing() -> Unavailable:
    return Unavailable("index_missing", "The search index is missing and will be made anew.", retry_after=1)
