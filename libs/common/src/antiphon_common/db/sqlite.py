"""SQLite: write-ahead logging, foreign keys, and writers that queue instead of failing.

**Failure policy.** What was acknowledged is on disk (full synchronisation). A writer waits 4 s for another
one, then it is `Unavailable`, as are a full disk and a file that cannot be opened.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

_READERS = 2
_PRAGMAS = ("busy_timeout=4000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


def engines(url: str) -> tuple[AsyncEngine, AsyncEngine, AsyncEngine]:
    """For reading, for reading one moment (the same here), for writing: `BEGIN IMMEDIATE`, one connection."""
    reader = _engine(url, size=_READERS, begin="BEGIN", pragmas=("query_only=ON",))
    return reader, reader, _engine(url, size=1, begin="BEGIN IMMEDIATE")


async def prepare(url: str) -> None:
    """Make a file that logs ahead, before there are two connections.

    Two that change the journal mode at once do not wait for each other: one of them fails.
    """
    database = make_url(url).database
    if database:
        await asyncio.to_thread(_log_ahead, Path(database))


def is_away(error: BaseException) -> bool:
    """Whether SQLite says "not now"."""
    return isinstance(error, (OperationalError, InterfaceError, PoolTimeout)) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def refusal(error: BaseException, url: str) -> None:
    """A file refuses nobody."""


def _log_ahead(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _engine(url: str, *, size: int, begin: str, pragmas: Sequence[str] = ()) -> AsyncEngine:
    # Parameters are hidden because errors are logged, and parameters are what people wrote.
    engine = create_async_engine(
        url, poolclass=AsyncAdaptedQueuePool, pool_size=size, max_overflow=0, pool_timeout=6,
        hide_parameters=True,
    )  # fmt: skip

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _: object) -> None:
        # The driver must not begin transactions by itself: "begin" below does.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (*_PRAGMAS, *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
