"""The inbox: remembers which events a consumer has handled, in the transaction of their effect."""

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
    session: AsyncSession, table: Table, consumer: str, event_id: UUID, clock: Clock
) -> bool:
    """Note the event as handled; false when it already was."""
    row = insert_for(session, table).values(consumer=consumer, event_id=event_id, handled_at=clock.now())
    noted = await session.execute(row.on_conflict_do_nothing().returning(table.c.event_id))
    return noted.first() is not None


def pruning(database: Database, table: Table, *, clock: Clock, log: FilteringBoundLogger) -> Loop:
    """Forgets, every hour, what was handled more than seven days ago."""

    async def prune() -> None:
        async with database.write() as session:
            await session.execute(delete(table).where(table.c.handled_at < clock.now() - KEPT))

    return Loop("inbox-pruning", prune, interval=_PRUNE_SECONDS, log=log)
