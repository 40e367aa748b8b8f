"""What every index adapter promises about batches, stamps and damage."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from antiphon_common.errors import Unavailable
from antiphon_common.ids import new_id
from antiphon_search.adapters import open_index
from antiphon_search.domain import KINDS, Document, Filters, SearchRequest, read_query
from antiphon_search.ports import SearchIndex


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"tantivy://{tmp_path}/index"


@pytest.fixture
async def index(url: str) -> AsyncIterator[SearchIndex]:
    opened = open_index(url)
    await opened.start()
    yield opened
    await opened.stop()


def _track(title: str) -> Document:
    return Document(id=new_id(), kind="track", owner_id=new_id(), public=True, title=title)


async def _titles(index: SearchIndex, typed: str, known: list[Document]) -> list[str]:
    found = await index.search(SearchRequest(read_query(typed), KINDS, Filters(), limit=50))
    names = {document.id: document.title for document in known}
    return sorted(names[hit.id] for hit in found.best_first())


async def test_a_batch_is_found_when_apply_returns(index: SearchIndex) -> None:
    one = _track("Aurora")
    await index.apply([one], [], stamp=1)
    assert await _titles(index, "aurora", [one]) == ["Aurora"]


async def test_a_put_replaces_the_document_with_the_same_id(index: SearchIndex) -> None:
    one = _track("Aurora")
    for stamp in (1, 2, 3):
        await index.apply([one], [], stamp=stamp)
    renamed = replace(one, title="Borealis")
    await index.apply([renamed], [], stamp=4)
    assert await index.count() == 1
    assert await _titles(index, "aurora", [renamed]) == []
    assert await _titles(index, "borealis", [renamed]) == ["Borealis"]


async def test_a_deleted_document_is_found_no_more(index: SearchIndex) -> None:
    one, two = _track("Aurora one"), _track("Aurora two")
    await index.apply([one, two], [], stamp=1)
    await index.apply([], [one.id, new_id()], stamp=2)
    assert await _titles(index, "aurora", [one, two]) == ["Aurora two"]
    assert await index.count("track") == 1
    assert await index.count("artist") == 0


async def test_an_empty_index_has_no_stamp(index: SearchIndex) -> None:
    assert await index.stamp() is None
    assert await index.count() == 0
    assert await _titles(index, "anything", []) == []


async def test_the_stamp_survives_reopening(url: str) -> None:
    one = _track("Aurora")
    first = open_index(url)
    await first.start()
    await first.apply([one], [], stamp=7)
    await first.stop()
    second = open_index(url)
    await second.start()
    assert await second.stamp() == 7
    assert await _titles(second, "aurora", [one]) == ["Aurora"]
    await second.stop()


async def test_a_wiped_index_is_empty_and_usable(index: SearchIndex) -> None:
    one = _track("Aurora")
    await index.apply([one], [], stamp=7)
    await index.wipe()
    assert await index.stamp() is None
    await index.apply([one], [], stamp=1)
    assert await _titles(index, "aurora", [one]) == ["Aurora"]


async def test_a_damaged_directory_opens_as_an_empty_index(url: str, tmp_path: Path) -> None:
    first = open_index(url)
    await first.start()
    await first.apply([_track("Aurora")], [], stamp=7)
    await first.stop()
    for file in (tmp_path / "index" / "v2").iterdir():
        if file.is_file() and file.name != ".tantivy-writer.lock":
            file.write_bytes(b"damaged")
    second = open_index(url)
    await second.start()
    assert await second.stamp() is None
    await second.apply([_track("Aurora")], [], stamp=1)
    assert await second.count() == 1
    await second.stop()


async def test_a_directory_of_an_older_format_is_removed(url: str, tmp_path: Path) -> None:
    old = tmp_path / "index" / "v0"
    old.mkdir(parents=True)
    (old / "meta.json").write_text("{}")
    opened = open_index(url)
    await opened.start()
    await opened.stop()
    assert not old.exists()


async def test_an_index_that_is_not_open_is_unavailable(url: str) -> None:
    with pytest.raises(Unavailable):
        await open_index(url).count()


async def test_pages_of_equals_do_not_overlap(index: SearchIndex) -> None:
    tracks = [_track("Same Name") for _ in range(60)]
    for number, track in enumerate(tracks):
        await index.apply([track], [], stamp=number + 1)
    seen = []
    for offset in range(0, 60, 7):
        request = SearchRequest(read_query("same name"), ("track",), Filters(), limit=7, offset=offset)
        seen += [hit.id for hit in (await index.search(request)).best_first()]
    assert len(seen) == len(set(seen)) == 60


async def test_the_private_are_not_in_the_totals_of_others(index: SearchIndex) -> None:
    mine = replace(_track("Canary"), public=False)
    await index.apply([mine, _track("Canary bird")], [], stamp=1)
    for viewer, total in ((None, 1), (new_id(), 1), (mine.owner_id, 2)):
        request = SearchRequest(read_query("canary"), ("track",), Filters(viewer=viewer), limit=1)
        assert (await index.search(request)).groups["track"].total == total
