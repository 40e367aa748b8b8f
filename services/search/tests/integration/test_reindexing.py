"""A reindex while people search and write: none of them notices, whoever is killed in the middle of it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from antiphon_common.errors import Conflict
from antiphon_common.testing.running import eventually, running
from antiphon_search.adapters import open_index
from antiphon_search.adapters.reindexing import Reindexing, reindex
from antiphon_search.app import create_app
from antiphon_search.domain import Document, Entry
from antiphon_search.settings import Settings

pytestmark = pytest.mark.once("server")

DOCUMENTS = 1500


@pytest.fixture
async def house(settings: Settings, elasticsearch_url: str, make_shelf: Any) -> AsyncIterator[Any]:
    """A shelf full of documents, indexed."""
    shelf = make_shelf(settings.model_copy(update={"index_url": elasticsearch_url}))
    await shelf.index.start()
    shelf.ids = await shelf.put(*(f"Flood {number}" for number in range(DOCUMENTS)))
    await shelf.indexer.step()
    yield shelf
    await shelf.index.stop()
    await shelf.database.stop()


async def _run(shelf: Any) -> dict[str, object]:
    return await reindex(open_index(shelf.settings.index_url), shelf.unit, report=lambda _: None)


async def _indices(shelf: Any) -> dict[str, set[str]]:
    at = urlsplit(shelf.settings.index_url)
    async with httpx.AsyncClient(base_url=f"http://{at.netloc}") as client:
        found = (await client.get(f"/{at.path[1:]}*/_alias")).json()
    return {name: set(what["aliases"]) for name, what in found.items()}


class Life:
    """People who search and write as long as it lasts; what they saw that they should not."""

    def __init__(self, shelf: Any, client: httpx.AsyncClient) -> None:
        self.shelf = shelf
        self.client = client
        self.searches = 0
        self.writes = 0
        self.wrong: list[object] = []

    @asynccontextmanager
    async def goes_on(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work()) for work in (self._search, self._search_rarities, self._write)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(outcome, asyncio.CancelledError):
                    self.wrong.append(outcome)

    async def _search(self) -> None:
        while True:
            answer = await self.client.get("/api/search/tracks?q=flood")
            self.searches += 1
            if answer.status_code != 200 or answer.json()["total"] < DOCUMENTS:
                self.wrong.append((answer.status_code, answer.text[:200]))
            await asyncio.sleep(0.05)

    async def _search_rarities(self) -> None:
        """What was never there is not there, and nobody is told that one cannot know."""
        while True:
            answer = await self.client.get("/api/search?q=xylophone")
            self.searches += 1
            if answer.status_code != 200 or answer.json()["tracks"]["total"]:
                self.wrong.append((answer.status_code, answer.text[:200]))
            await asyncio.sleep(0.05)

    async def _write(self) -> None:
        """What was renamed is found by its new name soon, and never again by its old one."""
        while True:
            which, name = self.shelf.ids[self.writes], f"renamed{self.writes}"
            async with self.shelf.unit() as unit:
                document = Document(which, "track", which, public=True, title=f"Flood {name}")
                await unit.documents.put(Entry(document, 2, {}))
            await eventually(partial(self._finds, name), seconds=10)
            self.writes += 1

    async def _finds(self, name: str) -> bool:
        answer = await self.client.get("/api/search/tracks", params={"q": name + " "})
        return bool(answer.status_code == 200 and answer.json()["total"] == 1)


async def test_nobody_notices_a_reindex(house: Any) -> None:
    app = create_app(house.settings)
    async with running(app) as client:
        await eventually(partial(client.get, "/api/search?q=zzz"), lambda answer: answer.status_code == 200)
        life = Life(house, client)
        async with life.goes_on():
            done = await _run(house)
            await eventually(partial(_count, life), lambda writes: writes >= 3, seconds=20)
        assert life.wrong == []
        assert life.searches >= 20
        for number in range(life.writes):
            assert await life._finds(f"renamed{number}")
    assert done["documents"] == DOCUMENTS
    assert len(await _indices(house)) == 1
    assert await house.index.count() == DOCUMENTS


async def _count(life: Life) -> int:
    return life.writes


async def test_a_reindex_that_is_killed_leaves_the_old_index_and_the_next_one_begins_anew(house: Any) -> None:
    environment = {
        "SEARCH_DATABASE_URL": house.settings.database_url, "SEARCH_BUS_URL": house.settings.bus_url,
        "SEARCH_JWKS_URL": house.settings.jwks_url, "SEARCH_INDEX_URL": house.settings.index_url,
    }  # fmt: skip
    command = [sys.executable, "-m", "antiphon_search", "reindex"]
    with subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b"building" in await asyncio.to_thread(process.stderr.readline)
        os.kill(process.pid, signal.SIGKILL)
    assert len(await _indices(house)) == 2
    assert await house.index.count() == DOCUMENTS
    await house.put("Flood meanwhile")
    await house.indexer.step()
    finished = await asyncio.to_thread(
        subprocess.run, command, env={**os.environ, **environment}, capture_output=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert b'"documents": 1501' in finished.stdout
    assert len(await _indices(house)) == 1
    await house.indexer.step()
    assert await house.index.count() == DOCUMENTS + 1


async def test_what_changes_after_the_walk_has_passed_is_in_the_new_index_too(house: Any) -> None:
    run = Reindexing(house.index.server, house.unit, report=lambda _: None)
    new = await run._begin()
    async with house.unit() as unit:
        stale = await unit.backlog.walk(None, 10)
    await run._fill(new)
    async with house.unit() as unit:
        for change in stale:
            await unit.documents.bury(change.id, "track", revision=2)
    await house.put("Flood meanwhile")
    await house.indexer.step()
    # As if the walk had read these before they were deleted, and were slow to write them.
    await run._put(stale, new)
    await run._swap(new)
    assert await house.index.count() == DOCUMENTS - 9
    assert await house.found("meanwhile") == 1


async def test_a_new_index_is_trusted_whether_or_not_there_was_a_batch_meanwhile(house: Any) -> None:
    for meanwhile in (False, True):
        run = Reindexing(house.index.server, house.unit, report=lambda _: None)
        new = await run._begin()
        if meanwhile:
            await house.put("Flood meanwhile")
            await house.indexer.step()
        await run._fill(new)
        await run._swap(new)
        await house.indexer.step()
        assert list(await _indices(house)) == [new.name], "it was not made anew"
        assert house.indexer.completeness() == "whole"


async def test_of_two_runs_the_later_one_goes_on(house: Any) -> None:
    first = Reindexing(house.index.server, house.unit, report=lambda _: None)
    new = await first._begin()
    await first._fill(new)
    assert (await _run(house))["documents"] == DOCUMENTS
    with pytest.raises(Conflict, match="took over"):
        await first._swap(new)
    assert len(await _indices(house)) == 1
    await house.indexer.step()
    assert await house.index.count() == DOCUMENTS


async def test_an_index_of_another_format_is_replaced_and_then_completed(house: Any) -> None:
    at = urlsplit(house.settings.index_url)
    async with httpx.AsyncClient(base_url=f"http://{at.netloc}") as client:
        changed = await client.put(f"/{at.path[1:]}/_mapping", json={"_meta": {"format": 0}})
        changed.raise_for_status()
    started = time.monotonic()
    await _run(house)
    assert (await house.next_batch()).walking, "what indexers of the old format missed is looked for"
    await house.indexer.step()
    assert (house.indexer.completeness(), await house.index.count()) == ("whole", DOCUMENTS)
    assert time.monotonic() - started < 60


async def test_the_embedded_index_says_how_it_is_made_anew(settings: Settings, make_shelf: Any) -> None:
    shelf = make_shelf(settings)
    with pytest.raises(Conflict) as refused:
        await reindex(shelf.index, shelf.unit, report=lambda _: None)
    assert "stop the service" in refused.value.detail
    await shelf.database.stop()


async def test_an_index_that_was_built_beside_is_merged_before_people_use_it(house: Any) -> None:
    before = await _merges(house)
    await _run(house)
    assert await _merges(house) > before


async def _merges(shelf: Any) -> int:
    """How often the server was asked to make one segment of an index."""
    at = urlsplit(shelf.settings.index_url)
    async with httpx.AsyncClient(base_url=f"http://{at.netloc}") as client:
        found = (await client.get("/_nodes/stats/thread_pool")).json()
    return sum(node["thread_pool"]["force_merge"]["completed"] for node in found["nodes"].values())
