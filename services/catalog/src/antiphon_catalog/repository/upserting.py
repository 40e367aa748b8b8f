"""Insert, or change what is there: one statement on either database, so that two writers cannot collide."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.db import insert_for


async def upsert(
    session: AsyncSession,
    table: Table,
    values: Mapping[str, Any],
    *,
    changing: Mapping[str, Any] | None = None,
) -> None:
    """Insert the row; when its primary key is there, set `changing`, or else all other values."""
    keys = [column.name for column in table.primary_key]
    changed = changing or {name: value for name, value in values.items() if name not in keys}
    statement = insert_for(session, table).values(values)
    if changed:
        await session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))
    else:
        await session.execute(statement.on_conflict_do_nothing(index_elements=keys))


async def insert_unless_there(
    session: AsyncSession, table: Table, values: Mapping[str, Any], *, unique: list[str]
) -> bool:
    """Insert the row unless another has the same unique columns; whether it was inserted."""
    statement = insert_for(session, table).values(values).on_conflict_do_nothing(index_elements=unique)
    inserted = await session.execute(statement.returning(*table.primary_key))
    return inserted.first() is not None
