"""Units on a database without a service around it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from antiphon_catalog.ports import Unit
from antiphon_catalog.repository import unit_of_work
from antiphon_catalog.settings import Settings
from antiphon_catalog.tables import OUTBOX
from antiphon_common.clock import SystemClock
from antiphon_common.db import Database
from antiphon_common.testing.databases import idle_relay


@pytest.fixture
async def rival(settings: Settings) -> AsyncIterator[Database]:
    """The same database as another process would hold it."""
    database = Database(settings.database_url)
    yield database
    await database.stop()


OpenUnit = Callable[[Database], AbstractAsyncContextManager[Unit]]


@pytest.fixture
def unit_on() -> OpenUnit:
    """Opens a unit on a database."""

    def open_unit(database: Database) -> AbstractAsyncContextManager[Unit]:
        return partial(unit_of_work, database, SystemClock(), idle_relay(database, OUTBOX))()

    return open_unit
