"""A search service with its own database and index, for the tests of this folder."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from antiphon_common.clock import SystemClock
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.logs import open_log
from antiphon_common.testing.databases import Migrated
from antiphon_common.testing.running import running
from antiphon_search.adapters import open_index
from antiphon_search.adapters.elasticsearch_index import ElasticsearchIndex
from antiphon_search.adapters.indexing import Indexer
from antiphon_search.app import create_app
from antiphon_search.domain import KINDS, Document, Entry, Filters, SearchRequest, read_query
from antiphon_search.ports import Batch, Unit
from antiphon_search.repository import unit_of_work
from antiphon_search.settings import Settings
from antiphon_search.tables import DocumentRow

# Both, unless a run is of one profile.
ENGINES = {"embedded": ["tantivy"], "server": ["elasticsearch"]}


@pytest.fixture(params=ENGINES.get(os.environ.get("ANTIPHON_TEST_PROFILE", ""), ["tantivy", "elasticsearch"]))
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


class Shelf:
    """A database, an index and the indexer between them, for tests that need no HTTP."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database_url)
        self.index = open_index(settings.index_url)
        self.log = open_log("search", level="error", file=None)
        self.indexer = Indexer(self.index, self.unit, log=self.log)

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        return partial(unit_of_work, self.database, SystemClock(), lambda: None)()

    async def put(self, *titles: str) -> list[UUID]:
        documents = [Document(new_id(), "track", new_id(), public=True, title=title) for title in titles]
        async with self.unit() as unit:
            for document in documents:
                await unit.documents.put(Entry(document, 1, {}))
        return [document.id for document in documents]

    async def next_batch(self) -> Batch:
        async with self.unit() as unit:
            return await unit.backlog.next_batch(500)

    async def refused(self) -> dict[UUID, str]:
        row = DocumentRow
        async with self.database.read() as connection:
            found = await connection.execute(select(row.id, row.refused).where(row.refused.is_not(None)))
            return {one.id: one.refused for one in found}

    async def lose_the_index(self) -> None:
        """As if somebody had removed it behind our back."""
        await self.index.stop()
        if isinstance(self.index, ElasticsearchIndex):
            at = urlsplit(self.settings.index_url)
            async with httpx.AsyncClient(base_url=f"http://{at.netloc}") as client:
                for name in (await client.get(f"/{at.path[1:]}*/_alias")).json():
                    (await client.delete(f"/{name}")).raise_for_status()
        else:
            shutil.rmtree(urlsplit(self.settings.index_url).path)
        self.index = open_index(self.settings.index_url)
        await self.index.start()

    async def found(self, typed: str) -> int:
        request = SearchRequest(read_query(typed), KINDS, Filters(), limit=50)
        return len((await self.index.search(request)).best_first())


@pytest.fixture
async def shelf(settings: Settings, index_url: str) -> AsyncIterator[Shelf]:
    shelf = Shelf(settings.model_copy(update={"index_url": index_url}))
    await shelf.index.start()
    yield shelf
    await shelf.index.stop()
    await shelf.database.stop()


@pytest.fixture
def make_shelf() -> type[Shelf]:
    """For a second instance of the service, or one beside a running app."""
    return Shelf
