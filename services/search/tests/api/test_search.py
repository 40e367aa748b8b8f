"""Search over HTTP, fed by the events of catalog, playlist and library."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.pages import encode_cursor
from antiphon_common.testing.running import drained, eventually, publish
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.catalog import (
    AlbumChanged,
    AlbumDeleted,
    ArtistChanged,
    ArtistDeleted,
    TrackChanged,
    TrackDeleted,
)
from antiphon_contracts.event import Event
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_search.domain import Filters
from antiphon_search.settings import Settings

ANA, BEN = new_id(), new_id()


def track(subject: UUID | None = None, *, revision: int = 1, **changes: object) -> TrackChanged:
    return TrackChanged.model_validate(
        {
            "subject": subject or new_id(), "revision": revision, "owner_id": ANA, "upload_id": new_id(),
            "status": "published", "visibility": "public", "title": "Aurora Borealis",
            "artists": [{"artist_id": new_id(), "name": "Björk"}], "album_id": new_id(),
            "album_title": "Northern Lights", "genres": ["Electronic"], "release_date": "1997-05-01",
            "audio": {
                "blob_key": "a/b", "mime": "audio/mpeg", "codec": "mp3", "bytes": 1, "sha256": "0" * 64,
                "bitrate": 1, "sample_rate": 1, "channels": 2, "duration_ms": 1000,
            },
            "created_at": "2026-01-01T00:00:00Z", **changes,
        }
    )  # fmt: skip


def artist(subject: UUID | None = None, *, revision: int = 1, listed: bool = True) -> ArtistChanged:
    return ArtistChanged(
        subject=subject or new_id(), revision=revision, owner_id=ANA, name="Sigur Rós", listed=listed
    )


def album(subject: UUID | None = None, *, revision: int = 1, listed: bool = True) -> AlbumChanged:
    return AlbumChanged(
        subject=subject or new_id(), revision=revision, owner_id=ANA, title="Ágætis byrjun", kind="album",
        artists=(), listed=listed, release_date="1999",
    )  # fmt: skip


def playlist(
    subject: UUID | None = None, *, revision: int = 1, visibility: str = "public"
) -> PlaylistChanged:
    return PlaylistChanged.model_validate(
        {"subject": subject or new_id(), "revision": revision, "owner_id": ANA, "title": "Road Trip",
         "description": "Long and loud", "visibility": visibility, "item_count": 3}
    )  # fmt: skip


class House:
    """Publishes events and waits until the index has them."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings) -> None:
        self.client = client
        self._settings = settings

    async def hears(self, *events: Event) -> None:
        await publish(self._settings.bus_url, events)
        await drained(self._settings.bus_url, "search")
        await eventually(self._waiting, lambda waiting: waiting == 0)
        # The walk of a new index may still be on its way to find that there is nothing more.
        await eventually(self._unknown, lambda status: status == 200)

    async def _unknown(self) -> int:
        return (await self.client.get("/api/search/suggest?q=zzzzzz")).status_code

    async def _waiting(self) -> int:
        database = Database(self._settings.database_url)
        async with database.read() as connection:
            waiting = await connection.exec_driver_sql("SELECT count(*) FROM document WHERE dirty")
        await database.stop()
        return int(waiting.scalar_one())

    async def ask(
        self, q: str, *, path: str = "", headers: dict[str, str] | None = None, **more: object
    ) -> dict:
        answer = await self.client.get(f"/api/search{path}", params={"q": q, **more}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def total(self, q: str, *, headers: dict[str, str] | None = None) -> int:
        answer = await self.client.get("/api/search", params={"q": q}, headers=headers)
        body = answer.json()
        return (
            sum(body[kind]["total"] for kind in ("tracks", "artists", "albums", "playlists"))
            if "top" in body
            else 0
        )


@pytest.fixture
def house(client: httpx.AsyncClient, settings: Settings) -> House:
    return House(client, settings)


async def test_a_published_track_is_found_by_a_misspelt_word(house: House) -> None:
    published = track()
    await house.hears(published)
    found = await house.ask("bjrok")
    assert found["tracks"]["total"] == 1
    item = found["tracks"]["items"][0]
    assert (item["id"], item["title"], item["album"]["title"]) == (
        str(published.subject), "Aurora Borealis", "Northern Lights",
    )  # fmt: skip
    assert found["top"] == item
    assert found["did_you_mean"] == "björk"
    assert item["highlights"] == [{"field": "artists.0.name", "start": 0, "end": 5}]
    assert found["degraded"] is False


async def test_every_kind_is_found_and_shown(house: House) -> None:
    await house.hears(track(), artist(), album(), playlist())
    assert (await house.ask("sigur ros"))["artists"]["items"][0]["name"] == "Sigur Rós"
    assert (await house.ask("agaetis"))["albums"]["items"][0]["type"] == "album"
    found = (await house.ask("road trip"))["playlists"]["items"][0]
    assert (found["item_count"], found["owner_id"]) == (3, str(ANA))
    assert (await house.ask("loud", path="/playlists"))["items"][0]["highlights"] == [
        {"field": "description", "start": 9, "end": 13}
    ]


async def test_types_genre_and_years_limit_what_is_found(house: House) -> None:
    await house.hears(
        track(title="Same"), track(title="Same", genres=["Rock"], release_date="2010"), artist()
    )
    assert (await house.ask("same", genre="ROCK"))["tracks"]["total"] == 1
    assert (await house.ask("same", year_to=2000))["tracks"]["total"] == 1
    assert (await house.ask("same", year_from=1990, year_to=2020))["tracks"]["total"] == 2
    only = await house.ask("sigur", types="tracks,album")
    assert only["artists"] == {"items": [], "total": 0}
    assert (await house.ask("sigur", types="artist"))["artists"]["total"] == 1


@pytest.mark.parametrize(
    "hidden",
    [
        {"visibility": "private"}, {"visibility": "unlisted"}, {"status": "draft"}, {"status": "withdrawn"},
    ],
)  # fmt: skip
async def test_what_is_not_listed_is_found_by_its_owner_alone(
    house: House, tokens: TokenMaker, hidden: dict[str, str]
) -> None:
    await house.hears(track(title="Canary Secret", **hidden))
    for headers in ({}, tokens.bearer(BEN), tokens.bearer(BEN, roles=("admin",))):
        found = await house.ask("canary secret", headers=headers)
        assert (found["tracks"], found["top"], found["did_you_mean"]) == (
            {"items": [], "total": 0},
            None,
            None,
        )
        assert (await house.ask("canary", path="/tracks", headers=headers))["total"] == 0
        assert (await house.ask("cana", path="/suggest", headers=headers))["items"] == []
        assert (await house.ask("canray", headers=headers))["did_you_mean"] is None
    mine = await house.ask("canary", headers=tokens.bearer(ANA))
    assert mine["tracks"]["total"] == 1
    assert len((await house.ask("cana", path="/suggest", headers=tokens.bearer(ANA)))["items"]) == 1


async def test_unlisted_artists_albums_and_private_playlists_are_not_found(house: House) -> None:
    await house.hears(artist(listed=False), album(listed=False), playlist(visibility="unlisted"))
    for words in ("sigur ros", "agaetis byrjun", "road trip"):
        assert await house.total(words) == 0


async def test_a_withdrawal_is_obeyed_before_the_index_hears_of_it(house: House, settings: Settings) -> None:
    published = track(title="Short Lived")
    await house.hears(published)
    await publish(
        settings.bus_url, [track(published.subject, revision=2, title="Short Lived", status="withdrawn")]
    )
    await drained(settings.bus_url, "search")
    assert await house.total("short lived") == 0


async def test_a_change_replaces_and_a_deletion_removes(house: House) -> None:
    one, who, record, listing = track(title="First Name"), artist(), album(), playlist()
    await house.hears(one, who, record, listing, track(one.subject, revision=2, title="Second Name"))
    assert await house.total("first name") == 0
    assert await house.total("second name") == 1
    await house.hears(
        TrackDeleted(subject=one.subject, revision=3, owner_id=ANA, upload_id=ANA),
        ArtistDeleted(subject=who.subject, revision=2),
        AlbumDeleted(subject=record.subject, revision=2),
        PlaylistDeleted(subject=listing.subject, revision=2, owner_id=ANA),
    )
    for words in ("second name", "sigur", "agaetis", "road"):
        assert await house.total(words) == 0


async def test_any_order_and_any_repetition_end_the_same(house: House) -> None:
    kept, gone = new_id(), new_id()
    newest = track(kept, revision=3, title="Final Title")
    buried = TrackDeleted(subject=gone, revision=5, owner_id=ANA, upload_id=ANA)
    for _ in range(2):
        await house.hears(newest, buried, newest, track(kept, revision=1, title="Old Title"))
        await house.hears(
            track(gone, revision=4, title="Ghost"), buried, track(gone, revision=1, title="Ghost")
        )
        assert await house.total("old title") == 0
        assert await house.total("final title") == 1
        assert await house.total("ghost") == 0


async def test_an_older_count_that_arrives_late_is_ignored(house: House) -> None:
    played, liked, plain = track(title="Twin"), track(title="Twin"), track(title="Twin")
    await house.hears(
        played, liked, plain, TrackPlaysCounted(subject=plain.subject, revision=1, play_count=100),
        TrackPlaysCounted(subject=played.subject, revision=2, play_count=900),
        TrackPlaysCounted(subject=played.subject, revision=1, play_count=1),
        TrackLikesCounted(subject=liked.subject, revision=8, like_count=1000),
        TrackLikesCounted(subject=liked.subject, revision=6, like_count=0),
    )  # fmt: skip
    items = (await house.ask("twin", path="/tracks"))["items"]
    assert [item["id"] for item in items] == [str(one.subject) for one in (liked, played, plain)]


@pytest.mark.parametrize("older", [artist, album, playlist])
async def test_an_older_event_of_any_kind_is_ignored(house: House, older: Any) -> None:
    subject = new_id()
    hidden = {artist: {"listed": False}, album: {"listed": False}, playlist: {"visibility": "private"}}[older]
    await house.hears(older(subject, revision=2, **hidden), older(subject, revision=1))
    for words in ("sigur ros", "agaetis", "road trip"):
        assert await house.total(words) == 0


async def test_an_event_of_the_same_revision_heals(house: House) -> None:
    one = track(title="Broken")
    await house.hears(one, track(one.subject, title="Healed"))
    assert await house.total("healed") == 1


async def test_counts_decide_among_equals_also_when_they_come_first(house: House) -> None:
    plain, played, liked = track(title="Twin"), track(title="Twin"), track(title="Twin")
    await house.hears(
        TrackPlaysCounted(subject=played.subject, revision=1, play_count=500),
        plain, played, liked, TrackLikesCounted(subject=liked.subject, revision=1, like_count=5000),
    )  # fmt: skip
    items = (await house.ask("twin", path="/tracks"))["items"]
    assert [item["id"] for item in items] == [str(one.subject) for one in (liked, played, plain)]


async def test_pages_follow_each_other_and_end(house: House) -> None:
    await house.hears(*(track(title=f"Page {number}") for number in range(7)))
    seen, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = await house.ask("page", path="/tracks", limit=3, **more)
        seen += [item["id"] for item in page["items"]]
        assert page["total"] == 7
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7


async def test_a_cursor_of_another_question_or_a_changed_one_is_refused(
    house: House, client: httpx.AsyncClient, tokens: TokenMaker
) -> None:
    await house.hears(track(), track())
    cursor = (await house.ask("aurora", path="/tracks", limit=1))["next_cursor"]
    for path, params, headers in (
        ("tracks", {"q": "borealis", "cursor": cursor}, {}),
        ("albums", {"q": "aurora", "cursor": cursor}, {}),
        ("tracks", {"q": "aurora", "cursor": cursor, "genre": "x"}, {}),
        ("tracks", {"q": "aurora", "cursor": cursor}, tokens.bearer(ANA)),
        ("tracks", {"q": "aurora", "cursor": cursor[:-1] + ("A" if cursor[-1] != "A" else "B")}, {}),
        ("tracks", {"q": "aurora", "cursor": "9e9"}, {}),
    ):
        answer = await client.get(f"/api/search/{path}", params=params, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor"), path


async def test_no_page_lies_deeper_than_a_thousand_hits(house: House, client: httpx.AsyncClient) -> None:
    await house.hears(track())
    scope = f"search track {'aurora'!r} {Filters()!r}"
    for depth in (1000, 10**12, 2**63 - 1, 0, -1, True):
        forged = {"q": "aurora", "cursor": encode_cursor(scope, (depth,))}
        answer = await client.get("/api/search/tracks", params=forged)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor"), depth
    last = {"q": "aurora", "cursor": encode_cursor(scope, (999,)), "limit": 100}
    answer = await client.get("/api/search/tracks", params=last)
    assert (answer.status_code, answer.json()["next_cursor"]) == (200, None)


async def test_suggestions_are_names_and_none_comes_twice(house: House) -> None:
    await house.hears(track(title="Sigur Rós"), artist(), track(title="Signal"), track(title="Other"))
    found = await house.ask("sig", path="/suggest")
    assert sorted(item["text"] for item in found["items"]) == ["Signal", "Sigur Rós"]
    assert found["items"][0]["highlights"] == [{"field": "text", "start": 0, "end": 3}]
    assert len((await house.ask("sig", path="/suggest", limit=1))["items"]) == 1


BAD_QUESTIONS = (
    "", "q=", "q=" + "x" * 201, "q=a&limit=0", "q=a&limit=51", "q=a&limit=9e9", "q=a&types=songs",
    "q=a&types=", "q=a&year_from=-1", "q=a&year_to=12345", "q=a&genre=", "q=a&q=b", "q=%00", "q=%ff",
    "q=a&role=admin", "q=a&viewer=018f0000-0000-7000-8000-000000000000", "q=a&cursor=x",
)  # fmt: skip


async def test_a_bad_question_is_refused(client: httpx.AsyncClient) -> None:
    for query in BAD_QUESTIONS:
        answer = await client.get(f"/api/search?{query}")
        assert answer.status_code == 422, query
        assert answer.headers["content-type"] == "application/problem+json"


HOSTILE = (
    "*:*", "title:/.*/", "_exists_:id", '{"match_all":{}}', "AND OR (" * 20, '"' * 200, "\\" * 200,
    "a" * 200,
    "\u202e\u200f", "😀", "𝕬" * 100, "\ud7ff\ue000", "~" * 100, "a~2 b^4", "[* TO *]", "null", "%",
    "' OR 1=1 --",
    "\u0301" * 200, "が" * 200, "a b " * 50, "кри" * 60, "-" * 200, "ß" * 200, "İ" * 200,
)  # fmt: skip


async def test_no_text_breaks_the_search_or_finds_what_is_hidden(
    house: House, client: httpx.AsyncClient
) -> None:
    await house.hears(track(visibility="private"))
    for typed in HOSTILE:
        for path in ("", "/tracks", "/suggest"):
            answer = await client.get(f"/api/search{path}", params={"q": typed})
            assert answer.status_code == 200, (typed, answer.text)
            assert "Aurora" not in answer.text, typed


async def test_markup_in_a_title_stays_text(house: House) -> None:
    title = "<b>Bold</b> <script>alert(1)</script>"
    await house.hears(track(title=title))
    item = (await house.ask("bold"))["tracks"]["items"][0]
    assert item["title"] == title
    assert {"field": "title", "start": 3, "end": 7} in item["highlights"]


async def test_a_bad_token_is_refused_not_ignored(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/search?q=a", headers={"authorization": "Bearer nonsense"})
    assert answer.status_code == 401
