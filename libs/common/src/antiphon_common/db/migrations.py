"""Alembic, driven from code: each package holds its own `migrations/` and nothing else is configured.

Migrations are safe to run twice. On SQLite an exclusive file lock makes them safe to run in parallel, too.
"""

import asyncio
import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.autogenerate.api import AutogenContext
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, create_engine, event, make_url

from antiphon_common.db.database import Database


def migrate(package: str, url: str) -> None:
    """Bring the database at `url` to the newest schema of `package`; nothing happens when it is there."""
    with _locked(url), _connection(url) as connection:
        config = _config(package, connection)
        head = ScriptDirectory.from_config(config).get_current_head()
        if MigrationContext.configure(connection).get_current_revision() != head:
            command.upgrade(config, "head")


async def migrate_async(package: str, database: Database) -> None:
    """`migrate` for a caller in an event loop."""
    await asyncio.to_thread(migrate, package, database.url)


def downgrade(package: str, url: str, revision: str = "base") -> None:
    """Take the schema back to `revision`."""
    with _locked(url), _connection(url) as connection:
        command.downgrade(_config(package, connection), revision)


def autogenerate(package: str, url: str, message: str) -> None:
    """Write a new migration from the difference between the models and the database at `url`."""
    with _connection(url) as connection:
        command.revision(_config(package, connection), message, autogenerate=True, rev_id=message)


def differences(metadata: MetaData, url: str) -> list[Any]:
    """What the models say and the migrated database does not, or the other way round; empty when equal."""
    with _connection(url) as connection:
        migration = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(migration, metadata))


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
        return f"types.{type(item).__name__}()"
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


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        parsed = parsed.set(drivername="sqlite")
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)
    if engine.dialect.name == "sqlite":
        _begin_before_ddl(engine)
    try:
        with _one_at_a_time, engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _begin_before_ddl(engine: Engine) -> None:
    # The driver would begin only before INSERT and the like, so that a crash left half a schema.
    @event.listens_for(engine, "connect")
    def take_over(connection: Any, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _locked(url: str) -> Iterator[None]:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        yield
        return
    lock = Path(parsed.database + ".migrating")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
