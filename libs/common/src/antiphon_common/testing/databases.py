"""A migrated, empty database for one test: a copy of one that was migrated once in this process.

With `ANTIPHON_TEST_PROFILE=server` it is a database of a real Postgres: the same tests prove both dialects.
"""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Table

from antiphon_common.bus import open_bus
from antiphon_common.db import Database
from antiphon_common.db.migrations import migrate
from antiphon_common.db.outbox import Relay
from antiphon_common.logs import open_log
from antiphon_common.settings import ServiceSettings
from antiphon_common.testing.isolation import postgres_database
from antiphon_common.testing.servers import Servers

Migrated = Callable[[str], str]
"""Gives the URL of a database with the newest schema of a package."""


@pytest.fixture(scope="session")
def test_postgres(servers: Servers) -> str | None:
    """The server on which this run makes databases; none when it makes files."""
    is_wanted = os.environ.get("ANTIPHON_TEST_PROFILE") == "server"
    return servers.need("postgres")["POSTGRES_URL"] if is_wanted else None


@pytest.fixture(scope="session")
def template_of(tmp_path_factory: pytest.TempPathFactory, test_postgres: str | None) -> Iterator[Migrated]:
    """Databases to copy: migrating takes longer than most tests."""
    made: dict[str, str] = {}
    directory = tmp_path_factory.mktemp("migrated")
    with ExitStack() as stack:

        def template(package: str) -> str:
            if package not in made:
                url = f"sqlite+aiosqlite:///{directory}/{package}.db"
                if test_postgres is not None:
                    url = stack.enter_context(postgres_database(test_postgres))
                migrate(package, url)
                made[package] = url
            return made[package]

        yield template


@pytest.fixture
def migrated(tmp_path: Path, test_postgres: str | None, template_of: Migrated) -> Iterator[Migrated]:
    """Makes the migrated, empty database of one service for this test; a file is `service.db`."""
    with ExitStack() as stack:

        def make(package: str) -> str:
            template = template_of(package)
            if test_postgres is not None:
                name = urlsplit(template).path[1:]
                return stack.enter_context(postgres_database(test_postgres, template=name))
            shutil.copy(template.removeprefix("sqlite+aiosqlite:///"), tmp_path / "service.db")
            return f"sqlite+aiosqlite:///{tmp_path}/service.db"

        yield make


@pytest.fixture
async def database(settings: ServiceSettings) -> AsyncIterator[Database]:
    """The database that the settings of a test folder name, without a service around it."""
    database = Database(settings.database_url)
    await database.start()
    yield database
    await database.stop()


def idle_relay(database: Database, outbox: Table) -> Relay:
    """A relay that nobody starts: what units announce stays in the outbox."""
    return Relay(database, outbox, open_bus("inproc:"), log=open_log("test", level="error"))
