"""Waiting for each other: what a unit reads in order to change it, it locks first.

SQLite has one writer at a time and needs none of this. On Postgres two units run at once, each seeing what
was committed before each of its statements: without a lock both would read the same state and the later one
would undo the earlier one's change. Who locks several things locks them in one order, or they wait for each
other.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

Row = TypeVar("Row", bound=DeclarativeBase)


def has_one_writer(session: AsyncSession) -> bool:
    """Whether units wait for each other anyway."""
    return session.get_bind().dialect.name == "sqlite"


async def hold(session: AsyncSession, *name: object) -> None:
    """Wait until no other unit holds this name, and hold it until the unit ends.

    For what has no row, or none yet. Names are of one service: the schema is part of them.
    """
    await hold_all(session, [name])


async def hold_all(
    session: AsyncSession, names: Iterable[tuple[object, ...]], *, shared: bool = False
) -> None:
    """Hold several names, always in the same order; what is `shared` others may hold so, too."""
    digests = sorted({_digest(name) for name in names})
    if has_one_writer(session) or not digests:
        return
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    # The rows of an array come in its order.
    statement = f"SELECT {function}(hashtext(current_schema()), n) FROM unnest(CAST(:names AS int[])) AS n"  # noqa: S608 - no value is in it
    await session.execute(text(statement), {"names": digests})


def _digest(name: tuple[object, ...]) -> int:
    digest = hashlib.blake2b(" ".join(map(str, name)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big", signed=True)


async def get_locked(session: AsyncSession, kind: type[Row], key: Any) -> Row | None:
    """The row with this primary key, locked until the unit ends. When there is none, nobody else makes it
    now.
    """
    row = await session.get(kind, key, with_for_update=True)
    if row is None and not has_one_writer(session):
        await hold(session, kind.__tablename__, key)
        row = await session.get(kind, key, with_for_update=True)
    return row
