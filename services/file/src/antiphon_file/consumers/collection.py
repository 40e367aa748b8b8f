"""Rubbish: objects whose rows are gone, and rows whose makers died.

The sweeper deletes what transactions have doomed, within moments. The collector compares the whole store
with the rows at every start and every hour, for what no transaction could foresee. Neither needs to guess by
age: a row is always committed before its first object, so an object that was listed and has no row now will
never have one.
"""

from typing import Final, Literal
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from antiphon_common.blobs import BlobStore
from antiphon_common.clock import Clock
from antiphon_common.db import Database
from antiphon_common.lifecycle import Loop
from antiphon_file import queries, usecases
from antiphon_file.domain import owner_of_key
from antiphon_file.ports import OpenUnit

_BATCH: Final = 500
_PREFIXES: Final[tuple[Literal["audio", "images"], ...]] = ("audio", "images")
_SWEEP_SECONDS: Final = 5.0


class Sweeper:
    """Deletes doomed objects and gives up what was abandoned."""

    def __init__(
        self, database: Database, blobs: BlobStore, clock: Clock, *, log: FilteringBoundLogger
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._open_unit: OpenUnit | None = None
        self._loop = Loop("sweeper", self.sweep, interval=_SWEEP_SECONDS, log=log)

    def work_with(self, open_unit: OpenUnit) -> None:
        """Say how to open a unit; units wake the sweeper, so they are made after it."""
        self._open_unit = open_unit

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    def wake(self) -> None:
        """Something was doomed and committed."""
        self._loop.wake()

    async def sweep(self) -> None:
        """One round, until nothing is left to do."""
        if self._open_unit is None:
            return
        if await queries.has_abandoned(self._database, self._clock.now()):
            await _forget_abandoned(self._open_unit, self._clock)
        while keys := await queries.doomed_keys(self._database, _BATCH):
            for key in keys:
                await self._blobs.delete(key)
            async with self._open_unit() as unit:
                await unit.spare(*keys)


class Collector:
    """Compares the store with the rows."""

    def __init__(
        self, database: Database, blobs: BlobStore, clock: Clock, open_unit: OpenUnit, *, seconds: float,
        log: FilteringBoundLogger,
    ) -> None:  # fmt: skip
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._open_unit = open_unit
        self._log = log
        self._loop = Loop("collector", self.collect, interval=seconds, log=log)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def collect(self) -> int:
        """One comparison; how many objects were deleted."""
        await _forget_abandoned(self._open_unit, self._clock)
        deleted = 0
        for prefix in _PREFIXES:
            batch: dict[str, UUID] = {}
            async for info in self._blobs.list(f"{prefix}/"):
                owner = owner_of_key(info.key)
                if owner is not None:
                    batch[info.key] = owner[1]
                if len(batch) == _BATCH:
                    deleted += await self._delete_orphans(prefix, batch)
                    batch = {}
            deleted += await self._delete_orphans(prefix, batch)
        if deleted:
            self._log.info("orphans_deleted", objects=deleted)
        return deleted

    async def _delete_orphans(self, kind: Literal["audio", "images"], batch: dict[str, UUID]) -> int:
        known = await queries.existing(self._database, kind, set(batch.values()))
        orphans = [key for key, owner in batch.items() if owner not in known]
        for key in orphans:
            await self._blobs.delete(key)
        return len(orphans)


async def _forget_abandoned(open_unit: OpenUnit, clock: Clock) -> None:
    forgotten = 1
    while forgotten:
        async with open_unit() as unit:
            forgotten = await usecases.forget_abandoned(unit, clock.now())
