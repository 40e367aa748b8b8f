"""A file service with its own database and blobs, and audio made on the spot, for the tests of this folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from antiphon_common.db.migrations import migrate
from antiphon_common.testing.running import running
from antiphon_file.app import create_app
from antiphon_file.settings import Settings


@pytest.fixture
def settings(urls: dict[str, str], tmp_path: Path) -> Settings:
    """Settings of a migrated, empty service."""
    migrate("antiphon_file", urls["database_url"])
    return Settings(**urls, blob_url=f"file://{tmp_path}/blobs")


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running service."""
    async with running(create_app(settings)) as client:
        yield client
