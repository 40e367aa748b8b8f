"""A search service with its own database and index, for the tests of this folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from antiphon_common.testing.databases import Migrated
from antiphon_common.testing.running import running
from antiphon_search.app import create_app
from antiphon_search.settings import Settings


@pytest.fixture(params=["tantivy", "elasticsearch"])
def index_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An unused index of every engine, for tests of what all of them promise."""
    if request.param == "elasticsearch":
        return str(request.getfixturevalue("elasticsearch_url"))
    return f"tantivy://{tmp_path}/index"


@pytest.fixture
def settings(urls: dict[str, str], tmp_path: Path, migrated: Migrated) -> Settings:
    """Settings of a migrated, empty service. Its deadline is generous, for a busy machine."""
    urls["database_url"] = migrated("antiphon_search")
    return Settings(**urls, index_url=f"tantivy://{tmp_path}/index", index_timeout_s=5)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running service."""
    async with running(create_app(settings)) as client:
        yield client
