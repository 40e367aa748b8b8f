"""The indexer: fresh within a second, nothing lost or doubled by a crash, made anew when it must be."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from antiphon_common.clock import SystemClock
from antiphon_common.db import Database
from antiphon_common.db.migrations import differences, downgrade, migrate
from antiphon_common.errors import Unavailable
from antiphon_common.ids import new_id
from antiphon_common.logs import open_log
from antiphon_common.testing.running import eventually, running
from antiphon_search.adapters import open_index
from antiphon_search.adapters.indexing import Indexer
from antiphon_search.app import create_app
from antiphon_search.domain import KINDS, Document, Entry, Filters, SearchRequest, read_query
from antiphon_search.ports import SearchIndex, Unit
from antiphon_search.repository import unit_of_work
from antiphon_search.settings import Settings
from antiphon_search.tables import Base


class Shelf:
    """A database, an index and the indexer between them."""

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

    async def found(self, typed: str) -> int:
        request = SearchRequest(read_query(typed), KINDS, Filters(), limit=50)
        return len((await self.index.search(request)).best_first())


@pytest.fixture
async def shelf(settings: Settings) -> AsyncIterator[Shelf]:
    shelf = Shelf(settings)
    await shelf.index.start()
    yield shelf
    await shelf.index.stop()
    await shelf.database.stop()


async def test_a_step_brings_the_index_up_to_date(shelf: Shelf) -> None:
    await shelf.put("Aurora", "Borealis")
    await shelf.indexer.step()
    assert await shelf.found("aurora") == 1
    assert shelf.indexer.completeness() == "whole"


async def test_a_change_during_a_batch_stays_in_the_backlog(shelf: Shelf) -> None:
    (one,) = await shelf.put("Old")
    async with shelf.unit() as unit:
        changes = await unit.backlog.next_changes(10)
    async with shelf.unit() as unit:
        await unit.documents.put(Entry(Document(one, "track", new_id(), public=True, title="New"), 2, {}))
    async with shelf.unit() as unit:
        await unit.backlog.done(changes, stamp=1)
        assert [change.id for change in await unit.backlog.next_changes(10)] == [one]


async def test_a_crash_between_the_index_and_the_mark_doubles_nothing(shelf: Shelf) -> None:
    await shelf.put("Aurora")
    async with shelf.unit() as unit:
        changes = await unit.backlog.next_changes(10)
    await shelf.index.apply([change.document for change in changes if change.document], [], stamp=1)
    restarted = Indexer(shelf.index, shelf.unit, log=shelf.log)
    await restarted.step()
    assert await shelf.found("aurora") == 1
    assert await shelf.index.stamp() == 1


@pytest.mark.parametrize("damage", ["missing", "older", "newer"])
async def test_an_index_that_does_not_belong_to_the_documents_is_made_anew(shelf: Shelf, damage: str) -> None:
    for title in ("One", "Two", "Three"):
        await shelf.put(f"Aurora {title}")
        await shelf.indexer.step()
    assert await shelf.index.stamp() == 3
    phantom = Document(new_id(), "track", new_id(), public=True, title="Aurora Phantom")
    await shelf.index.apply([phantom], [], stamp={"missing": 3, "older": 1, "newer": 5}[damage])
    if damage == "missing":
        await shelf.index.wipe()
    await Indexer(shelf.index, shelf.unit, log=shelf.log).step()
    assert await shelf.found("aurora") == 3
    assert await shelf.index.count() == 3


class Broken:
    """An index that fails to apply as often as it is told to, and answers nothing in time if told so."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index
        self.failures = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._index, name)

    async def apply(self, puts: Sequence[Document], deletes: Sequence[UUID], *, stamp: int) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("index_unavailable")
        await self._index.apply(puts, deletes, stamp=stamp)


async def test_a_failing_index_loses_nothing_and_says_that_it_is_partial(shelf: Shelf) -> None:
    broken = Broken(shelf.index)
    broken.failures = 1
    indexer = Indexer(broken, shelf.unit, log=shelf.log)  # type: ignore[arg-type]
    await shelf.put("Aurora")
    with pytest.raises(Unavailable):
        await indexer.step()
    assert indexer.completeness() == "partial"
    await indexer.step()
    assert indexer.completeness() == "whole"
    assert await shelf.found("aurora") == 1


async def test_more_than_a_batch_is_indexed_and_deleted(shelf: Shelf) -> None:
    ids = await shelf.put(*(f"Flood {number}" for number in range(1100)))
    await shelf.indexer.step()
    assert await shelf.index.count() == 1100
    async with shelf.unit() as unit:
        for one in ids[:600]:
            await unit.documents.bury(one, "track", revision=2)
    await shelf.indexer.step()
    assert await shelf.index.count() == 500


