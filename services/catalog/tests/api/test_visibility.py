"""Who sees what: the matrix of state and visibility against viewer, and lists and counts that never tell."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import httpx
import pytest

from antiphon_common.ids import new_id
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.event import Event
from antiphon_contracts.file import UploadReady

MakeUpload = Callable[..., UploadReady]
Tell = Callable[[Sequence[Event]], Awaitable[None]]
Headers = dict[str, str]


async def mine(client: httpx.AsyncClient, headers: Headers) -> dict[str, dict[str, str]]:
    items = (await client.get("/api/tracks?mine=true&limit=100", headers=headers)).json()["items"]
    return {track["title"]: track for track in items}


# state, visibility, whether a stranger may read it by id, whether it is listed
MATRIX = [
    ("published", "public", True, True),
    ("published", "unlisted", True, False),
    ("published", "private", False, False),
    ("draft", "public", False, False),
    ("draft", "unlisted", False, False),
    ("withdrawn", "public", False, False),
    ("withdrawn", "unlisted", False, False),
    ("withdrawn", "private", False, False),
]


@pytest.mark.parametrize(("status", "visibility", "readable", "listed"), MATRIX)
async def test_a_track_is_seen_by_those_who_may(
    client: httpx.AsyncClient, tokens: TokenMaker, tell: Tell, upload: MakeUpload,
    status: str, visibility: str, readable: bool, listed: bool,
) -> None:  # fmt: skip
    owner = new_id()
    artists = () if status == "draft" else ("Ada",)
    await tell([upload(owner, visibility=visibility, artists=artists, album="One", genres=("Jazz",))])
    headers = tokens.bearer(owner)
    (track,) = (await mine(client, headers)).values()
    if status == "withdrawn":
        gone = await client.delete(f"/api/tracks/{track['id']}/publication", headers=headers)
        assert gone.status_code == 204
    path = f"/api/tracks/{track['id']}"
    everybody = {"anonymous": {}, "stranger": tokens.bearer(), "artist": tokens.bearer(roles=("artist",))}
    for viewer in everybody.values():
        unknown = await client.get(f"/api/tracks/{new_id()}", headers=viewer)
        for tail in ("", "/waveform"):
            answer = await client.get(path + tail, headers=viewer)
            assert answer.status_code == (200 if readable else 404)
            if not readable:
                body, same = answer.json(), unknown.json()
                for name in ("instance", "trace_id"):
                    del body[name], same[name]
                    unknown = await client.get(f"/api/tracks/{new_id()}", headers=viewer)
                assert body == same
        for path_of_list in (
            "/api/tracks", "/api/tracks/recent", "/api/tracks/popular", "/api/tracks?genre=jazz",
            f"/api/tracks?album_id={track['album']['id']}", "/api/artists", "/api/albums", "/api/genres",
        ):  # fmt: skip
            items = (await client.get(path_of_list, headers=viewer)).json()["items"]
            assert len(items) == (1 if listed else 0), path_of_list
    for viewer in (headers, tokens.bearer(roles=("admin",))):
        assert (await client.get(path, headers=viewer)).json()["status"] == status
        assert (await client.get(f"{path}/waveform", headers=viewer)).json()["data"] == "AAAA"


async def test_counts_of_others_hold_nothing_private(
    client: httpx.AsyncClient, tokens: TokenMaker, tell: Tell, upload: MakeUpload
) -> None:
    owner = new_id()
    await tell(
        [
            upload(owner, title="open", album="One", genres=("Jazz", "Rock")),
            upload(owner, title="secret", album="One", genres=("Jazz", "Secret"), visibility="private"),
            upload(owner, title="linked", album="One", genres=("Jazz",), visibility="unlisted"),
            upload(owner, title="guest", album="Hidden", artists=("Nobody",), visibility="private"),
        ]
    )
    (artist,) = (await client.get("/api/artists")).json()["items"]
    (album,) = (await client.get("/api/albums")).json()["items"]
    genres = (await client.get("/api/genres")).json()["items"]
    assert (artist["name"], artist["track_count"]) == ("Ada", 1)
    assert (album["title"], album["track_count"]) == ("One", 1)
    assert genres == [{"name": "Rock", "track_count": 1}, {"name": "Jazz", "track_count": 1}]
    for path in ("/api/tracks?genre=secret", "/api/albums?genre=secret", "/api/artists?q=nobody"):
        assert (await client.get(path)).json()["items"] == [], path
    for path in (
        f"/api/artists/{artist['id']}/tracks", f"/api/artists/{artist['id']}/top-tracks",
        f"/api/albums/{album['id']}/tracks",
    ):  # fmt: skip
        assert [t["title"] for t in (await client.get(path)).json()["items"]] == ["open"]
    headers = tokens.bearer(owner)
    whole = (await client.get(f"/api/albums/{album['id']}/tracks?mine=true", headers=headers)).json()["items"]
    assert sorted(t["title"] for t in whole) == ["linked", "open", "secret"]
    hidden = (await mine(client, headers))["guest"]
    for viewer, status in ((headers, 200), (tokens.bearer(), 404), ({}, 404)):
        for path in (f"/api/albums/{hidden['album']['id']}", f"/api/artists/{hidden['artists'][0]['id']}"):
            assert (await client.get(path, headers=viewer)).status_code == status
        tracks = await client.get(f"/api/albums/{hidden['album']['id']}/tracks", headers=viewer)
        assert tracks.status_code == status


async def test_an_album_never_borrows_from_a_private_track_once_it_is_listed(
    client: httpx.AsyncClient, tokens: TokenMaker, tell: Tell, upload: MakeUpload
) -> None:
    owner, secret, shown = new_id(), new_id(), new_id()
    hidden = upload(
        owner, album="One", visibility="private", track_number=1, cover_id=secret, release_date="1999"
    )
    await tell([hidden])
    (album,) = (await client.get("/api/albums?mine=true", headers=tokens.bearer(owner))).json()["items"]
    assert (album["cover"], album["release_date"]) == (str(secret), "1999")
    await tell([upload(owner, album="One", title="bare", track_number=2)])
    (album,) = (await client.get("/api/albums")).json()["items"]
    assert (album["cover"], album["release_date"]) == (None, None)
    await tell([upload(owner, album="One", title="full", track_number=3, cover_id=shown)])
    (album,) = (await client.get("/api/albums")).json()["items"]
    assert album["cover"] == str(shown)


async def test_only_the_owner_and_administrators_change_a_track(
    client: httpx.AsyncClient, tokens: TokenMaker, tell: Tell, upload: MakeUpload
) -> None:
    owner = new_id()
    await tell([upload(owner, album="One")])
    (track,) = (await mine(client, tokens.bearer(owner))).values()
    targets = [
        ("PATCH", f"/api/tracks/{track['id']}", {"title": "x"}), ("PUT", f"/api/tracks/{track['id']}", {"title": "x"}),
        ("DELETE", f"/api/tracks/{track['id']}", None), ("POST", f"/api/tracks/{track['id']}/publication", None),
        ("DELETE", f"/api/tracks/{track['id']}/publication", None),
        ("PATCH", f"/api/albums/{track['album']['id']}", {"title": "x"}),
        ("DELETE", f"/api/albums/{track['album']['id']}?tracks=delete", None),
        ("PATCH", f"/api/artists/{track['artists'][0]['id']}", {"name": "x"}),
        ("DELETE", f"/api/artists/{track['artists'][0]['id']}", None),
    ]  # fmt: skip
    for method, path, body in targets:
        stranger = await client.request(method, path, json=body, headers=tokens.bearer(roles=("artist",)))
        assert stranger.status_code == 404, path
        assert (await client.request(method, path, json=body)).status_code == 401
        if "/tracks/" not in path:
            listener = await client.request(method, path, json=body, headers=tokens.bearer(owner))
            assert (listener.status_code, listener.json()["code"]) == (403, "artist_only")
    assert (await mine(client, tokens.bearer(owner)))["Song"] == track
    admin = tokens.bearer(roles=("admin",))
    changed = await client.patch(f"/api/tracks/{track['id']}", json={"title": "By admin"}, headers=admin)
    assert (changed.status_code, changed.json()["title"]) == (200, "By admin")


async def test_mine_needs_a_login(client: httpx.AsyncClient) -> None:
    for path in ("/api/tracks", "/api/artists", "/api/albums", f"/api/albums/{UUID(int=0)}/tracks"):
        answer = await client.get(path, params={"mine": "true"})
        assert answer.status_code == 401 if "tracks" not in path or path == "/api/tracks" else 404
