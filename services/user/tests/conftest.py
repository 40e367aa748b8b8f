"""A user service with its own database, for the tests of this folder."""

from collections.abc import AsyncIterator

import httpx
import pytest

from antiphon_common.testing.databases import Migrated
from antiphon_common.testing.running import running
from antiphon_user.app import create_app
from antiphon_user.settings import Settings


@pytest.fixture
def settings(urls: dict[str, str], migrated: Migrated) -> Settings:
    """Settings of a migrated, empty service."""
    urls["database_url"] = migrated("antiphon_user")
    return Settings(**urls)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running service."""
    async with running(create_app(settings)) as client:
        yield client
