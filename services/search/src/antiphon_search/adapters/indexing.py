"""Carries changes from the documents to the index: crash-safe, in batches, within a second.

A batch is read, given to the index under the next stamp, and marked as done only after the index has it on
disk. A crash before that mark gives the index the same batch again, which changes nothing. The two stamps
tell at the start whether index and documents belong together; if not, the index is made anew.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from structlog.typing import FilteringBoundLogger

from antiphon_common.lifecycle import Loop
from antiphon_search.ports import Completeness, SearchIndex, Unit

BATCH = 500
_SWEEP_SECONDS = 2.0
_PAUSE_SECONDS = 0.25
_BEHIND_SECONDS = 5.0


class Indexer:
    """The only writer of the index."""

    def __init__(
        self,
        index: SearchIndex,
        open_unit: Callable[[], AbstractAsyncContextManager[Unit]],
        *,
        log: FilteringBoundLogger,
    ) -> None:
        self._index = index
        self._open_unit = open_unit
        self._log = log
        self._loop = Loop("search-indexer", self.step, interval=_SWEEP_SECONDS, log=log)
        self._checked = False
        self._anew = False
        self._behind_since: float | None = None
        self._applied_at = float("-inf")

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    def wake(self) -> None:
        """Say that documents have changed."""
        self._loop.wake()

    def completeness(self) -> Completeness:
        """`behind` when changes wait for five seconds; `partial` at first, after a failure, and anew."""
        if not self._checked or self._anew:
            return "partial"
        since = self._behind_since
        behind = since is not None and time.monotonic() - since > _BEHIND_SECONDS
        return "behind" if behind else "whole"

    async def step(self) -> None:
        """Bring the index up to date. Raises when index or database fail; then all of it is tried again."""
        try:
            if not self._checked:
                await self._check()
            while await self._apply_batch():
                self._behind_since = self._behind_since or time.monotonic()
        except Exception:
            # Whatever failed may have left the index at another stamp than we believe.
            self._checked = False
            raise
        self._behind_since = None
        self._anew = False

    async def _check(self) -> None:
        async with self._open_unit() as unit:
            ours = await unit.backlog.stamp()
        theirs = await self._index.stamp()
        # One ahead is a crash between the index and the mark: the batch is still in the backlog.
        if theirs is None and ours == 0 and await self._index.count() == 0:
            self._checked = True
            return
        if theirs not in (ours, ours + 1):
            self._log.warning("index_made_anew", index_stamp=theirs, database_stamp=ours)
            self._anew = True
            await self._index.wipe()
            async with self._open_unit() as unit:
                await unit.backlog.begin_anew()
        self._checked = True

    async def _apply_batch(self) -> bool:
        await self._let_changes_gather()
        async with self._open_unit() as unit:
            changes = await unit.backlog.next_changes(BATCH)
            stamp = await unit.backlog.stamp() + 1 if changes else 0
        if not changes:
            return False
        puts = [change.document for change in changes if change.document]
        deletes = [change.id for change in changes if not change.document]
        await self._index.apply(puts, deletes, stamp=stamp)
        self._applied_at = time.monotonic()
        async with self._open_unit() as unit:
            await unit.backlog.done(changes, stamp=stamp)
        return True

    async def _let_changes_gather(self) -> None:
        """A first change after a pause is indexed at once, those that follow it together."""
        pause = self._applied_at + _PAUSE_SECONDS - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
