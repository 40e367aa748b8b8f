"""J1: a newcomer registers, imports a folder, finds a track by a misspelt word and hears it with seeking."""

import json
from pathlib import Path

from e2e_support.audio import make_audio
from e2e_support.people import PASSWORD, Person
from e2e_support.platform import antiphon


async def test_from_a_folder_to_three_ranges_of_a_track(
    url: str, ada: Person, anonymous: Person, music: Path, tmp_path: Path
) -> None:
    word = ada.word
    file = make_audio(
        music / "one.mp3", pitch=440, title=f"{word} Keeper", artist="Ana Přílivová", album="Tides"
    )
    make_audio(music / "two.flac", pitch=330, title="Second Watch", artist="Ana Přílivová", album="Tides")
    (music / "notes.txt").write_text("not music")
    logged_in = antiphon("login", ada.email, "--server", url, "--stdin", stdin=PASSWORD + "\n", home=tmp_path)
    assert logged_in.returncode == 0, logged_in.stderr

    imported = antiphon("import", str(music), "--server", url, "--json", home=tmp_path)
    assert imported.returncode == 0, imported.stderr
    report = json.loads(imported.stdout)
    assert (report["ready"], report["duplicate"], report["rejected"]) == (2, 0, 0)

    again = json.loads(antiphon("import", str(music), "--server", url, "--json", home=tmp_path).stdout)
    assert again["ready"] == 2
    assert len((await ada.get("/api/uploads", limit=100))["items"]) == 2, "an import sent something twice"

    misspelt = word[:3] + word[4] + word[3] + word[5:] + " keper"
    uploads = {item["filename"]: item for item in (await ada.get("/api/uploads", limit=100))["items"]}
    track_id = await ada.track_of(uploads["one.mp3"]["id"])
    await anonymous.findable(track_id, misspelt)

    resolved = (await ada.call("POST", "/api/stream/resolve", json={"track_ids": [track_id]})).json()[0]
    data = file.read_bytes()
    assert resolved["bytes"] == len(data)
    for first, last in [(0, 99), (len(data) // 2, len(data) // 2 + 4095), (len(data) - 10, len(data) - 1)]:
        part = await anonymous.http.get(resolved["url"], headers={"range": f"bytes={first}-{last}"})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(data)}"
        assert part.content == data[first : last + 1]
    whole = await anonymous.http.get(resolved["url"])
    assert (whole.status_code, whole.content) == (200, data)
