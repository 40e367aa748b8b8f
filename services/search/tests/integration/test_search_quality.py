"""The quality suite: one list of queries and what they must find, for every adapter of the index port."""

import os
import tomllib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
import pytest_asyncio

from antiphon_common.testing.isolation import elasticsearch_alias
from antiphon_common.testing.servers import Servers
from antiphon_search.adapters import open_index
from antiphon_search.domain import (
    KINDS,
    Document,
    Filters,
    Found,
    SearchRequest,
    did_you_mean,
    popularity,
    read_query,
)
from antiphon_search.ports import Change, SearchIndex

_DATA: dict[str, Any] = tomllib.loads((Path(__file__).parent / "quality.toml").read_text())
_NAMES = UUID("6f1a4b8e-0000-4000-8000-000000000000")
_DELETED = frozenset(_DATA["deleted"])
ADAPTERS = {"embedded": ["tantivy"], "server": ["elasticsearch"]}


def _id(slug: str) -> UUID:
    return uuid5(_NAMES, slug)


def _document(slug: str, kind: Any, title: str, more: dict[str, Any]) -> Document:
    return Document(
        id=_id(slug),
        kind=kind,
        owner_id=_id(more.get("owner", "somebody")),
        public="owner" not in more,
        title=title,
        artists=tuple(more.get("artists", ())),
        extra=more.get("extra", ""),
        genres=tuple(more.get("genres", ())),
        year=more.get("year"),
        popularity=popularity(plays=more.get("plays", 0), likes=0),
    )


DOCUMENTS = {row[0]: _document(*row) for row in _DATA["documents"]}
_SLUGS = {document.id: slug for slug, document in DOCUMENTS.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query found, as slugs, best first."""

    slugs: list[str]
    total: int
    meant: str | None
    suggested: list[str]


@pytest.fixture(
    scope="module",
    params=ADAPTERS.get(os.environ.get("ANTIPHON_TEST_PROFILE", ""), ["tantivy", "elasticsearch"]),
)
def url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, servers: Servers
) -> Iterator[str]:
    """An unused index of each engine, for all rows."""
    if request.param == "tantivy":
        yield f"tantivy://{tmp_path_factory.mktemp('index')}"
        return
    with elasticsearch_alias(servers.need("elasticsearch")["ELASTICSEARCH_URL"]) as alias:
        yield alias


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def index(url: str) -> AsyncIterator[SearchIndex]:
    opened = open_index(url)
    await opened.start()
    await opened.wipe(stamp=1)
    gone = [Change(document.id, 2, None) for slug, document in DOCUMENTS.items() if slug in _DELETED]
    await opened.apply([Change(x.id, 1, x) for x in DOCUMENTS.values()], stamp=2)
    await opened.apply(gone, stamp=3)
    yield opened
    await opened.stop()


async def _ask(index: SearchIndex, typed: str, wanted: dict[str, Any]) -> Answer:
    viewer = _id(wanted["viewer"]) if "viewer" in wanted else None
    filters = Filters(viewer, wanted.get("genre"), wanted.get("year_from"), wanted.get("year_to"))
    query = read_query(typed)
    kinds = tuple(wanted.get("kinds", KINDS))
    found = await index.search(SearchRequest(query, kinds, filters, limit=100))
    slugs = _best_first(found)
    best = DOCUMENTS[slugs[0]] if slugs else None
    meant = did_you_mean(query, [best.title, *best.artists, best.extra]) if best else None
    suggested = [_SLUGS[hit.id] for hit in await index.suggest(query, filters, limit=8)]
    return Answer(slugs, sum(group.total for group in found.groups.values()), meant, suggested)


def _best_first(found: Found) -> list[str]:
    return [_SLUGS[hit.id] for hit in found.best_first()]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("why", "typed", "wanted"), _DATA["queries"], ids=[row[0] for row in _DATA["queries"]]
)
async def test_people_find_what_they_look_for(
    index: SearchIndex, why: str, typed: str, wanted: dict[str, Any]
) -> None:
    answer = await _ask(index, typed, wanted)
    assert answer.total == len(answer.slugs), "totals count exactly what the viewer may find"
    if "first" in wanted:
        assert answer.slugs[:1] == [wanted["first"]], answer
    if "has" in wanted:
        assert set(wanted["has"]) <= set(answer.slugs), answer
    if "only" in wanted:
        assert set(answer.slugs) == set(wanted["only"]), answer
    if "order" in wanted:
        assert [slug for slug in answer.slugs if slug in wanted["order"]] == wanted["order"], answer
    if wanted.get("none"):
        assert answer.slugs == [], answer
    if "meant" in wanted:
        assert (answer.meant or "") == wanted["meant"], answer
    if "suggests" in wanted:
        assert answer.suggested[: len(wanted["suggests"]) or None] == wanted["suggests"], answer


ASKED = {"viewer", "kinds", "genre", "year_from", "year_to"}
EXPECTED = {"first", "has", "only", "order", "none", "meant", "suggests"}


def test_the_suite_is_large_enough_and_every_row_of_it_expects_something() -> None:
    assert len(_DATA["queries"]) >= 150
    assert len(DOCUMENTS) == len(_DATA["documents"])
    for why, _, wanted in _DATA["queries"]:
        assert wanted.keys() & EXPECTED, why
        assert wanted.get("has") != [], why
        assert wanted.keys() <= ASKED | EXPECTED, why
