"""Patching, publishing, withdrawing and deleting tracks, and the events of it."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import httpx
import pytest

from antiphon_catalog.settings import Settings
from antiphon_common.ids import new_id
from antiphon_common.testing.running import Recorder
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.catalog import AlbumChanged, ArtistChanged, ArtistDeleted, TrackChanged, TrackDeleted
from antiphon_contracts.event import Event
from antiphon_contracts.file import UploadReady
from antiphon_contracts.library import TrackPlaysCounted

MakeUpload = Callable[..., UploadReady]
Tell = Callable[[Sequence[Event]], Awaitable[None]]


@pytest.fixture
def owner() -> UUID:
    return new_id()


@pytest.fixture
def headers(tokens: TokenMaker, owner: UUID) -> dict[str, str]:
    return tokens.bearer(owner, roles=("artist",))


@pytest.fixture
async def path(
    client: httpx.AsyncClient, headers: dict[str, str], owner: UUID, tell: Tell, upload: MakeUpload
) -> str:
    """The address of a published track of the owner."""
    await tell([upload(owner, album="One", genres=("Jazz",), cover_id=new_id())])
    items = (await client.get("/api/tracks?mine=true", headers=headers)).json()["items"]
    return f"/api/tracks/{items[0]['id']}"


async def test_a_patch_changes_what_it_names_and_is_announced_once(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, path: str
) -> None:
    before = (await client.get(path)).json()
    body = {
        "title": "New", "artists": [{"name": "Bob"}, {"name": "Eve", "role": "featured"}], "album": "Two",
        "disc_number": 2, "track_number": 7, "genres": ["Pop", "pop", "Folk"], "explicit": True,
        "release_date": "1999-12-31", "visibility": "unlisted", "cover_id": str(new_id()),
    }  # fmt: skip
    async with Recorder(settings.bus_url, TrackChanged, ArtistDeleted) as recorder:
        answer = await client.patch(path, json=body, headers=headers)
        events = await recorder.wait_for(2)
    after = answer.json()
    assert answer.status_code == 200
    assert [(a["name"], a["join_phrase"]) for a in after["artists"]] == [("Bob", " feat. "), ("Eve", "")]
    assert (after["title"], after["album"]["title"], after["genres"]) == ("New", "Two", ["Pop", "Folk"])
    assert (after["disc_number"], after["track_number"], after["explicit"]) == (2, 7, True)
    assert (after["release_date"], after["visibility"]) == ("1999-12-31", "unlisted")
    assert (after["cover"], after["dominant_color"]) == (body["cover_id"], None)
    assert (after["revision"], after["created_at"]) == (2, before["created_at"])
    (changed,) = [e for e in events if isinstance(e, TrackChanged)]
    assert (changed.revision, changed.title, changed.album_title) == (2, "New", "Two")
    (gone,) = [e for e in events if isinstance(e, ArtistDeleted)]
    assert str(gone.subject) == before["artists"][0]["id"]


async def test_a_patch_that_changes_nothing_makes_no_revision(
    client: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    for body in ({}, {"title": "Song"}, {"album": "ONE"}, {"artists": [{"name": "ada"}]}):
        answer = await client.put(path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["revision"]) == (200, 1), body


async def test_null_clears_what_may_be_empty_and_is_refused_elsewhere(
    client: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    cleared = await client.patch(
        path, json={"album": None, "release_date": None, "cover_id": None}, headers=headers
    )
    assert (cleared.json()["album"], cleared.json()["cover"]) == (None, None)
    for name in ("title", "artists", "genres", "explicit", "visibility"):
        refused = await client.patch(path, json={name: None}, headers=headers)
        assert refused.status_code == 422, name


BAD = [
    {"name": "x"}, {"id": str(UUID(int=1))}, {"owner_id": str(UUID(int=1))}, {"revision": 9},
    {"play_count": 1}, {"status": "published"}, {"title": ""}, {"title": "a\nb"}, {"title": 7},
    {"title": "x" * 301}, {"title": "a\u202eb"}, {"artists": []}, {"artists": [{}]},
    {"artists": [{"name": "A", "artist_id": str(UUID(int=1))}]}, {"artists": [{"name": "A", "role": "king"}]},
    {"artists": [{"name": "A", "join_phrase": "\u0007"}]},
    {"album": 7},
    {"track_number": 0}, {"track_number": 10**30}, {"track_number": "3"}, {"disc_number": 1.5},
    {"genres": ["x"] * 11}, {"release_date": "2024-13"}, {"release_date": "soon"}, {"visibility": "secret"},
    {"cover_id": "x"}, {"explicit": "true"},
]  # fmt: skip


async def test_a_bad_patch_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    before = (await client.get(path)).json()
    for body in BAD:
        answer = await client.patch(path, json=body, headers=headers)
        assert answer.status_code == 422, body
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.get(path)).json() == before


async def test_artists_and_albums_of_others_cannot_be_named(
    client: httpx.AsyncClient, headers: dict[str, str], path: str, tell: Tell, upload: MakeUpload
) -> None:
    await tell([upload(title="Theirs", artists=("Zoe",), album="Zone")])
    theirs = next(t for t in (await client.get("/api/tracks")).json()["items"] if t["title"] == "Theirs")
    before = (await client.get(path)).json()
    artist = {"artists": [{"artist_id": theirs["artists"][0]["id"]}]}
    nobody = {"artists": [{"artist_id": str(UUID(int=1))}]}
    album = {"album": {"id": theirs["album"]["id"]}}
    twice = {"artists": [{"name": "A"}, {"name": "a"}]}
    for body, code in (
        (artist, "unknown_artist"), (nobody, "unknown_artist"), (album, "unknown_album"),
        (twice, "duplicate_artist"),
    ):  # fmt: skip
        answer = await client.patch(path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert (await client.get(path)).json() == before


async def test_if_match_admits_the_present_revision_only(
    client: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    tag = (await client.get(path)).headers["etag"]
    first = await client.patch(path, json={"title": "A"}, headers={**headers, "if-match": tag})
    assert first.status_code == 200
    for method in ("PATCH", "PUT", "DELETE"):
        body = {"title": "B"} if method != "DELETE" else None
        for stale in (tag, '"1"', 'W/"2"', '"nonsense"', '"99999999999999999999"'):
            answer = await client.request(method, path, json=body, headers={**headers, "if-match": stale})
            assert (answer.status_code, answer.json()["code"]) == (412, "stale_revision"), stale
    for good in (first.headers["etag"], '"2"', '"1", "2"', "*"):
        answer = await client.patch(path, json={"title": "A"}, headers={**headers, "if-match": good})
        assert answer.status_code == 200, good


async def test_an_unchanged_track_is_a_304_and_any_change_is_not(
    client: httpx.AsyncClient, headers: dict[str, str], path: str, tell: Tell
) -> None:
    tag = (await client.get(path)).headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        same = await client.get(path, headers={"if-none-match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    await client.patch(path, json={"explicit": True}, headers=headers)
    changed = await client.get(path, headers={"if-none-match": tag})
    assert changed.status_code == 200
    # A count makes no revision, and is shown all the same.
    await tell([TrackPlaysCounted(subject=UUID(changed.json()["id"]), revision=1, play_count=3)])
    counted = await client.get(path, headers={"if-none-match": changed.headers["etag"]})
    assert (counted.status_code, counted.json()["play_count"]) == (200, 3)
    kept = {**headers, "if-match": changed.headers["etag"]}
    assert (await client.patch(path, json={"explicit": False}, headers=kept)).status_code == 200


async def test_withdrawing_and_publishing_again_is_told_and_keeps_the_date(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, path: str
) -> None:
    before = (await client.get(path)).json()
    async with Recorder(settings.bus_url, TrackChanged, ArtistChanged, AlbumChanged) as recorder:
        for _ in range(2):
            assert (await client.delete(f"{path}/publication", headers=headers)).status_code == 204
        assert (await client.get(path)).status_code == 404
        for _ in range(2):
            answer = await client.post(f"{path}/publication", headers=headers)
            assert answer.status_code == 200
        events = await recorder.wait_for(6)
    after = answer.json()
    assert (after["status"], after["revision"]) == ("published", 3)
    assert after["published_at"] == before["published_at"]
    states = [(e.status, e.revision) for e in events if isinstance(e, TrackChanged)]
    assert states == [("withdrawn", 2), ("published", 3)]
    for kind in (ArtistChanged, AlbumChanged):
        assert [(e.listed, e.revision) for e in events if isinstance(e, kind)] == [(False, 2), (True, 3)]


async def test_a_draft_is_completed_by_its_upload_id(
    client: httpx.AsyncClient, headers: dict[str, str], owner: UUID, tokens: TokenMaker, tell: Tell,
    upload: MakeUpload,
) -> None:  # fmt: skip
    event = upload(owner, artists=(), album="Loose")
    await tell([event])
    body = {"upload_id": str(event.subject)}
    incomplete = await client.post("/api/tracks", json=body, headers=headers)
    assert (incomplete.status_code, incomplete.json()["code"]) == (409, "track_incomplete")
    listener = await client.post("/api/tracks", json=body, headers=tokens.bearer(owner))
    assert listener.status_code == 403
    body["artists"] = [{"name": "Ada"}]
    stranger = await client.post("/api/tracks", json=body, headers=tokens.bearer(roles=("artist",)))
    assert (stranger.status_code, stranger.json()["code"]) == (404, "upload_not_found")
    made = await client.post("/api/tracks", json=body, headers=headers)
    assert (made.status_code, made.json()["status"]) == (201, "published")
    assert made.json()["album"]["title"] == "Loose"
    again = await client.post("/api/tracks", json=body, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "already_a_track")
    (album,) = (await client.get("/api/albums")).json()["items"]
    assert [a["name"] for a in album["artists"]] == ["Ada"]


async def test_a_deleted_track_is_gone_and_its_upload_cannot_bring_it_back(
    client: httpx.AsyncClient, headers: dict[str, str], owner: UUID, settings: Settings, tell: Tell,
    upload: MakeUpload,
) -> None:  # fmt: skip
    event = upload(owner)
    await tell([event])
    (track,) = (await client.get("/api/tracks")).json()["items"]
    async with Recorder(settings.bus_url, TrackDeleted) as recorder:
        assert (await client.delete(f"/api/tracks/{track['id']}", headers=headers)).status_code == 204
        (gone,) = await recorder.wait_for(1)
    assert isinstance(gone, TrackDeleted)
    assert (gone.revision, gone.upload_id) == (2, event.subject)
    await tell([event, event.model_copy(update={"revision": 2})])
    assert (await client.get("/api/tracks")).json()["items"] == []
    assert (await client.delete(f"/api/tracks/{track['id']}", headers=headers)).status_code == 404
