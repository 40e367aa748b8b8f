"""One unit at a time changes what an owner has.

A track, its album and its artists are recounted by each other, so units on them would lock them in many
orders and wait in circles. They all belong to one owner: holding the owner before anything is changed is one
lock for all, and what was read while it is held stays true.
"""

from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.db import has_one_writer, hold


class OwnerLock:
    """The owners that a unit holds until its end; a unit that handles several events may hold several."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._one_writer = has_one_writer(session)
        self._held: set[UUID] = set()

    async def hold(self, owner_id: UUID) -> bool:
        """Wait for this owner; whether it was not held before, so that what was read may have changed."""
        if self._one_writer or owner_id in self._held:
            return False
        await hold(self._session, "owner", owner_id)
        self._held.add(owner_id)
        return True

    async def one(self, table: Table, *chosen: ColumnElement[bool]) -> RowMapping | None:
        """The row, as it is while its owner is held."""
        query = select(table).where(*chosen)
        row = (await self._session.execute(query)).mappings().one_or_none()
        if row and await self.hold(row["owner_id"]):
            row = (await self._session.execute(query)).mappings().one_or_none()
        return row
