"""The indexer: fresh within a second, nothing lost or doubled by a crash, made anew when it must be."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from antiphon_common.db.migrations import differences, downgrade, migrate
from antiphon_common.errors import Unavailable
from antiphon_common.ids import new_id
from antiphon_common.testing.running import eventually, running
from antiphon_search.adapters.indexing import Indexer
from antiphon_search.app import create_app
from antiphon_search.domain import Document, Entry
from antiphon_search.ports import Change, SearchIndex
from antiphon_search.settings import Settings
from antiphon_search.tables import Base


async def test_a_step_brings_the_index_up_to_date(shelf: Any) -> None:
    await shelf.put("Aurora", "Borealis")
    await shelf.indexer.step()
    assert await shelf.found("aurora") == 1
    assert shelf.indexer.completeness() == "whole"


async def test_a_change_during_a_batch_stays_in_the_backlog(shelf: Any) -> None:
    await shelf.indexer.step()
    (one,) = await shelf.put("Old")
    batch = await shelf.next_batch()
    async with shelf.unit() as unit:
        await unit.documents.put(Entry(Document(one, "track", new_id(), public=True, title="New"), 2, {}))
    async with shelf.unit() as unit:
        assert await unit.backlog.done(batch, {})
    assert [change.id for change in (await shelf.next_batch()).waiting] == [one]


async def test_of_two_instances_that_did_a_batch_only_one_is_noted(shelf: Any) -> None:
    await shelf.indexer.step()
    await shelf.put("Aurora")
    mine, theirs = await shelf.next_batch(), await shelf.next_batch()
    async with shelf.unit() as unit:
        assert await unit.backlog.done(theirs, {})
    await shelf.put("Borealis")
    async with shelf.unit() as unit:
        assert not await unit.backlog.done(mine, {})
    assert len((await shelf.next_batch()).waiting) == 1


async def test_a_crash_between_the_index_and_the_mark_doubles_nothing(shelf: Any) -> None:
    await shelf.indexer.step()
    await shelf.put("Aurora")
    batch = await shelf.next_batch()
    assert batch.stamp is not None
    await shelf.index.apply(batch.changes, stamp=batch.stamp + 1)
    restarted = Indexer(shelf.index, shelf.unit, log=shelf.log)
    await restarted.step()
    assert await shelf.found("aurora") == 1
    assert await shelf.index.stamp() == (await shelf.next_batch()).stamp == batch.stamp + 1


@pytest.mark.parametrize("damage", ["missing", "older", "newer"])
async def test_an_index_that_does_not_belong_to_the_documents_is_made_anew(shelf: Any, damage: str) -> None:
    for title in ("One", "Two", "Three"):
        await shelf.put(f"Aurora {title}")
        await shelf.indexer.step()
    stamp = await shelf.index.stamp()
    assert stamp == (await shelf.next_batch()).stamp
    phantom = Document(new_id(), "track", new_id(), public=True, title="Aurora Phantom")
    if damage != "missing":
        await shelf.index.wipe(stamp=stamp + {"older": -2, "newer": 1}[damage])
        await shelf.index.apply(
            [Change(phantom.id, 1, phantom)], stamp=stamp + {"older": -1, "newer": 2}[damage]
        )
    else:
        await shelf.lose_the_index()
    restarted = Indexer(shelf.index, shelf.unit, log=shelf.log)
    assert restarted.completeness() == "partial"
    await restarted.step()
    assert restarted.completeness() == "whole"
    assert await shelf.found("aurora") == 3
    assert await shelf.index.count() == 3


class Broken:
    """An index that fails to apply as often as it is told to, before or after it was done."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index
        self.failures = 0
        self.late_failures = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._index, name)

    async def apply(self, changes: Sequence[Change], *, stamp: int, more: bool = False) -> Mapping[UUID, str]:
        if self.failures:
            self.failures -= 1
            raise Unavailable("index_unavailable")
        refused = await self._index.apply(changes, stamp=stamp, more=more)
        if self.late_failures and not self.failures:
            self.late_failures -= 1
            raise Unavailable("index_unavailable")
        return refused


