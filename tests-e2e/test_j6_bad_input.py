"""J6: what bad input gets through the front door: a clear problem, and nothing changed."""

import io
import socket
import struct
import wave
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from e2e_support.audio import add_cover, make_audio, put_cover
from e2e_support.people import PASSWORD, Person
from e2e_support.platform import PlatformProcess
from mutagen.id3 import ID3, TIT2
from PIL import Image

UNKNOWN = "01890000-0000-7000-8000-000000000000"


def is_problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem of an answer, checked for its form."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "code", "instance", "trace_id"} <= body.keys()
    assert body["status"] == status
    for leak in ("Traceback", "sqlite", "127.0.0.1", "SELECT"):
        assert leak not in answer.text
    return body


def tag_bomb() -> bytes:
    """An mp3 whose one compressed tag frame of about 200 KB unpacks to 200 MB."""
    packed = zlib.compress(b"\x03" + b"A" * 200_000_000, 9)
    frame = struct.pack(">I", 200_000_001) + packed

    def synchsafe(size: int) -> bytes:
        return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))

    body = b"TIT2" + synchsafe(len(frame)) + b"\x00\x09" + frame
    return b"ID3\x04\x00\x00" + synchsafe(len(body)) + body


async def ends(person: Person, path: Path, **form: str) -> dict[str, Any]:
    return await person.finished((await person.upload(path, **form))["id"])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("page.mp3", b"<!doctype html><script>alert(1)</script>" * 50),
        ("list.mp3", b"#EXTM3U\nfile:///etc/passwd\n" * 20),
        ("random.flac", bytes(range(256)) * 64),
        ("archive.ogg", b"PK\x03\x04" + b"\0" * 5000),
        ("stub.flac", b"fLaC" + b"\0" * 100),
    ],
)
async def test_what_is_no_audio_is_rejected_with_a_reason(
    ada: Person, music: Path, name: str, data: bytes
) -> None:
    (music / name).write_bytes(data)
    upload = await ends(ada, music / name)
    assert upload["state"] == "rejected"
    assert upload["reason"]
    uploads = await ada.get("/api/uploads")
    assert uploads["bytes_used"] == 0, "a rejected upload keeps no quota"
    assert upload.get("track_id") is None


async def test_an_empty_file_is_refused(ada: Person, music: Path) -> None:
    (music / "empty.mp3").write_bytes(b"")
    with (music / "empty.mp3").open("rb") as file:
        answer = await ada.call("POST", "/api/uploads", files={"file": ("empty.mp3", file)})
    assert answer.status_code == 202, answer.text
    upload = await ada.finished(answer.json()["id"])
    assert (upload["state"], upload["reason"]) == ("rejected", "empty")
    assert (await ada.get("/api/uploads"))["bytes_used"] == 0


