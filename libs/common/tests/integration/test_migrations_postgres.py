"""The migrations of every service on Postgres, and what happens when its schema is not ours."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    JSON,
    Connection,
    DateTime,
    MetaData,
    String,
    Table,
    delete,
    insert,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine

from antiphon_common.db import Database
from antiphon_common.db.migrations import differences, downgrade, migrate
from antiphon_common.db.schema import revisions
from antiphon_common.errors import Conflict, Unavailable
from antiphon_common.schemes import WrongUrl
from antiphon_common.testing.isolation import postgres_database
from antiphon_common.testing.servers import Servers, are_required, not_tested

ROOT = Path(__file__).parents[4]
PACKAGES = sorted(path.parent.parent.name for path in ROOT.glob("services/*/src/*/migrations/env.py"))
MIGRATE = "import sys; from antiphon_common.db.migrations import migrate; migrate(*sys.argv[1:])"


async def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """The answer of a statement, committed."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        result = await connection.execute(text(query))
        found = [tuple(row) for row in result] if result.returns_rows else []
    await engine.dispose()
    return found


async def shape(url: str) -> list[tuple[Any, ...]]:
    """Every column and index of the schema."""
    columns = (
        "SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default::text"
        " FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 2"
    )
    indexes = (
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 2"
    )
    return await rows(url, columns) + await rows(url, indexes)


