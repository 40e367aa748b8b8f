"""One service's database: reading, and writing as one transaction.

The dialects are `sqlite.py` and `postgres.py`, each with its failure policy. Whatever the vendor raises when
the database is away becomes `Unavailable` here, and nothing is read or written before the database is seen to
have the schema that the service's code was written for.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from sqlalchemy import Table, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase

from antiphon_common.db.schema import check_schema
from antiphon_common.errors import Conflict, ServiceError, Unavailable
from antiphon_common.schemes import WrongUrl
from antiphon_common.telemetry import Telemetry

_AWAY = "The database does not answer."


class Database:
    """Opens connections to one database; nothing is connected before the first use.

    With `package`, the schema must be the newest of that package's migrations.
    """

    def __init__(self, url: str, package: str | None = None) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        # Only the driver that is asked for is imported.
        self._dialect: Any = import_module(f"antiphon_common.db.{'sqlite' if self.is_sqlite else 'postgres'}")
        self._reader, self._snapshots, self._writer = self._dialect.engines(url)
        self._unchecked = package

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection for queries; with `snapshot`, all see the same moment and rows may be streamed.

        Raises `Unavailable` when there is none to be had.
        """
        with Translated(self._dialect, self.url):
            if self._unchecked:
                await self._check_late(self._unchecked)
            engine = self._snapshots if snapshot else self._reader
            async with engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        with Translated(self._dialect, self.url):
            if self._unchecked:
                await self._check_late(self._unchecked)
            async with AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
                yield session

    async def ping(self) -> None:
        """Raise unless the database answers and has the right schema."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def start(self) -> None:
        """Look at the database once. `Unavailable` when it does not answer (it may yet); when waiting would
        not help, `WrongUrl` (it refuses what the URL says) or `Conflict` (its schema is not ours).
        """
        if self.is_sqlite:
            await self._dialect.prepare(self.url)
        if self._unchecked:
            with Translated(self._dialect, self.url, starting=True):
                await self._check(self._unchecked)

    def measure(self, telemetry: Telemetry) -> None:
        """How much of the pools is in use."""

        async def read() -> dict[tuple[str, ...], float]:
            pools = {id(engine.pool): engine.pool for engine in (self._reader, self._writer)}.values()
            return {("in_use",): sum(p.checkedout() for p in pools), ("size",): sum(p.size() for p in pools)}

        telemetry.metrics.probe(
            "antiphon_database_connections", "Connections of the pool", read, labels=["state"]
        )

    async def stop(self) -> None:
        await self._reader.dispose()
        await self._writer.dispose()

    async def _check(self, package: str) -> None:
        async with self._reader.connect() as connection:
            await check_schema(connection, package)
        self._unchecked = None

    async def _check_late(self, package: str) -> None:
        # The database was away when the service started. Now nobody is there who would read why it ends.
        try:
            await self._check(package)
        except Conflict as error:
            raise Unavailable(error.code, _AWAY, retry_after=5) from error


class Translated:
    """Turns the vendor's way of saying "not now" into `Unavailable`; everything else passes."""

    __slots__ = ("_dialect", "_starting", "_url")

    def __init__(self, dialect: Any, url: str, *, starting: bool = False) -> None:
        self._dialect = dialect
        self._url = url
        self._starting = starting

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None or isinstance(error, ServiceError):
            return
        if refusal := self._dialect.refusal(error, self._url):
            wrong = WrongUrl(self._url, refusal)
            if self._starting:
                raise wrong from error
            raise Unavailable("database_refused", _AWAY, retry_after=2) from wrong
        if self._dialect.is_away(error):
            # Whoever starts a service may know where its database is; whoever sends a request may not.
            place = f"The database at {_place(self._url)} does not answer." if self._starting else _AWAY
            raise Unavailable("database_unavailable", place, retry_after=2) from error


def _place(url: str) -> str:
    parsed = make_url(url)
    return f"{parsed.host}:{parsed.port}" if parsed.host else str(parsed.database)


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