async def test_a_service_whose_index_was_removed_makes_it_anew_at_the_start(
    settings: Settings, tmp_path: Path
) -> None:
    shelf = Shelf(settings)
    await shelf.index.start()
    await shelf.put("Aurora")
    await shelf.indexer.step()
    await shelf.index.stop()
    await shelf.database.stop()
    shutil.rmtree(tmp_path / "index")
    async with running(create_app(settings)) as client:

        async def total() -> int:
            answer = await client.get("/api/search/suggest?q=aurora")
            return len(answer.json().get("items", ()))

        assert await eventually(total) == 1


async def test_a_new_document_is_found_within_a_second(settings: Settings) -> None:
    app = create_app(settings)
    async with running(app) as client:
        shelf = Shelf(settings)
        await eventually(lambda: _status(client), lambda status: status == 200)
        times = []
        for number in range(3):
            await shelf.put(f"Fresh{number}")
            started = time.monotonic()
            # The service's own consumer wakes its indexer; this test wrote past it.
            next(part for part in _parts(app) if isinstance(part, Indexer)).wake()
            await eventually(partial(_items, client, f"fresh{number}"), seconds=5)
            times.append(time.monotonic() - started)
        await shelf.database.stop()
    assert sorted(times)[1] < 1


def _parts(app: object) -> list[object]:
    # The indexer is held only by the app's composition: found where the loop's callback is bound.
    completeness = app.state.deps.completeness  # type: ignore[attr-defined]
    return [completeness.__self__]


async def _status(client: httpx.AsyncClient) -> int:
    return (await client.get("/api/search/suggest?q=x")).status_code


async def _items(client: httpx.AsyncClient, q: str) -> int:
    return len((await client.get("/api/search/suggest", params={"q": q})).json().get("items", ()))


class Stuck:
    """An index that never answers."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def stamp(self) -> int | None:
        return 0

    async def search(self, _: object) -> None:
        await asyncio.Event().wait()

    async def suggest(self, *_: object, **__: object) -> None:
        await asyncio.Event().wait()


async def test_a_stuck_index_is_a_503_within_300_milliseconds(settings: Settings) -> None:
    from dataclasses import replace

    app = create_app(Settings(**{**settings.model_dump(), "index_timeout_s": 0.28}))
    async with running(app) as client:
        app.state.deps = replace(app.state.deps, index=Stuck())
        for path in ("", "/tracks", "/suggest"):
            started = time.monotonic()
            answer = await client.get(f"/api/search{path}?q=a")
            took = time.monotonic() - started
            assert (answer.status_code, answer.json()["code"]) == (503, "index_unavailable")
            assert answer.headers["retry-after"] == "1"
            assert took < 0.4


async def test_an_index_that_may_lack_anything_never_says_that_there_is_nothing(settings: Settings) -> None:
    from dataclasses import replace

    app = create_app(settings)
    async with running(app) as client:
        app.state.deps = replace(app.state.deps, completeness=lambda: "partial")
        for path in ("", "/tracks", "/suggest"):
            answer = await client.get(f"/api/search{path}?q=a")
            assert (answer.status_code, answer.json()["code"]) == (503, "index_behind")


_WRITER = """
import asyncio, sys
from functools import partial
sys.path.insert(0, {tests!r})
from antiphon_common.clock import SystemClock
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.logs import open_log
from antiphon_search.adapters import open_index
from antiphon_search.adapters.indexing import Indexer
from antiphon_search.domain import Document, Entry
from antiphon_search.repository import unit_of_work

async def main():
    database, index = Database({database!r}), open_index({index!r})
    open_unit = partial(unit_of_work, database, SystemClock(), lambda: None)
    await index.start()
    indexer = Indexer(index, open_unit, log=open_log("search", level="error", file=None))
    await indexer.step()
    print("ready", flush=True)
    while True:
        async with open_unit() as unit:
            for _ in range(3):
                one = Document(new_id(), "track", new_id(), public=True, title="crash")
                await unit.documents.put(Entry(one, 1, {{}}))
        await indexer.step()

asyncio.run(main())
"""


async def test_killing_the_process_at_any_moment_loses_and_doubles_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    script = _WRITER.format(tests=str(tmp_path), database=settings.database_url, index=settings.index_url)
    for pause in (0.05, 0.33, 0.61):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(pause)
            os.kill(process.pid, signal.SIGKILL)
    shelf = Shelf(settings)
    await shelf.index.start()
    await shelf.indexer.step()
    async with shelf.database.read() as connection:
        rows = (await connection.exec_driver_sql("SELECT count(*) FROM document")).scalar_one()
    assert rows > 0
    assert await shelf.index.count() == rows
    await shelf.index.stop()
    await shelf.database.stop()


def test_the_migrations_make_what_the_models_say_and_can_be_taken_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/migrated.db"
    migrate("antiphon_search", url)
    assert differences(Base.metadata, url) == []
    downgrade("antiphon_search", url)
    migrate("antiphon_search", url)