@pytest.mark.parametrize("package", PACKAGES)
async def test_models_and_migrations_say_the_same_on_postgres(package: str, postgres_url: str) -> None:
    metadata: MetaData = import_module(f"{package}.tables").Base.metadata
    migrate(package, postgres_url)
    assert differences(metadata, postgres_url) == []
    migrated = await shape(postgres_url)
    # Alembic does not compare everything (collations, say), so the models make their own tables, too.
    downgrade(package, postgres_url)
    engine = create_async_engine(postgres_url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()
    made = await shape(postgres_url)
    assert [row for row in migrated if row[0] != "alembic_version"] == [
        row for row in made if row[0] != "alembic_version"
    ]


@pytest.mark.parametrize("package", PACKAGES)
async def test_a_schema_can_be_taken_back_step_by_step_and_made_again_on_postgres(
    package: str, postgres_url: str
) -> None:
    migrate(package, postgres_url)
    newest = await shape(postgres_url)
    migrate(package, postgres_url)
    assert await shape(postgres_url) == newest
    for revision in reversed(["base", *revisions(package)[:-1]]):
        downgrade(package, postgres_url, revision)
    assert {row[0] for row in await shape(postgres_url)} == {"alembic_version"}
    migrate(package, postgres_url)
    assert await shape(postgres_url) == newest


@pytest.mark.parametrize("package", PACKAGES)
async def test_lists_are_sorted_by_bytes_whatever_language_the_server_speaks(
    package: str, postgres_url: str
) -> None:
    migrate(package, postgres_url)
    found = await rows(
        postgres_url,
        "SELECT table_name, column_name, collation_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND (column_name IN ('title_key', 'name_key', 'genre_key')"
        " OR (table_name, column_name) = ('genre', 'key'))",
    )
    assert [row for row in found if row[2] != "C"] == []


def one_of(kind: TypeEngine[Any]) -> object:
    """Some value of a column's type."""
    if isinstance(kind, DateTime):
        return datetime(2024, 5, 17, 12, tzinfo=UTC if kind.timezone else None)
    if isinstance(kind, JSON):
        return {"a": [1]}
    if isinstance(kind, String):
        return UUID(int=7).hex if kind.length == 32 else "x"
    return {UUID: UUID(int=7), bool: True, float: 0.5, bytes: b"x"}.get(kind.python_type, 7)


def tables(connection: Connection) -> Sequence[Table]:
    """Those of the service, whoever is referred to first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def fill(connection: Connection) -> None:
    """One row into every table."""
    for table in tables(connection):
        connection.execute(insert(table).values({column.name: one_of(column.type) for column in table.c}))


def contents(connection: Connection) -> set[tuple[str, str, str]]:
    """Table, column and value of all that is there."""
    return {
        (table.name, column, repr(value))
        for table in tables(connection)
        for row in connection.execute(select(table)).mappings()
        for column, value in row.items()
    }


@pytest.mark.parametrize("package", [name for name in PACKAGES if len(revisions(name)) > 1])
async def test_data_survives_every_upgrade_and_downgrade(
    package: str, postgres_url: str, tmp_path: Path
) -> None:
    for url in (postgres_url, f"sqlite+aiosqlite:///{tmp_path}/service.db"):
        engine = create_async_engine(url, poolclass=NullPool)
        migrate(package, url)
        for older in revisions(package)[:-1]:
            downgrade(package, url, older)
            async with engine.begin() as connection:
                await connection.run_sync(fill)
                before = await connection.run_sync(contents)
            migrate(package, url)
            async with engine.connect() as connection:
                after = await connection.run_sync(contents)
            kept = {cell for cell in before if cell[:2] in {other[:2] for other in after}}
            assert kept <= after
            downgrade(package, url, older)
            async with engine.begin() as connection:
                back = await connection.run_sync(contents)
                for table in reversed(await connection.run_sync(tables)):
                    await connection.execute(delete(table))
            assert kept <= back
            assert {cell[:2] for cell in before} == {cell[:2] for cell in back}, "no row went with a column"
            migrate(package, url)
        await engine.dispose()


def test_processes_that_start_together_migrate_once_on_postgres(postgres_url: str) -> None:
    command = [sys.executable, "-c", MIGRATE, "antiphon_catalog", postgres_url]
    children = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0] * 4, said
    assert differences(import_module("antiphon_catalog.tables").Base.metadata, postgres_url) == []


async def test_a_table_in_use_is_waited_for_two_seconds_and_not_longer(
    postgres_url: str,
) -> None:
    migrate("antiphon_file", postgres_url)
    downgrade("antiphon_file", postgres_url, "0001_initial")
    engine = create_async_engine(postgres_url)
    async with engine.begin() as connection:
        await connection.execute(text("SELECT * FROM usage"))
        started = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable):
            await asyncio.to_thread(migrate, "antiphon_file", postgres_url)
        assert 1.5 < asyncio.get_running_loop().time() - started < 6
    assert await rows(postgres_url, "SELECT version_num FROM alembic_version") == [("0001_initial",)]
    await asyncio.to_thread(migrate, "antiphon_file", postgres_url)
    await engine.dispose()


async def test_a_schema_newer_than_the_code_is_refused_by_migrate_and_by_serving(
    postgres_url: str, tmp_path: Path
) -> None:
    for url in (postgres_url, f"sqlite+aiosqlite:///{tmp_path}/user.db"):
        migrate("antiphon_user", url)
        await rows(url, "UPDATE alembic_version SET version_num = '0099_from_the_future'")
        with pytest.raises(Conflict, match="0099_from_the_future, newer than this version of antiphon_user"):
            migrate("antiphon_user", url)
        database = Database(url, "antiphon_user")
        with pytest.raises(Conflict, match="newer"):
            await database.start()
        with pytest.raises(Unavailable) as caught:
            await database.ping()
        assert (caught.value.code, caught.value.detail) == (
            "database_schema_newer",
            "The database does not answer.",
        )
        await database.stop()
        assert await rows(url, "SELECT version_num FROM alembic_version") == [("0099_from_the_future",)]


async def test_an_older_schema_says_what_is_missing_and_is_used_once_it_is_there(postgres_url: str) -> None:
    database = Database(postgres_url, "antiphon_file")
    with pytest.raises(
        Conflict, match="empty and 0002_usage_erased is needed: run `python -m antiphon_file migrate`"
    ):
        await database.start()
    with pytest.raises(Unavailable, match="database_schema_older"):
        async with database.write():
            pass
    await asyncio.to_thread(migrate, "antiphon_file", postgres_url)
    await database.ping()
    # A running service goes on when another instance brings the next schema.
    await rows(postgres_url, "UPDATE alembic_version SET version_num = '0099_from_the_future'")
    await database.ping()
    await database.stop()


@pytest.mark.parametrize(
    ("part", "wrong", "sentence"),
    [
        ("password", "nonsense", "refuses the password of the user"),
        ("username", "nobody", "refuses the password of the user nobody"),
        ("database", "nowhere", "The database nowhere at .* does not exist"),
    ],
)
async def test_a_database_that_refuses_us_is_named_in_one_sentence_without_the_password(
    postgres_url: str, part: str, wrong: str, sentence: str
) -> None:
    url = make_url(postgres_url).set(**{part: wrong}).render_as_string(hide_password=False)
    with pytest.raises(WrongUrl, match=sentence) as caught:
        await asyncio.to_thread(migrate, "antiphon_user", url)
    assert caught.value.url == url
    assert (make_url(url).password or "") not in str(caught.value)
    database = Database(url, "antiphon_user")
    with pytest.raises(WrongUrl, match=sentence):
        await database.start()
    # Whoever sends a request learns neither place nor name.
    with pytest.raises(Unavailable) as refused:
        await database.ping()
    assert (refused.value.code, refused.value.detail) == ("database_refused", "The database does not answer.")
    await database.stop()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "127.0.0.1"])
async def test_a_database_that_is_not_there_is_named_to_whoever_starts_and_to_nobody_else(host: str) -> None:
    url = f"postgresql+asyncpg://ada:secret@{host}:1/antiphon"
    with pytest.raises(Unavailable, match=f"The database at {host}:1 does not answer"):
        await asyncio.to_thread(migrate, "antiphon_user", url)
    database = Database(url, "antiphon_user")
    with pytest.raises(Unavailable, match=f"The database at {host}:1 does not answer"):
        await database.start()
    with pytest.raises(Unavailable) as caught:
        await database.ping()
    assert caught.value.detail == "The database does not answer."
    await database.stop()


SECRETS = {name: f"it's {name}" for name in (package.removeprefix("antiphon_") for package in PACKAGES)}


async def test_no_service_reads_or_writes_what_another_has(private_server: Any) -> None:
    if shutil.which("psql") is None:
        not_tested("psql (it is not installed)", required=are_required())
    server = make_url(private_server("postgres").url)
    environment = {f"{name.upper()}_DATABASE_PASSWORD": secret for name, secret in SECRETS.items()}
    administrator = server.set(drivername="postgresql").render_as_string(hide_password=False)
    script = str(ROOT / "deploy/postgres/antiphon.sql")
    command = ["psql", "--quiet", "--no-psqlrc", "--file", script, administrator]
    for _ in range(2):
        done = subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
    missing = subprocess.run(command, capture_output=True, text=True, check=False)
    assert missing.returncode != 0

    urls = {
        name: server.set(username=name, password=secret, database="antiphon").render_as_string(
            hide_password=False
        )
        for name, secret in SECRETS.items()
    }
    for name, url in urls.items():
        await asyncio.to_thread(migrate, f"antiphon_{name}", url)
        await Database(url, f"antiphon_{name}").ping()
    assert await rows(urls["auth"], "SELECT count(*) FROM account") == [(0,)]
    forbidden = [
        "SELECT * FROM auth.account", "UPDATE auth.account SET name = ''", "CREATE TABLE public.mine (id int)",
        "CREATE TABLE auth.mine (id int)", "CREATE SCHEMA mine", "SET ROLE auth",
        "CREATE ROLE mine", "DROP SCHEMA auth CASCADE", "SELECT * FROM auth.alembic_version",
    ]  # fmt: skip
    for statement in forbidden:
        with pytest.raises(DBAPIError, match=r"denied|permission|must be owner"):
            await rows(urls["catalog"], statement)
    others = (
        "SELECT table_schema FROM information_schema.tables"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'catalog')"
    )
    assert await rows(urls["catalog"], others) == []


def test_a_template_is_a_copy(servers: Servers, postgres_url: str) -> None:
    migrate("antiphon_user", postgres_url)
    name = postgres_url.rpartition("/")[2]
    with postgres_database(servers.need("postgres")["POSTGRES_URL"], template=name) as copy:
        assert asyncio.run(shape(copy)) == asyncio.run(shape(postgres_url))
