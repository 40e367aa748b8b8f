"""What every index adapter promises about batches, stamps and damage."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from antiphon_common.errors import Unavailable
from antiphon_common.ids import new_id
from antiphon_common.testing.running import eventually
from antiphon_search.adapters import open_index
from antiphon_search.domain import KINDS, Document, Filters, SearchRequest, read_query
from antiphon_search.ports import Change, SearchIndex

pytestmark = pytest.mark.once("embedded")


@pytest.fixture
def embedded(tmp_path: Path) -> str:
    return f"tantivy://{tmp_path}/index"


@pytest.fixture
async def index(index_url: str) -> AsyncIterator[SearchIndex]:
    """An empty index with the stamp 10."""
    opened = open_index(index_url)
    await opened.start()
    await opened.wipe(stamp=10)
    yield opened
    await opened.stop()


def _track(title: str) -> Document:
    return Document(id=new_id(), kind="track", owner_id=new_id(), public=True, title=title)


def _put(*documents: Document, version: int = 1) -> list[Change]:
    return [Change(document.id, version, document) for document in documents]


def _gone(*ids: UUID, version: int = 2) -> list[Change]:
    return [Change(one, version, None) for one in ids]


async def _titles(index: SearchIndex, typed: str, known: list[Document]) -> list[str]:
    found = await index.search(SearchRequest(read_query(typed), KINDS, Filters(), limit=50))
    names = {document.id: document.title for document in known}
    return sorted(names[hit.id] for hit in found.best_first())


async def test_a_batch_is_found_when_apply_returns(index: SearchIndex) -> None:
    one = _track("Aurora")
    assert await index.apply(_put(one), stamp=11) == {}
    assert await _titles(index, "aurora", [one]) == ["Aurora"]


async def test_of_a_batch_that_others_follow_all_is_found_within_a_second(index: SearchIndex) -> None:
    one = _track("Aurora")
    await index.apply(_put(one), stamp=11, more=True)
    found = await eventually(lambda: _titles(index, "aurora", [one]), seconds=5)
    assert found == ["Aurora"]


async def test_a_put_replaces_the_document_with_the_same_id(index: SearchIndex) -> None:
    one = _track("Aurora")
    for version in (1, 2, 3):
        await index.apply(_put(one, version=version), stamp=10 + version)
    renamed = replace(one, title="Borealis")
    await index.apply(_put(renamed, version=4), stamp=14)
    assert await index.count() == 1
    assert await _titles(index, "aurora", [renamed]) == []
    assert await _titles(index, "borealis", [renamed]) == ["Borealis"]


async def test_the_same_batch_again_changes_nothing(index: SearchIndex) -> None:
    one, two = _track("Aurora one"), _track("Aurora two")
    await index.apply(_put(one, two), stamp=11)
    for _ in range(2):
        assert await index.apply([*_put(one), *_gone(two.id)], stamp=12) == {}
        assert await _titles(index, "aurora", [one, two]) == ["Aurora one"]
        assert await index.stamp() == 12


async def test_a_deleted_document_is_found_no_more(index: SearchIndex) -> None:
    one, two = _track("Aurora one"), _track("Aurora two")
    await index.apply(_put(one, two), stamp=11)
    await index.apply(_gone(one.id, new_id()), stamp=12)
    assert await _titles(index, "aurora", [one, two]) == ["Aurora two"]
    assert await index.count() == await index.count("track") == 1
    assert await index.count("artist") == 0


async def test_an_index_that_was_never_filled_has_no_stamp(index_url: str) -> None:
    opened = open_index(index_url)
    await opened.start()
    assert await opened.stamp() is None
    await opened.stop()


async def test_an_empty_index_finds_nothing(index: SearchIndex) -> None:
    assert await index.stamp() == 10
    assert await index.count() == 0
    assert await _titles(index, "anything", []) == []


async def test_the_stamp_survives_reopening(index_url: str) -> None:
    one = _track("Aurora")
    first = open_index(index_url)
    await first.start()
    await first.wipe(stamp=6)
    await first.apply(_put(one), stamp=7)
    await first.stop()
    second = open_index(index_url)
    await second.start()
    assert await second.stamp() == 7
    assert await _titles(second, "aurora", [one]) == ["Aurora"]
    await second.stop()


async def test_a_wiped_index_is_empty_and_usable(index: SearchIndex) -> None:
    one = _track("Aurora")
    await index.apply(_put(one, version=5), stamp=17)
    await index.wipe(stamp=3)
    assert (await index.stamp(), await index.count()) == (3, 0)
    await index.apply(_put(one, version=4), stamp=4)
    assert await _titles(index, "aurora", [one]) == ["Aurora"]


async def test_a_damaged_directory_opens_as_an_empty_index(embedded: str, tmp_path: Path) -> None:
    first = open_index(embedded)
    await first.start()
    await first.apply(_put(_track("Aurora")), stamp=7)
    await first.stop()
    for file in (tmp_path / "index" / "v2").iterdir():
        if file.is_file() and file.name != ".tantivy-writer.lock":
            file.write_bytes(b"damaged")
    second = open_index(embedded)
    await second.start()
    assert await second.stamp() is None
    await second.apply(_put(_track("Aurora")), stamp=1)
    assert await second.count() == 1
    await second.stop()


async def test_a_directory_of_an_older_format_is_removed(embedded: str, tmp_path: Path) -> None:
    old = tmp_path / "index" / "v0"
    old.mkdir(parents=True)
    (old / "meta.json").write_text("{}")
    opened = open_index(embedded)
    await opened.start()
    await opened.stop()
    assert not old.exists()


async def test_an_engine_that_failed_once_goes_on(embedded: str, tmp_path: Path) -> None:
    opened = open_index(embedded)
    await opened.start()
    await opened.wipe(stamp=1)
    shutil.rmtree(tmp_path / "index")
    with pytest.raises(Unavailable):
        await opened.apply(_put(_track("Aurora")), stamp=2)
    (tmp_path / "index" / "v2").mkdir(parents=True)
    assert await opened.stamp() is None
    await opened.wipe(stamp=3)
    assert await opened.stamp() == 3
    await opened.stop()


async def test_an_index_that_is_not_open_is_unavailable(index_url: str) -> None:
    with pytest.raises(Unavailable):
        await open_index(index_url).count()


async def test_pages_of_equals_do_not_overlap(index: SearchIndex) -> None:
    tracks = [_track("Same Name") for _ in range(60)]
    for place in range(0, 60, 12):
        await index.apply(_put(*tracks[place : place + 12]), stamp=11 + place)
    seen = []
    for offset in range(0, 60, 7):
        request = SearchRequest(read_query("same name"), ("track",), Filters(), limit=7, offset=offset)
        seen += [hit.id for hit in (await index.search(request)).best_first()]
    assert len(seen) == len(set(seen)) == 60


async def test_the_private_are_not_in_the_totals_of_others(index: SearchIndex) -> None:
    mine = replace(_track("Canary"), public=False)
    await index.apply(_put(mine, _track("Canary bird")), stamp=11)
    for viewer, total in ((None, 1), (new_id(), 1), (mine.owner_id, 2)):
        request = SearchRequest(read_query("canary"), ("track",), Filters(viewer=viewer), limit=1)
        assert (await index.search(request)).groups["track"].total == total