async def test_a_crash_between_wiping_the_index_and_the_mark_is_no_empty_index(shelf: Any) -> None:
    class Dying(Broken):
        async def wipe(self, *, stamp: int) -> None:
            await shelf.index.wipe(stamp=stamp)
            raise Unavailable("index_unavailable")

    await shelf.put("Aurora")
    await shelf.indexer.step()
    await shelf.lose_the_index()
    with pytest.raises(Unavailable):
        await Indexer(Dying(shelf.index), shelf.unit, log=shelf.log).step()  # type: ignore[arg-type]
    await Indexer(shelf.index, shelf.unit, log=shelf.log).step()
    assert await shelf.found("aurora") == 1


async def test_a_failing_index_loses_nothing_and_says_that_it_is_partial(shelf: Any) -> None:
    broken = Broken(shelf.index)
    indexer = Indexer(broken, shelf.unit, log=shelf.log)  # type: ignore[arg-type]
    await indexer.step()
    broken.failures = 1
    await shelf.put("Aurora")
    with pytest.raises(Unavailable):
        await indexer.step()
    assert indexer.completeness() == "partial"
    await indexer.step()
    assert indexer.completeness() == "whole"
    assert await shelf.found("aurora") == 1


async def test_a_walk_goes_on_where_it_was_interrupted(shelf: Any) -> None:
    await shelf.put(*(f"Flood {number}" for number in range(700)))
    await shelf.indexer.step()
    await shelf.lose_the_index()
    broken = Broken(shelf.index)
    broken.late_failures = 1
    indexer = Indexer(broken, shelf.unit, log=shelf.log)  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        await indexer.step()
    assert (await shelf.next_batch()).walking
    assert await eventually(shelf.index.count) == 250
    restarted = Indexer(shelf.index, shelf.unit, log=shelf.log)
    await shelf.put("Flood meanwhile")
    await restarted.step()
    assert await shelf.index.count() == 701
    assert restarted.completeness() == "whole"


async def test_a_document_that_the_engine_refuses_stops_no_other_and_is_noted(shelf: Any) -> None:
    class Picky(Broken):
        async def apply(
            self, changes: Sequence[Change], *, stamp: int, more: bool = False
        ) -> Mapping[UUID, str]:
            bad = {x.id for x in changes if x.document and x.document.title == "Bad"}
            await shelf.index.apply([x for x in changes if x.id not in bad], stamp=stamp, more=more)
            return dict.fromkeys(bad, "too bad")

    bad, _ = await shelf.put("Bad", "Good")
    await Indexer(Picky(shelf.index), shelf.unit, log=shelf.log).step()  # type: ignore[arg-type]
    assert await shelf.found("good") == 1
    assert await shelf.refused() == {bad: "too bad"}
    async with shelf.unit() as unit:
        await unit.documents.put(Entry(Document(bad, "track", new_id(), public=True, title="Better"), 2, {}))
    assert await shelf.refused() == {}
    await shelf.indexer.step()
    assert await shelf.found("better") == 1


async def test_more_than_a_batch_is_indexed_and_deleted(shelf: Any) -> None:
    ids = await shelf.put(*(f"Flood {number}" for number in range(1100)))
    await shelf.indexer.step()
    assert await shelf.index.count() == 1100
    async with shelf.unit() as unit:
        for one in ids[:600]:
            await unit.documents.bury(one, "track", revision=2)
    await shelf.indexer.step()
    assert await shelf.index.count() == 500


async def test_a_service_whose_index_was_removed_makes_it_anew_at_the_start(
    settings: Settings, tmp_path: Path, make_shelf: Any
) -> None:
    shelf = make_shelf(settings)
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


async def test_a_new_document_is_found_within_a_second(settings: Settings, make_shelf: Any) -> None:
    app = create_app(settings)
    async with running(app) as client:
        shelf = make_shelf(settings)
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


_WRITER = """
import asyncio, sys
from functools import partial
sys.path.insert(0, {tests!r})
from antiphon_common.clock import SystemClock
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.logs import open_log
from antiphon_search.adapters import open_index
from antiphon_search.adapters.elasticsearch_index import ElasticsearchIndex
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
    settings: Settings, tmp_path: Path, make_shelf: Any
) -> None:
    script = _WRITER.format(tests=str(tmp_path), database=settings.database_url, index=settings.index_url)
    for pause in (0.05, 0.33, 0.61):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(pause)
            os.kill(process.pid, signal.SIGKILL)
    shelf = make_shelf(settings)
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
