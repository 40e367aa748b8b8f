"""Carries changes from the documents to the index: crash-safe, in batches, within a second.

A batch is read, given to the index under the next stamp, and marked as done only after the index has it on
disk. A crash before that mark gives the index the same batch again, which changes nothing. The two stamps
tell every time whether index and documents belong together; if not (it was deleted, or one of them comes from
a backup), the index is emptied and a walk through all documents fills it, continued where it was after a
crash. Several instances may do this at once: of two that did a batch only one is noted, and an engine that
they share decides by versions. An engine that is away, full or read-only is tried again until it is not.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from structlog.typing import FilteringBoundLogger

from antiphon_common.errors import Unavailable
from antiphon_common.lifecycle import Loop
from antiphon_common.telemetry import Telemetry
from antiphon_search.ports import Batch, Completeness, SearchIndex, Unit

BATCH = 500
_SWEEP_SECONDS = 2.0
_PAUSE_SECONDS = 0.25
_BEHIND_SECONDS = 5.0
_RETRY_SECONDS = 1.0
# A wiped index is two ahead until the documents know of it: one ahead is what a crash after a batch leaves.
_WIPED = 2


class Indexer:
    """The only writer of the index in this process."""

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
        self._loop = Loop("search-indexer", self._sweep, interval=_SWEEP_SECONDS, log=log)
        self._stopping = asyncio.Event()
        self._checked = False
        self._walking = False
        self._behind_since: float | None = None
        self._applied_at = float("-inf")
        self._trouble = ""
        # Until the first step is done, nobody knows that the index holds everything.
        self._waiting_since: float | None = time.monotonic()

    def measure(self, telemetry: Telemetry) -> None:
        """How far the index is behind its documents."""

        async def lag() -> dict[tuple[str, ...], float]:
            since = self._waiting_since
            return {(): 0.0 if since is None else time.monotonic() - since}

        async def whole() -> dict[tuple[str, ...], float]:
            return {(): float(self.completeness() == "whole")}

        metrics = telemetry.metrics
        metrics.probe("antiphon_index_lag_seconds", "Since when a change waits for the index", lag)
        metrics.probe("antiphon_index_whole", "Whether search finds all there is (1) or not (0)", whole)

    async def start(self) -> None:
        self._stopping.clear()
        await self._loop.start()

    async def stop(self) -> None:
        self._stopping.set()
        await self._loop.stop()

    def wake(self) -> None:
        """Say that documents have changed."""
        self._waiting_since = self._waiting_since or time.monotonic()
        self._loop.wake()

    def completeness(self) -> Completeness:
        """`behind` when changes wait for five seconds; `partial` at first, after a failure, and in a walk."""
        if not self._checked or self._walking:
            return "partial"
        since = self._behind_since
        behind = since is not None and time.monotonic() - since > _BEHIND_SECONDS
        return "behind" if behind else "whole"

    async def step(self) -> None:
        """Bring the index up to date. Raises when index or database fail; then all of it is tried again."""
        waiting_since = self._waiting_since
        try:
            while await self._apply_batch():
                self._behind_since = self._behind_since or time.monotonic()
        except Exception:
            # Whatever failed may have left the index at another stamp than we believe.
            self._checked = False
            raise
        self._behind_since = None
        if self._waiting_since == waiting_since:
            self._waiting_since = None

    async def _sweep(self) -> None:
        """A step. What keeps it from its work is said once, not every second while it lasts."""
        try:
            await self.step()
        except Unavailable as error:
            trouble = f"{error.code}: {error.detail}"
            if trouble != self._trouble:
                self._log.error("indexing_waits", code=error.code, detail=error.detail)
            self._trouble = trouble
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _RETRY_SECONDS)
            self._loop.wake()
        else:
            if self._trouble:
                self._log.info("indexing_continues")
            self._trouble = ""

    async def _apply_batch(self) -> bool:
        await self._let_changes_gather()
        async with self._open_unit() as unit:
            batch = await unit.backlog.next_batch(BATCH)
        if not _belong_together(batch.stamp, await self._index.stamp()):
            await self._begin_anew()
            return True
        self._checked, self._walking = True, batch.walking
        if not batch.walking and not batch.waiting:
            return False
        await self._apply(batch)
        self._applied_at = float("-inf") if batch.more else time.monotonic()
        return True

    async def _apply(self, batch: Batch) -> None:
        assert batch.stamp is not None
        refused = await self._index.apply(batch.changes, stamp=batch.stamp + 1, more=batch.more)
        for which, why in refused.items():
            self._log.error("document_refused", id=str(which), reason=why)
        async with self._open_unit() as unit:
            noted = await unit.backlog.done(batch, refused)
        if noted and batch.walked_to is None:
            self._walking = False

    async def _begin_anew(self) -> None:
        async with self._open_unit() as unit:
            ours = await unit.backlog.locked_stamp()
            theirs = await self._index.stamp()
            # Now that the stamp is locked: another instance may have begun anew, or have been ahead of us.
            if _belong_together(ours, theirs):
                return
            self._log.warning("index_made_anew", index_stamp=theirs, database_stamp=ours)
            self._walking = True
            await self._index.wipe(stamp=ours + _WIPED)
            await unit.backlog.begin_anew(stamp=ours + _WIPED)

    async def _let_changes_gather(self) -> None:
        """A first change after a pause is indexed at once, those that follow it together."""
        pause = self._applied_at + _PAUSE_SECONDS - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)


def _belong_together(ours: int | None, theirs: int | None) -> bool:
    """One ahead is a crash between the index and the mark: the batch is still in the backlog."""
    return ours is not None and theirs is not None and 0 <= theirs - ours <= 1
