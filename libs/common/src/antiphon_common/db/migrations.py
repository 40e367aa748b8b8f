"""Alembic, driven from code: each package holds its own `migrations/` and nothing else is configured.

Migrations are safe to run twice and, by a lock, in parallel: a file's on SQLite, an advisory one on Postgres.
All steps are one transaction: who is killed leaves the old schema. A step on Postgres waits 2 s for a lock of
a table in use, because everybody else waits behind it; then the migration fails, changes nothing and can be
run again. A database that has a newer schema than the code knows is refused.
"""

import asyncio
import fcntl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar

from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.autogenerate.api import AutogenContext
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from antiphon_common.db.database import Database, Translated
from antiphon_common.db.schema import present, refuse_newer, revisions

T = TypeVar("T")

_LOCK_WAIT = "60s"


def migrate(package: str, url: str) -> None:
    """Bring the database at `url` to the newest schema of `package`; nothing happens when it is there.

    Raises `Conflict` when the schema is newer than the code, `Unavailable` when the database does not answer,
    and `WrongUrl` when it refuses what the URL says.
    """

    def upgrade(connection: Connection) -> None:
        found = present(connection)
        refuse_newer(found, package)
        if found != revisions(package)[-1]:
            command.upgrade(_config(package, connection), "head")

    _on(url, upgrade)


async def migrate_async(package: str, database: Database) -> None:
    """`migrate` for a caller in an event loop."""
    await asyncio.to_thread(migrate, package, database.url)


def downgrade(package: str, url: str, revision: str = "base") -> None:
    """Take the schema back to `revision`."""
    _on(url, lambda connection: command.downgrade(_config(package, connection), revision))


def autogenerate(package: str, url: str, message: str) -> None:
    """Write a new migration from the difference between the models and the database at `url`."""

    def write(connection: Connection) -> None:
        command.revision(_config(package, connection), message, autogenerate=True, rev_id=message)

    _on(url, write)


def differences(metadata: MetaData, url: str) -> list[Any]:
    """What the models say and the migrated database does not, or the other way round; empty when equal."""

    def compare(connection: Connection) -> list[Any]:
        migration = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(migration, metadata))

    return _on(url, compare)


def run_env(metadata: MetaData) -> None:
    """All that a package's `migrations/env.py` does."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True,
        render_item=_render_item,
    )  # fmt: skip
    with context.begin_transaction():
        context.run_migrations()


def _render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    # Our own types are written by name, so that a migration does not depend on how they are built.
    module = type(item).__module__
    if kind == "type" and module.startswith("antiphon_common.db"):
        autogen.imports.add("from antiphon_common.db import types")
        return f"types.{type(item).__name__}({getattr(item, 'length', '')})"
    return False


# Alembic keeps "the present migration" in module globals, and eight services may share a process.
_one_at_a_time = threading.Lock()


def _config(package: str, connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files(package) / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s")
    config.attributes["connection"] = connection
    return config


def _on(url: str, work: Callable[[Connection], T]) -> T:
    """Run `work` in one transaction that nobody else's migration overlaps."""
    if url.startswith("sqlite"):
        parsed = make_url(url)
        with _locked(parsed.database), _sqlite(parsed) as connection:
            return work(connection)
    # A thread of its own, because the caller's may have a running loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _on_postgres(url, work)).result()


@contextmanager
def _sqlite(url: URL) -> Iterator[Connection]:
    engine = create_engine(url.set(drivername="sqlite"))
    _begin_before_ddl(engine)
    try:
        with _one_at_a_time, engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


async def _on_postgres(url: str, work: Callable[[Connection], T]) -> T:
    from antiphon_common.db import postgres  # noqa: PLC0415 - its driver is not everywhere

    parsed = postgres.address(url)
    arguments = postgres.connect_args(parsed, statement_timeout="0", lock_timeout=_LOCK_WAIT)
    engine = create_async_engine(
        postgres.place(parsed), poolclass=NullPool, hide_parameters=True,
        connect_args=arguments | {"command_timeout": None},
    )  # fmt: skip

    def locked(connection: Connection) -> T:
        # The lock is the schema's, and goes with the transaction. Only then is patience short.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('migrating ' || current_schema()))"))
        connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        with _one_at_a_time:
            return work(connection)

    try:
        with Translated(postgres, url, starting=True):
            async with engine.begin() as connection:
                return await connection.run_sync(locked)
    finally:
        await engine.dispose()


def _begin_before_ddl(engine: Engine) -> None:
    # The driver would begin only before INSERT and the like, so that a crash left half a schema.
    @event.listens_for(engine, "connect")
    def take_over(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _locked(database: str | None) -> Iterator[None]:
    if not database:
        yield
        return
    lock = Path(database + ".migrating")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