async def test_well_formed_audio_without_sound_is_of_zero_length(ada: Person, music: Path) -> None:
    with wave.open(str(music / "silent.wav"), "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
    upload = await ends(ada, music / "silent.wav")
    assert (upload["state"], upload["reason"]) == ("rejected", "zero_length")


async def test_audio_over_the_limit_is_a_413_and_keeps_nothing(tmp_path: Path, music: Path) -> None:
    file = make_audio(music / "large.wav", seconds=1)
    fits = make_audio(music / "small.mp3", seconds=1, title="Small", artist="Fits")
    limit = fits.stat().st_size
    platform = PlatformProcess(tmp_path / "data", environment={"FILE_MAX_AUDIO_BYTES": str(limit)})
    platform.start()
    try:
        async with Person(platform.url, "Ada") as ada:
            await ada.register()
            with file.open("rb") as body:
                answer = await ada.call("POST", "/api/uploads", files={"file": ("large.wav", body)})
            assert is_problem(answer, 413)["code"] == "too_large"
            uploads = await ada.get("/api/uploads")
            assert (uploads["items"], uploads["bytes_used"]) == ([], 0)
            assert (await ends(ada, fits))["state"] == "ready", "as large as the limit is not over it"
    finally:
        platform.stop()


async def test_truncated_audio_is_rejected_and_a_wrong_ending_is_not(ada: Person, music: Path) -> None:
    whole = make_audio(music / "whole.m4a", title="Whole", artist="Ends")
    (music / "half.m4a").write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    assert (await ends(ada, music / "half.m4a"))["state"] == "rejected"
    flac = make_audio(music / "real.flac", pitch=500, title="Really FLAC", artist="Ends")
    flac.rename(music / "liar.mp3")
    upload = await ends(ada, music / "liar.mp3")
    assert upload["state"] == "ready"


async def test_the_same_bytes_twice_are_a_duplicate(ada: Person, bob: Person, music: Path) -> None:
    file = make_audio(music / "once.ogg", title="Once", artist="Twice")
    assert (await ends(ada, file))["state"] == "ready"
    second = await ends(ada, file)
    assert second["state"] == "duplicate"
    assert (await ends(bob, file))["state"] == "ready", "another person's copy is theirs"


async def test_a_tag_bomb_does_no_harm(ada: Person, music: Path) -> None:
    sound = make_audio(music / "sound.mp3")
    (music / "bomb.mp3").write_bytes(tag_bomb() + sound.read_bytes())
    upload = await ends(ada, music / "bomb.mp3")
    assert (upload["state"], upload["reason"]) == ("rejected", "tag_bomb")
    assert (await ada.get("/api/uploads"))["bytes_used"] == 0


async def test_a_pixel_bomb_as_the_cover_does_not_stop_the_track(ada: Person, music: Path) -> None:
    bomb = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(bomb, "PNG")
    file = put_cover(make_audio(music / "bomb.mp3", pitch=702, title="Bomb"), bomb.getvalue())
    good = add_cover(make_audio(music / "good.mp3", pitch=703, title="Good"), color=(9, 90, 200))
    covers = [(await ada.get(f"/api/tracks/{await ada.publish(one)}"))["cover"] for one in (file, good)]
    assert covers[0] is None
    assert covers[1] is not None, "a cover that is none of the kind is kept"


async def test_lying_and_broken_tags_are_cut_not_believed(ada: Person, music: Path) -> None:
    file = make_audio(music / "tags.mp3", pitch=611)
    tags = ID3()
    tags.add(TIT2(encoding=1, text="Nul\0Second\x07" + "x" * 5000))
    tags.save(file)
    track = await ada.get(f"/api/tracks/{await ada.publish(file, artist='Form Artist')}")
    assert "\0" not in track["title"]
    assert "\x07" not in track["title"]
    assert len(track["title"]) <= 1000
    assert track["artists"][0]["name"] == "Form Artist"


async def test_uploads_that_are_no_upload(ada: Person, anonymous: Person) -> None:
    is_problem(await anonymous.call("POST", "/api/uploads", files={"file": ("a.mp3", b"x")}), 401)
    is_problem(await ada.call("POST", "/api/uploads", json={"file": "x"}), 415)
    answer = await ada.call("POST", "/api/uploads", data={"title": "no file"}, files={"other": ("a", b"x")})
    is_problem(answer, 422)
    headers = {"content-type": "multipart/form-data; boundary=x"}
    broken = await ada.call("POST", "/api/uploads", headers=headers, content=b"--y\r\nnothing of the kind")
    assert broken.status_code in (400, 422)
    is_problem(broken, broken.status_code)


@pytest.mark.parametrize("kind", ["svg", "html", "gif", "bomb", "empty"])
async def test_an_image_that_is_none_is_refused(ada: Person, kind: str) -> None:
    def picture() -> bytes:
        if kind == "svg":
            return b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
        if kind == "html":
            return b"<html><script>alert(1)</script></html>"
        if kind == "empty":
            return b""
        buffer = io.BytesIO()
        size = (12_000, 12_000) if kind == "bomb" else (10, 10)
        Image.new("1", size).save(buffer, "PNG" if kind == "bomb" else "GIF")
        return buffer.getvalue()

    answer = await ada.call("POST", "/api/images", files={"file": (f"x.{kind}", picture(), "image/png")})
    assert answer.status_code in (415, 422)
    is_problem(answer, answer.status_code)


async def test_a_picture_with_a_page_inside_is_served_without_it(ada: Person, anonymous: Person) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), "teal").save(buffer, "JPEG", comment=b"<script>alert(1)</script>")
    data = buffer.getvalue() + b"<html><script>alert(2)</script></html>"
    answer = await ada.call("POST", "/api/images", files={"file": ("x.jpg", data, "image/jpeg")})
    assert answer.status_code == 201, answer.text
    served = await anonymous.call("GET", f"/api/images/{answer.json()['id']}", params={"size": 160})
    assert served.status_code == 200
    assert served.headers["content-type"] == "image/webp"
    assert served.headers["x-content-type-options"] == "nosniff"
    assert b"<script" not in served.content
    for size in ("0", "-1", "999999999", "161", "big"):
        is_problem(
            await anonymous.call("GET", f"/api/images/{answer.json()['id']}", params={"size": size}), 422
        )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400), (b'{"title": NaN}', 400), (b"[" * 200, 400), (b'{"title":"a","title":"b"}', 400),
        (b"[]", 422), (b'{"title": 7}', 422), (b'{"title": "a", "owner_id": "x"}', 422),
        (b'{"title": ""}', 422),
        (b'{"title": "nul\\u0000"}', 422), (b'{"title": "half\\ud800"}', 422), (b'{"title": null}', 422),
        (b'{"title": "a", "visibility": "everyone"}', 422), (b'{"title": "' + b"x" * 5000 + b'"}', 422),
        (b'{"title": "' + b"x" * 300_000 + b'"}', 413), (b"\xff\xfe", 400), (b"", 422),
    ],
)  # fmt: skip
async def test_bad_json_changes_nothing(ada: Person, body: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    answer = await ada.call("POST", "/api/playlists", headers=headers, content=body)
    problem = is_problem(answer, status)
    assert "xxxx" not in str(problem), "the answer repeats what was sent"
    assert (await ada.get("/api/playlists"))["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/tracks/not-a-uuid", 422), ("GET", f"/api/tracks/{UNKNOWN}", 404),
        ("GET", f"/api/albums/{UNKNOWN}", 404), ("GET", f"/api/artists/{UNKNOWN}", 404),
        ("GET", f"/api/playlists/{UNKNOWN}", 404), ("GET", f"/api/uploads/{UNKNOWN}", 404),
        ("GET", f"/api/images/{UNKNOWN}", 404), ("GET", f"/api/users/{UNKNOWN}", 404),
        ("GET", f"/api/stream/{UNKNOWN}", 404), ("DELETE", f"/api/tracks/{UNKNOWN}", 404),
        ("GET", "/api/tracks?limit=0", 422), ("GET", "/api/tracks?limit=1000000000", 422),
        ("GET", "/api/tracks?limit=-1", 422), ("GET", "/api/tracks?limit=1&limit=2", 422),
        ("GET", "/api/tracks?cursor=AAAA", 422), ("GET", "/api/tracks?sort=password", 422),
        ("GET", "/api/tracks?year_from=99999999999999999999", 422), ("GET", "/api/search", 422),
        ("GET", "/api/search?q=%00", 422), ("GET", "/api/search?q=" + "a" * 5000, 422),
        ("GET", "/api/nothing", 404), ("GET", "/internal/revocations", 404), ("GET", "/metrics", 404),
        ("PATCH", "/api/tracks", 405), ("TRACE", "/api/tracks", 405),
    ],
)  # fmt: skip
async def test_bad_requests_get_the_problem_they_deserve(
    ada: Person, method: str, path: str, status: int
) -> None:
    is_problem(await ada.call(method, path), status)


