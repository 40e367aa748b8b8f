"""`python -m antiphon_search reindex`: the index built anew from our documents while people search and write.

A new index is made under the alias `…-next`; from then on every indexer writes each batch to both. All
documents are read in the order of ids and written to it with their versions, so that none can replace a newer
one that an indexer wrote meanwhile. What an indexer read before the new index was there, it read before this
walk does. So at the end both are equal, and one request moves the alias. The old index is removed after it.

Failure policy: killed at any moment, it leaves one whole index in use and perhaps another behind, which the
next run removes before it begins anew. Of two runs the later one goes on; the earlier one finds its index
gone and says so. A server that is away for a moment is tried again.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from uuid import UUID

from elasticsearch import NotFoundError

from antiphon_common.errors import Conflict, Unavailable
from antiphon_search.adapters.elasticsearch_mapping import FORMAT
from antiphon_search.adapters.elasticsearch_server import Action, Part, Server
from antiphon_search.ports import Change, SearchIndex, Unit

_PAGE = 500
_TRIES, _FIRST_PAUSE = 8, 0.5
_LONGEST_SEARCH = 2.0


class Reindexing:
    """One run. `report` is told of the progress in sentences."""

    def __init__(
        self,
        server: Server,
        open_unit: Callable[[], AbstractAsyncContextManager[Unit]],
        *,
        report: Callable[[str], None],
    ) -> None:
        self._server = server
        self._open_unit = open_unit
        self._report = report

    async def run(self) -> dict[str, object]:
        """Build, catch up, swap; what was done. Raises `Conflict` when another run took over."""
        new = await self._begin()
        self._report(f"building {new.name} beside the present index")
        walked, refused = await self._fill(new)
        # Only for speed: what fails of it the server makes good by and by.
        with suppress(Unavailable):
            await self._server.merge(new.name)
        await self._swap(new)
        self._report(f"{self._server.alias} is {new.name} now")
        return {"index": new.name, "documents": walked, "refused": sorted(refused)}

    async def _begin(self) -> Part:
        for part in await self._server.parts():
            if self._server.alias not in part.aliases:
                self._report(f"removing {part.name}, which is not in use")
                # Without the name its maker can no longer put it to use, and it can be removed.
                if self._server.next in part.aliases:
                    await self._server.move([self._named(part)])
                await self._server.move([_gone(part)])
        return await self._server.create(self._server.next)

    async def _fill(self, new: Part) -> tuple[int, set[str]]:
        walked, refused, after = 0, set[str](), None
        while page := await self._page(after):
            refused |= set(await self._put(page, new))
            walked, after = walked + len(page), page[-1].id
            if walked % (_PAGE * 10) == 0:
                self._report(f"{walked:,} documents")
        for which in sorted(refused):
            self._report(f"refused: {which}")
        return walked, refused

    async def _page(self, after: UUID | None) -> Sequence[Change]:
        async with self._open_unit() as unit:
            return await unit.backlog.walk(after, _PAGE)

    async def _put(self, page: Sequence[Change], new: Part) -> set[str]:
        """Write a page; a server that is away or full for some seconds does not end the run."""
        pause = _FIRST_PAUSE
        for last in [False] * (_TRIES - 1) + [True]:
            try:
                return set(await self._server.put(page, (self._server.next,), stamp=0, refresh=False))
            except Unavailable:
                if last or not await self._is_ours(new):
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10)
        raise AssertionError

    async def _is_ours(self, new: Part) -> bool:
        try:
            parts = await self._server.parts()
        except Unavailable:
            return True
        if any(part.name == new.name and self._server.next in part.aliases for part in parts):
            return True
        raise _taken_over(new)

    async def _swap(self, new: Part) -> None:
        await self._server.refresh(new.name)
        parts = await self._server.parts()
        old = [part for part in parts if self._server.alias in part.aliases]
        async with self._open_unit() as unit:
            stamp = await unit.backlog.locked_stamp()
        # An indexer that was slow since before the new index was made may still be one batch ahead of us.
        await self._server.put_stamp(new.name, stamp + 1)
        added: Action = {"add": {"index": new.name, "alias": self._server.alias}}
        try:
            await self._server.move([self._named(new), added, *(self._unnamed(part) for part in old)])
        except NotFoundError as error:
            raise _taken_over(new) from error
        if any(part.format != FORMAT for part in old):
            # Indexers of the old format could not write to the new index: whatever they missed is found by
            # the walk that fills an index, and what is there already is left alone.
            async with self._open_unit() as unit:
                stamp = await unit.backlog.locked_stamp() + 1
                await self._server.put_stamp(new.name, stamp)
                await unit.backlog.begin_anew(stamp=stamp)
        # Searches that began in the old index end there.
        await asyncio.sleep(_LONGEST_SEARCH)
        for part in old:
            await self._server.move([_gone(part)])

    def _unnamed(self, part: Part) -> Action:
        return {"remove": {"index": part.name, "alias": self._server.alias}}

    def _named(self, part: Part) -> Action:
        """Takes the name of the next index from this one, or fails with all that is asked with it."""
        return {"remove": {"index": part.name, "alias": self._server.next, "must_exist": True}}


async def reindex(
    index: SearchIndex,
    open_unit: Callable[[], AbstractAsyncContextManager[Unit]],
    *,
    report: Callable[[str], None],
) -> dict[str, object]:
    """Build the index anew. Raises `Conflict` for an engine that lives inside the service."""
    server = getattr(index, "server", None)
    if not isinstance(server, Server):
        raise Conflict(
            "index_not_shared",
            "This index is written by the running service alone, which makes it anew by itself: stop the "
            "service, remove the directory of SEARCH_INDEX_URL and start the service again.",
        )
    await index.start()
    try:
        return await Reindexing(server, open_unit, report=report).run()
    finally:
        await index.stop()


def _gone(part: Part) -> Action:
    return {"remove_index": {"index": part.name}}


def _taken_over(new: Part) -> Conflict:
    return Conflict("reindex_taken_over", f"{new.name} is gone: another reindex or a new index took over.")
