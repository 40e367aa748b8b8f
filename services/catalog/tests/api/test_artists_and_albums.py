"""Artists and albums over HTTP: how uploads find them, how they are edited, what others are told."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import httpx
import pytest

from antiphon_catalog.settings import Settings
from antiphon_common.ids import new_id
from antiphon_common.testing.running import Recorder
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
from antiphon_contracts.file import UploadReady

MakeUpload = Callable[..., UploadReady]
Tell = Callable[[Sequence[Event]], Awaitable[None]]
Items = list[dict[str, object]]


@pytest.fixture
def owner() -> UUID:
    return new_id()


@pytest.fixture
def headers(tokens: TokenMaker, owner: UUID) -> dict[str, str]:
    return tokens.bearer(owner, roles=("artist",))


async def listed(client: httpx.AsyncClient, path: str, **params: str) -> Items:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    items: Items = answer.json()["items"]
    return items


async def test_uploads_of_one_owner_share_artists_and_albums_whatever_their_case(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload, owner: UUID
) -> None:
    await tell(
        [
            upload(owner, title="1", artists=("Björk",), album="Début"),
            upload(owner, title="2", artists=("BJÖRK feat. Eve",), album="DÉBUT"),
            upload(owner, title="3", artists=("Bjork",), album="Début"),
            upload(title="4", artists=("Björk",), album="Début"),
        ]
    )
    names = sorted(str(artist["name"]) for artist in await listed(client, "/api/artists"))
    assert names == ["Bjork", "Björk", "Björk", "Eve"]
    assert sorted(int(str(a["track_count"])) for a in await listed(client, "/api/albums")) == [1, 1, 2]


@pytest.mark.parametrize(
    "tags",
    [
        {"album_artist": "Various Artists"}, {"album_artist": "VA"}, {"compilation": True},
        {"album_artist": "various artists", "compilation": True},
    ],
)  # fmt: skip
async def test_a_compilation_is_one_album_of_various_artists(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload, owner: UUID, tags: dict[str, object]
) -> None:
    await tell([upload(owner, title=name, artists=(name,), album="Mix", **tags) for name in ("A", "B", "C")])
    (album,) = await listed(client, "/api/albums", type="compilation")
    assert (album["type"], album["track_count"]) == ("compilation", 3)
    credit = album["artists"][0]  # type: ignore[index]
    assert credit["name"] == "Various Artists"
    # In no list, because no track is by them; their page can be opened from the album all the same.
    assert sorted(str(a["name"]) for a in await listed(client, "/api/artists")) == ["A", "B", "C"]
    assert (await client.get(f"/api/artists/{credit['id']}")).status_code == 200
    assert len(await listed(client, f"/api/artists/{credit['id']}/albums")) == 1


async def test_an_album_artist_keeps_an_album_together_and_the_same_title_of_another_apart(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload, owner: UUID
) -> None:
    await tell(
        [
            upload(owner, title="1", artists=("A",), album="Hits", album_artist="Orchestra"),
            upload(owner, title="2", artists=("B",), album="Hits", album_artist="Orchestra"),
            upload(owner, title="3", artists=("A feat. B",), album="Hits"),
            upload(owner, title="4", artists=("B",), album="Hits", compilation=True, album_artist="B"),
        ]
    )
    found = {
        (album["artists"][0]["name"], album["type"]): album["track_count"]  # type: ignore[index]
        for album in await listed(client, "/api/albums")
    }
    assert found == {("Orchestra", "album"): 2, ("A", "album"): 1, ("B", "compilation"): 1}


async def test_a_renamed_artist_is_renamed_on_tracks_and_albums_and_all_are_told(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, tell: Tell, upload: MakeUpload,
    owner: UUID,
) -> None:  # fmt: skip
    await tell([upload(owner, title=str(n), artists=("Ada", "Bob"), album="One") for n in range(2)])
    ada = next(a for a in await listed(client, "/api/artists") if a["name"] == "Ada")
    async with Recorder(settings.bus_url, TrackChanged, AlbumChanged, ArtistChanged) as recorder:
        path = f"/api/artists/{ada['id']}"
        image = str(new_id())
        answer = await client.patch(path, json={"name": "Ada L.", "image_id": image}, headers=headers)
        assert (answer.status_code, answer.json()["name"], answer.json()["image"]) == (200, "Ada L.", image)
        events = await recorder.wait_for(4)
    assert [e.revision for e in events] == [2, 2, 2, 2]
    for track in await listed(client, "/api/tracks"):
        assert [a["name"] for a in track["artists"]] == ["Ada L.", "Bob"]  # type: ignore[attr-defined]
    (album,) = await listed(client, "/api/albums")
    assert album["artists"][0]["name"] == "Ada L."  # type: ignore[index]
    taken = await client.patch(path, json={"name": "BOB"}, headers=headers)
    assert (taken.status_code, taken.json()["code"]) == (409, "artist_exists")
    await tell([upload(owner, title="new", artists=("Ada L.",), album="One")])
    assert len(await listed(client, "/api/albums")) == 1


async def test_an_artist_made_by_hand_stays_and_one_in_use_cannot_be_deleted(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, tell: Tell, upload: MakeUpload,
    owner: UUID,
) -> None:  # fmt: skip
    async with Recorder(settings.bus_url, ArtistChanged, ArtistDeleted) as recorder:
        made = await client.post("/api/artists", json={"name": "Ada"}, headers=headers)
        assert made.status_code == 201
        path = f"/api/artists/{made.json()['id']}"
        twice = await client.post("/api/artists", json={"name": " ada "}, headers=headers)
        assert (twice.status_code, twice.json()["code"]) == (409, "artist_exists")
        assert (await client.get(path)).status_code == 404
        assert (await client.get(path, headers=headers)).status_code == 200
        await tell([upload(owner)])
        assert (await client.get(path)).json()["track_count"] == 1
        in_use = await client.delete(path, headers=headers)
        assert (in_use.status_code, in_use.json()["code"]) == (409, "artist_in_use")
        (track,) = await listed(client, "/api/tracks")
        await client.delete(f"/api/tracks/{track['id']}", headers=headers)
        assert (await client.get(path, headers=headers)).status_code == 200
        stale = await client.delete(path, headers={**headers, "if-match": '"1"'})
        assert stale.status_code == 412
        assert (await client.delete(path, headers=headers)).status_code == 204
        events = await recorder.wait_for(4)
    assert [e.revision for e in events] == [1, 2, 3, 4]
    assert isinstance(events[-1], ArtistDeleted)


async def test_an_album_made_by_hand_takes_uploads_of_its_name(
    client: httpx.AsyncClient, headers: dict[str, str], tell: Tell, upload: MakeUpload, owner: UUID
) -> None:
    body = {"title": "One", "artists": [{"name": "Ada"}], "type": "ep", "release_date": "2020"}
    made = await client.post("/api/albums", json=body, headers=headers)
    assert (made.status_code, made.json()["type"], made.json()["release_date"]) == (201, "ep", "2020")
    assert (await client.post("/api/albums", json=body, headers=headers)).json()["code"] == "album_exists"
    await tell([upload(owner, album="one", release_date="2024")])
    (album,) = await listed(client, "/api/albums")
    assert (album["id"], album["release_date"], album["track_count"]) == (made.json()["id"], "2020", 1)


async def test_a_changed_album_is_printed_on_its_tracks_and_borrows_what_is_cleared(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, tell: Tell, upload: MakeUpload,
    owner: UUID,
) -> None:  # fmt: skip
    borrowed, own = str(new_id()), str(new_id())
    await tell([upload(owner, album="One", cover_id=borrowed, release_date="2001")])
    (album,) = await listed(client, "/api/albums")
    assert (album["cover"], album["dominant_color"], album["release_date"]) == (borrowed, "#102030", "2001")
    path = f"/api/albums/{album['id']}"
    body = {
        "title": "Two",
        "cover_id": own,
        "type": "single",
        "artists": [{"name": "Bob"}],
        "release_date": "1999",
    }
    async with Recorder(settings.bus_url, TrackChanged, AlbumChanged) as recorder:
        answer = (await client.patch(path, json=body, headers=headers)).json()
        events = await recorder.wait_for(2)
    assert (answer["title"], answer["type"], answer["cover"]) == ("Two", "single", own)
    assert (answer["dominant_color"], answer["release_date"]) == (None, "1999")
    assert [e.revision for e in events] == [2, 2]
    (track,) = await listed(client, "/api/tracks")
    assert track["album"] == {"id": album["id"], "title": "Two"}
    cleared = await client.patch(path, json={"cover_id": None, "release_date": None}, headers=headers)
    assert (cleared.json()["cover"], cleared.json()["release_date"]) == (borrowed, "2001")
    stale = await client.patch(path, json={"title": "x"}, headers={**headers, "if-match": '"1"'})
    assert stale.status_code == 412


@pytest.mark.parametrize("fate", ["detach", "delete"])
async def test_deleting_an_album_asks_what_becomes_of_its_tracks(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, tell: Tell, upload: MakeUpload,
    owner: UUID, fate: str,
) -> None:  # fmt: skip
    await tell([upload(owner, title=str(n), album="One") for n in range(2)])
    (album,) = await listed(client, "/api/albums")
    path = f"/api/albums/{album['id']}"
    asked = await client.delete(path, headers=headers)
    assert (asked.status_code, asked.json()["code"]) == (409, "album_has_tracks")
    assert (await client.delete(f"{path}?tracks=keep", headers=headers)).status_code == 422
    kinds = (TrackChanged, TrackDeleted, AlbumDeleted, ArtistDeleted)
    async with Recorder(settings.bus_url, *kinds) as recorder:
        answer = await client.delete(f"{path}?tracks={fate}", headers=headers)
        assert answer.status_code == 204
        events = await recorder.wait_for(3 if fate == "detach" else 4)
    told = sorted(e.type.removeprefix("catalog.") for e in events)
    tracks = await listed(client, "/api/tracks")
    if fate == "detach":
        assert told == ["album_deleted", "track_changed", "track_changed"]
        assert [t["album"] for t in tracks] == [None, None]
    else:
        assert told == ["album_deleted", "artist_deleted", "track_deleted", "track_deleted"]
        assert tracks == []
    assert (await client.get(path, headers=headers)).status_code == 404


async def test_an_album_is_in_its_own_order(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload, owner: UUID
) -> None:
    places = [(2, 1), (1, 2), (None, 1), (1, None), (2, None), (1, 10)]
    await tell(
        [upload(owner, title=f"{d}-{n}", album="One", disc_number=d, track_number=n) for d, n in places]
    )
    (album,) = await listed(client, "/api/albums")
    path = f"/api/albums/{album['id']}/tracks"
    order = ["None-1", "1-2", "1-10", "1-None", "2-1", "2-None"]
    assert [t["title"] for t in await listed(client, path)] == order
    first = (await client.get(path, params={"limit": 4})).json()
    rest = (await client.get(path, params={"cursor": first["next_cursor"]})).json()
    assert [t["title"] for t in first["items"] + rest["items"]] == order


async def test_artists_are_found_by_a_part_of_their_name_taken_literally(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload
) -> None:
    await tell([upload(title=name, artists=(name,)) for name in ("100% Ada", "AC/DC", "Ada_B", "Adam")])
    for text, names in {
        "ADA": ["100% Ada", "Ada_B", "Adam"], "%": ["100% Ada"], "_": ["Ada_B"], "c/d": ["AC/DC"], "zz": [],
    }.items():  # fmt: skip
        found = [a["name"] for a in await listed(client, "/api/artists", q=text, sort="name")]
        assert found == names, text


async def test_top_tracks_are_the_most_played_of_an_artist_in_any_role(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload, owner: UUID
) -> None:
    from antiphon_contracts.library import TrackPlaysCounted

    await tell([upload(owner, title=str(n), artists=("Ada feat. Eve",)) for n in range(4)])
    tracks = {str(t["title"]): str(t["id"]) for t in await listed(client, "/api/tracks")}
    await tell(
        [TrackPlaysCounted(subject=UUID(tracks[t]), revision=1, play_count=int(t) * 10) for t in tracks]
    )
    for artist in await listed(client, "/api/artists"):
        assert artist["play_count"] == 60
        top = await listed(client, f"/api/artists/{artist['id']}/top-tracks", limit="2")
        assert [t["title"] for t in top] == ["3", "2"]