async def test_a_tampered_cursor_is_refused(ada: Person, music: Path) -> None:
    for pitch in (300, 301):
        await ada.publish(make_audio(music / f"{pitch}.mp3", pitch=pitch, title=f"T{pitch}", artist="Pages"))
    cursor = (await ada.get("/api/tracks", limit=1))["next_cursor"]
    assert cursor
    for index in range(0, len(cursor), 3):
        other = "A" if cursor[index] != "A" else "B"
        changed = cursor[:index] + other + cursor[index + 1 :]
        is_problem(await ada.call("GET", "/api/tracks", params={"limit": 1, "cursor": changed}), 422)
    is_problem(await ada.call("GET", "/api/albums", params={"cursor": cursor}), 422)


@pytest.mark.parametrize(
    "raw",
    [
        "/api/tracks/../../internal/revocations", "/api/tracks/%2e%2e/x", "/api/tracks%2fx", "/api//tracks",
        "/api/tracks/%5c", "/api/tracks;x=1", "/api/tracks/%00", "/api/tracks/%252e%252e/x", "/api/./tracks",
    ],
)  # fmt: skip
def test_a_path_that_is_not_canonical_is_a_400(url: str, raw: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5) as connection:
        connection.sendall(
            f"GET {raw} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 400"), answer[:100]


async def test_ranges_that_cannot_be_served(ada: Person, music: Path) -> None:
    file = make_audio(music / "ranges.mp3", title="Ranges", artist="Bytes")
    track_id = await ada.publish(file)
    size = file.stat().st_size
    beyond = await ada.call("GET", f"/api/stream/{track_id}", headers={"range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    for ignored in ("items=0-1", "bytes=0-1,5-6", "bytes=5-2", "bytes=" + "0-0," * 100 + "1-1"):
        whole = await ada.call("GET", f"/api/stream/{track_id}", headers={"range": ignored})
        assert (whole.status_code, len(whole.content)) == (200, size), ignored
    head = await ada.call("HEAD", f"/api/stream/{track_id}", headers={"range": "bytes=0-1"})
    assert (head.status_code, head.headers["content-length"]) == (200, str(size))
    signed = (await ada.call("POST", "/api/stream/resolve", json={"track_ids": [track_id]})).json()[0]["url"]
    for index in range(len(signed) - 20, len(signed)):
        changed = signed[:index] + ("0" if signed[index] != "0" else "1") + signed[index + 1 :]
        assert (await ada.http.get(changed)).status_code in (401, 403, 404, 422)


@pytest.mark.parametrize(
    "body",
    [
        {"email": "", "password": PASSWORD, "name": "x"},
        {"email": "no-at", "password": PASSWORD, "name": "x"},
        {"email": "a@example.org", "password": "short", "name": "x"},
        {"email": "a@example.org", "password": "password1234", "name": "x"},
        {"email": "a@example.org", "password": PASSWORD, "name": ""},
        {"email": "a@example.org", "password": PASSWORD, "name": "x", "roles": ["admin"]},
        {"email": ["a@example.org"], "password": PASSWORD, "name": "x"},
        {"email": "a@example.org", "password": "y" * 1025, "name": "x"},
    ],
)  # fmt: skip
async def test_registrations_that_are_refused(anonymous: Person, body: dict[str, Any]) -> None:
    answer = await anonymous.call("POST", "/api/auth/register", json=body)
    is_problem(answer, 422)
    assert PASSWORD not in answer.text
