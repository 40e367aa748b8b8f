"""J4: another user sees nothing of a private track: lists, search, suggestions, counts, stream."""

from pathlib import Path

import pytest
from e2e_support.audio import make_audio
from e2e_support.people import Person

from antiphon_common.testing.running import eventually


@pytest.mark.parametrize("stranger", ["bob", "anonymous"])
async def test_a_private_track_exists_for_its_owner_only(
    ada: Person, stranger: str, request: pytest.FixtureRequest, bob: Person, anonymous: Person, music: Path
) -> None:
    other = bob if stranger == "bob" else anonymous
    canary = f"Quixotic{ada.word.lower()}"
    file = make_audio(
        music / "secret.flac", title=canary, artist=f"{canary} Band", album=f"{canary} Album", genre=canary
    )
    track_id = await ada.publish(file, visibility="private")
    await ada.findable(track_id, canary)
    private = await ada.get(f"/api/tracks/{track_id}")

    unknown = "01890000-0000-7000-8000-000000000000"
    hidden = await other.call("GET", f"/api/tracks/{track_id}")
    absent = await other.call("GET", f"/api/tracks/{unknown}")
    assert hidden.status_code == absent.status_code == 404
    masked = [
        {key: value for key, value in answer.json().items() if key not in ("instance", "trace_id")}
        for answer in (hidden, absent)
    ]
    assert masked[0] == masked[1], "hidden and absent must look the same"

    for path in (
        f"/api/tracks/{track_id}/waveform",
        f"/api/artists/{private['artists'][0]['id']}",
        f"/api/albums/{private['album']['id']}",
        f"/api/stream/{track_id}",
    ):
        assert await other.status("GET", path) in (401, 404), path
    if other.access:
        resolved = await other.call("POST", "/api/stream/resolve", json={"track_ids": [track_id]})
        assert resolved.status_code == 404
        assert await other.status("PUT", f"/api/me/tracks/{track_id}") == 404
        made = (await other.call("POST", "/api/playlists", json={"title": "x"})).json()["id"]
        added = await other.call("POST", f"/api/playlists/{made}/tracks", json={"track_ids": [track_id]})
        assert added.status_code in (404, 422)
        assert canary not in added.text

    for path, params in (
        ("/api/search", {"q": canary}), ("/api/search", {"q": canary[:9]}),
        ("/api/search/suggest", {"q": canary[:10]}),
        ("/api/tracks", {"sort": "recent", "limit": "100"}), ("/api/tracks", {"genre": canary}),
        ("/api/artists", {"q": canary}), ("/api/albums", {"sort": "recent"}), ("/api/genres", {}),
        ("/api/search/tracks", {"q": canary}), ("/api/tracks", {"artist_id": private["artists"][0]["id"]}),
    ):  # fmt: skip
        answer = await other.call("GET", path, params=params)
        assert answer.status_code in (200, 404), f"{path}: {answer.text}"
        assert track_id not in answer.text, path
        without_question = (
            answer.text.replace(f'"{canary}"', "") if path.startswith("/api/search") else answer.text
        )
        assert f"{canary} Band" not in without_question, path
    totals = await other.get("/api/search", q=canary)
    assert [totals[kind]["total"] for kind in ("tracks", "artists", "albums", "playlists")] == [0, 0, 0, 0]


async def test_making_a_public_track_private_hides_it_from_the_cache_too(
    ada: Person, anonymous: Person, music: Path
) -> None:
    track_id = await ada.publish(make_audio(music / "open.mp3", title="Open Door", artist="Door"))
    first = await eventually(
        lambda: anonymous.call("GET", f"/api/tracks/{track_id}"), lambda a: a.status_code == 200
    )
    tag = first.headers.get("etag", '"none"')
    assert (
        await ada.call("PATCH", f"/api/tracks/{track_id}", json={"visibility": "private"})
    ).status_code == 200
    hidden = await eventually(
        lambda: anonymous.call("GET", f"/api/tracks/{track_id}", headers={"if-none-match": tag}),
        lambda answer: answer.status_code == 404,
        seconds=2,
    )
    assert hidden.json()["code"]
