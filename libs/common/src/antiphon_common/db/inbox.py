"""The inbox: remembers which events a consumer has handled, in the transaction of their effect."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Table, delete
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.typing import FilteringBoundLogger

from antiphon_common.clock import Clock
from antiphon_common.db.database import Database, insert_for
from antiphon_common.lifecycle import Loop

KEPT = timedelta(days=7)
_PRUNE_SECONDS = 3600.0


async def first_time(
    session: AsyncSession, table: Table, consumer: str, event_ids: Sequence[UUID], clock: Clock
) -> set[UUID]:
    """Note events as handled, by one statement; those that were not yet."""
    now = clock.now()
    # In one order, so that two instances with the same messages wait for each other and never in a circle.
    rows = [{"consumer": consumer, "event_id": key, "handled_at": now} for key in sorted(set(event_ids))]
    noted = insert_for(session, table).on_conflict_do_nothing().returning(table.c.event_id)
    return set((await session.execute(noted, rows)).scalars())


def pruning(database: Database, table: Table, *, clock: Clock, log: FilteringBoundLogger) -> Loop:
    """Forgets, every hour, what was handled more than seven days ago."""

    async def prune() -> None:
        async with database.write() as session:
            await session.execute(delete(table).where(table.c.handled_at < clock.now() - KEPT))

    return Loop("inbox-pruning", prune, interval=_PRUNE_SECONDS, log=log)
