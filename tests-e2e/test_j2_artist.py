"""J2: an artist uploads, corrects, withdraws and publishes again."""

from pathlib import Path

from e2e_support.audio import make_audio
from e2e_support.people import Person

from antiphon_common.testing.running import eventually


async def test_upload_patch_withdraw_and_publish_again(ada: Person, anonymous: Person, music: Path) -> None:
    word = ada.word
    file = make_audio(music / "draft.ogg", title=f"{word} Sketch", artist="The Kite Club", album="Wind")
    track_id = await ada.publish(file)
    track = await anonymous.get(f"/api/tracks/{track_id}")
    assert track["title"] == f"{word} Sketch"
    assert [artist["name"] for artist in track["artists"]] == ["The Kite Club"]
    await anonymous.findable(track_id, word)

    answer = await ada.call("PATCH", f"/api/tracks/{track_id}", json={"title": f"{word} Finished"})
    assert answer.status_code == 200, answer.text
    await anonymous.findable(track_id, f"{word} Finished")
    patched = await eventually(
        lambda: anonymous.get(f"/api/tracks/{track_id}"), lambda t: t["title"].endswith("Finished"), seconds=5
    )
    assert patched["revision"] > track["revision"]
    stale = await ada.call(
        "PATCH",
        f"/api/tracks/{track_id}",
        json={"title": "x"},
        headers={"if-match": f'"{track["revision"]}"'},
    )
    assert stale.status_code == 412

    signed = (await ada.call("POST", "/api/stream/resolve", json={"track_ids": [track_id]})).json()[0]["url"]
    assert (await anonymous.http.get(signed)).status_code == 200
    assert await ada.status("DELETE", f"/api/tracks/{track_id}/publication") in (200, 204)

    async def gone() -> tuple[int, int, list[str]]:
        page = await anonymous.status("GET", f"/api/tracks/{track_id}")
        audio = (await anonymous.http.get(signed)).status_code
        return page, audio, await anonymous.found(word)

    page, _, hits = await eventually(
        gone, lambda seen: seen[0] == 404 and seen[1] in (403, 404) and not seen[2], seconds=5
    )
    assert (page, hits) == (404, [])
    assert (await ada.get(f"/api/tracks/{track_id}"))["title"] == f"{word} Finished", (
        "its owner still sees it"
    )

    assert await ada.status("POST", f"/api/tracks/{track_id}/publication") in (200, 204)
    await anonymous.findable(track_id, word)
    fresh = (await ada.call("POST", "/api/stream/resolve", json={"track_ids": [track_id]})).json()[0]["url"]
    assert (await anonymous.http.get(fresh)).content == file.read_bytes()


async def test_a_file_without_tags_waits_as_a_draft_until_it_is_named(
    ada: Person, anonymous: Person, music: Path
) -> None:
    track_id = await ada.publish(make_audio(music / "untitled.opus"))
    assert await anonymous.status("GET", f"/api/tracks/{track_id}") == 404
    named = {"title": "Now It Has a Name", "artists": [{"name": "Nobody Before"}]}
    answer = await ada.call("PATCH", f"/api/tracks/{track_id}", json=named)
    assert answer.status_code == 200, answer.text
    assert await ada.status("POST", f"/api/tracks/{track_id}/publication") in (200, 204)
    track = await eventually(
        lambda: anonymous.call("GET", f"/api/tracks/{track_id}"), lambda a: a.status_code == 200
    )
    assert track.json()["title"] == "Now It Has a Name"


async def test_deleting_a_track_removes_its_upload_and_frees_the_quota(ada: Person, music: Path) -> None:
    track_id = await ada.publish(make_audio(music / "gone.m4a", title="Gone", artist="Gone"))
    before = await ada.get("/api/uploads")
    assert before["bytes_used"] > 0
    assert await ada.status("DELETE", f"/api/tracks/{track_id}") == 204
    after = await eventually(lambda: ada.get("/api/uploads"), lambda uploads: not uploads["items"])
    assert after["bytes_used"] == 0
