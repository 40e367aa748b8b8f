"""Two instances of search on one database and one index: what one hears both find, and the newest wins."""

import asyncio
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from antiphon_common.db.migrations import migrate
from antiphon_common.ids import new_id
from antiphon_common.testing.running import eventually
from antiphon_contracts.catalog import TrackDeleted
from antiphon_contracts.library import TrackPlaysCounted
from antiphon_search import usecases
from antiphon_search.adapters.indexing import Indexer
from antiphon_search.domain import Document, Entry
from antiphon_search.settings import Settings

pytestmark = pytest.mark.once("server")


@pytest.fixture
def shared(settings: Settings, postgres_url: str, elasticsearch_url: str) -> Settings:
    migrate("antiphon_search", postgres_url)
    return settings.model_copy(update={"database_url": postgres_url, "index_url": elasticsearch_url})


async def test_what_two_instances_write_at_once_is_in_the_index_once_and_newest(
    shared: Settings, make_shelf: Any
) -> None:
    assert urlsplit(shared.database_url).scheme.startswith("postgresql")
    one, two = make_shelf(shared), make_shelf(shared)
    ids = [new_id() for _ in range(20)]
    for shelf in (one, two):
        await shelf.index.start()
        await shelf.indexer.start()
    try:
        await asyncio.gather(*(_write(shelf, ids) for shelf in (one, two)))
        for shelf in (one, two):
            await eventually(partial(_waiting, shelf), lambda waiting: waiting == 0, seconds=30)
            await eventually(partial(shelf.found, "final"), lambda found: found == 15, seconds=30)
            assert await shelf.index.count() == 15
            assert await shelf.found("draft") == 0
            await eventually(partial(_standing, shelf.indexer), lambda said: said == "whole", seconds=30)
    finally:
        for shelf in (one, two):
            await shelf.indexer.stop()
            await shelf.index.stop()
            await shelf.database.stop()


async def _write(shelf: Any, ids: list[Any]) -> None:
    """Two drafts, then the last word on each, whoever of the two comes first."""
    for revision in (1, 2, 3):
        for which in ids:
            async with shelf.unit() as unit:
                played = TrackPlaysCounted(subject=which, revision=revision, play_count=revision * 100)
                await usecases.count_plays(unit, played)
                if revision < await unit.documents.revision(which):
                    continue
                title = "Final" if revision == 3 else "Draft"
                document = Document(which, "track", which, public=True, title=title)
                if revision == 3 and ids.index(which) % 4 == 0:
                    gone = TrackDeleted(subject=which, revision=3, owner_id=which, upload_id=which)
                    await usecases.forget_track(unit, gone)
                else:
                    await unit.documents.put(Entry(document, revision, {}))
        shelf.indexer.wake()


async def _waiting(shelf: Any) -> int:
    return len((await shelf.next_batch()).waiting)


async def _standing(indexer: Indexer) -> str:
    return indexer.completeness()
