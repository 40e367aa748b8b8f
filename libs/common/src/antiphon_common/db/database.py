"""One service's database: reading, and writing as one transaction.

SQLite runs with write-ahead logging, foreign keys, full synchronisation (what was acknowledged is on disk)
and `BEGIN IMMEDIATE` for writers, so that two of them queue instead of failing. Whatever the vendor raises
when the database is away becomes `Unavailable`.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Table, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import AsyncAdaptedQueuePool

from antiphon_common.errors import Unavailable

_SQLITE_READERS = 2
_PRAGMAS = ("busy_timeout=4000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


class Database:
    """Opens connections to one database; nothing is connected before the first use."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._reader = _sqlite_engine(
                url, size=_SQLITE_READERS, begin="BEGIN", pragmas=("query_only=ON",)
            )
            self._writer = _sqlite_engine(url, size=1, begin="BEGIN IMMEDIATE")
        else:
            self._reader = self._writer = create_async_engine(
                url, pool_size=5, max_overflow=5, pool_timeout=2, pool_pre_ping=True, hide_parameters=True
            )

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for queries. Raises `Unavailable` when there is none to be had."""
        with _translated():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        with _translated():
            async with AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
                yield session

    async def ping(self) -> None:
        """Raise unless the database answers."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def start(self) -> None:
        """Make an SQLite file that logs ahead, before there are two connections.

        Two that change the journal mode at once do not wait for each other: one of them fails.
        """
        database = make_url(self.url).database
        if self.is_sqlite and database:
            await asyncio.to_thread(_log_ahead, Path(database))

    async def stop(self) -> None:
        await self._reader.dispose()
        if self._writer is not self._reader:
            await self._writer.dispose()


class _translated:  # noqa: N801 - reads like the function it is
    """Turns the vendor's way of saying "not now" into `Unavailable`; everything else passes."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, (OperationalError, InterfaceError, PoolTimeout, ConnectionError)) or (
            isinstance(error, DBAPIError) and error.connection_invalidated
        ):
            raise Unavailable(
                "database_unavailable", "The database does not answer.", retry_after=2
            ) from error


def _log_ahead(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _sqlite_engine(url: str, *, size: int, begin: str, pragmas: Sequence[str] = ()) -> AsyncEngine:
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


def insert_for(
    session: AsyncSession, table: Table | type[DeclarativeBase]
) -> "postgresql.Insert | sqlite.Insert":
    """An insert of the session's dialect, which can say what happens on a conflict."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def is_conflict(error: IntegrityError, *names: str) -> bool:
    """Whether a constraint or column with one of these names refused the write (both dialects name it)."""
    message = str(error.orig)
    return any(name in message for name in names)
