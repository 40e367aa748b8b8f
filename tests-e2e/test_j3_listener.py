"""J3: a listener likes, makes a playlist, and what was heard counts once."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from e2e_support.audio import make_audio
from e2e_support.people import Person

from antiphon_common.testing.running import eventually


async def test_likes_a_playlist_and_one_counted_play(
    ada: Person, bob: Person, anonymous: Person, music: Path
) -> None:
    songs = [
        await ada.publish(
            make_audio(
                music / f"{pitch}.mp3", seconds=35, pitch=pitch, title=f"Song {pitch}", artist="Evening"
            )
        )
        for pitch in (220, 262)
    ]
    track_id = songs[0]

    async def like() -> int:
        return await bob.status("PUT", f"/api/me/tracks/{track_id}")

    assert await eventually(like, lambda status: status in (200, 201, 204))
    contained = await bob.get("/api/me/tracks/contains", ids=",".join(songs))
    assert contained == {"items": [{"id": songs[0], "contained": True}, {"id": songs[1], "contained": False}]}
    liked = await bob.get("/api/me/tracks")
    assert len(liked["items"]) == 1
    await eventually(lambda: anonymous.get(f"/api/tracks/{track_id}"), lambda t: t["like_count"] == 1)

    made = await bob.call("POST", "/api/playlists", json={"title": "For the road", "visibility": "public"})
    assert made.status_code == 201, made.text
    playlist = made.json()["id"]

    async def add() -> int:
        return await bob.status("POST", f"/api/playlists/{playlist}/tracks", json={"track_ids": songs})

    await eventually(add, lambda status: status in (200, 201))
    items = (await anonymous.get(f"/api/playlists/{playlist}/items"))["items"]
    assert [item["track"]["id"] for item in items] == songs
    moved = {"after_item_id": None}
    assert await bob.status(
        "POST", f"/api/playlists/{playlist}/items/{items[1]['item_id']}/move", json=moved
    ) in (200, 204)
    items = (await bob.get(f"/api/playlists/{playlist}/items"))["items"]
    assert [item["track"]["id"] for item in items] == songs[::-1]

    play = {
        "play_id": str(uuid4()), "track_id": track_id, "listened_ms": 34_000,
        "started_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    first = await bob.call("POST", "/api/plays", json=play)
    assert first.status_code in (200, 201, 202), first.text
    assert first.json()["counted"] is False, "nothing was served yet"
    signed = (await bob.call("POST", "/api/stream/resolve", json={"track_ids": [track_id]})).json()[0]["url"]
    assert (await bob.http.get(signed)).status_code == 200
    await eventually(lambda: anonymous.get(f"/api/tracks/{track_id}"), lambda t: t["play_count"] == 1)
    for _ in range(3):
        assert (await bob.call("POST", "/api/plays", json=play)).json()["counted"] is True
    second = {**play, "play_id": str(uuid4())}
    assert (await bob.call("POST", "/api/plays", json=second)).json()["counted"] is False
    recent = await bob.get("/api/me/recently-played")
    assert track_id in [item.get("id") or item["track"]["id"] for item in recent["items"]]
    assert (await anonymous.get(f"/api/tracks/{track_id}"))["play_count"] == 1
