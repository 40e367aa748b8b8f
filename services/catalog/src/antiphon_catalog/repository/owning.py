"""One unit at a time changes what an owner has.

A track, its album and its artists are recounted by each other, so units on them would lock them in many
orders and wait in circles. They all belong to one owner: holding the owner before anything else is one lock
for all.
"""

from uuid import UUID

from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.db import has_one_writer, hold


class OwnerLock:
    """Held from the first thing that a unit looks at until its end."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._held = has_one_writer(session)

    async def hold(self, owner_id: UUID) -> None:
        """Wait for this owner."""
        if not self._held:
            await hold(self._session, "owner", owner_id)
            self._held = True

    async def hold_that_of(self, table: Table, *chosen: ColumnElement[bool]) -> None:
        """Wait for the owner of a row; of none when there is no such row."""
        if not self._held:
            query = select(table.c.owner_id).where(*chosen).limit(1)
            owner_id = (await self._session.execute(query)).scalar()
            if owner_id is not None:
                await self.hold(owner_id)
