"""Uploads over HTTP, from the first byte to the final state."""

import asyncio
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import httpx
import pytest

from antiphon_common.ids import new_id
from antiphon_common.pages import encode_cursor
from antiphon_common.testing.running import Recorder, drained, eventually, publish
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_contracts.file import UploadDeleted, UploadReady
from antiphon_file.settings import Settings

FINAL = {"ready", "rejected", "duplicate"}


class Sound(Protocol):
    def __call__(self, kind: str, seconds: float = 1.0, **how: Any) -> Path: ...


def objects(settings: Settings, prefix: str = "") -> list[str]:
    root = Path(settings.blob_url.removeprefix("file://"))
    keys = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    return sorted(key for key in keys if key.startswith(prefix))


async def gone(settings: Settings, prefix: str = "audio/") -> None:
    async def left() -> list[str]:
        return objects(settings, prefix)

    await eventually(left, lambda found: found == [])


async def send(
    client: httpx.AsyncClient, headers: dict[str, str], content: Path | bytes, *, name: str = "song.mp3",
    **form: str,
) -> httpx.Response:  # fmt: skip
    data = content if isinstance(content, bytes) else content.read_bytes()
    return await client.post("/api/uploads", headers=headers, files={"file": (name, data)}, data=form)


async def final(client: httpx.AsyncClient, headers: dict[str, str], upload_id: str) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        found: dict[str, Any] = (await client.get(f"/api/uploads/{upload_id}", headers=headers)).json()
        return found

    return await eventually(ask, lambda upload: upload.get("state") in FINAL, seconds=20)


async def ready(
    client: httpx.AsyncClient, headers: dict[str, str], content: Path, **form: str
) -> dict[str, Any]:
    answer = await send(client, headers, content, **form)
    assert answer.status_code == 202, answer.text
    upload = await final(client, headers, answer.json()["id"])
    assert upload["state"] == "ready", upload
    return upload


async def usage(client: httpx.AsyncClient, headers: dict[str, str]) -> tuple[int, int]:
    page = (await client.get("/api/uploads", headers=headers)).json()
    return page["bytes_used"], page["files_used"]


@pytest.fixture
def ada() -> UUID:
    return new_id()


@pytest.fixture
def headers(tokens: TokenMaker, ada: UUID) -> dict[str, str]:
    return tokens.bearer(ada)


async def test_a_file_becomes_ready_and_is_announced_with_all_that_was_found(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, sound: Sound, ada: UUID
) -> None:
    path = sound("flac", 2.0)
    async with Recorder(settings.bus_url, UploadReady) as recorder:
        answer = await send(
            client, headers, path, title="Đêm", artist="Ánh", genre="Ambient", visibility="unlisted"
        )
        assert answer.status_code == 202
        assert answer.json()["state"] in {"analysing", "ready"}
        (event,) = await recorder.wait_for(1)
    upload = await final(client, headers, answer.json()["id"])
    assert isinstance(event, UploadReady)
    assert (str(event.subject), event.owner_id, event.revision) == (upload["id"], ada, 1)
    assert (event.tags.title, event.tags.artists, event.tags.genres) == ("Đêm", ("Ánh",), ("Ambient",))
    assert event.visibility == "unlisted"
    assert (event.audio.codec, event.audio.mime, event.audio.bytes) == (
        "flac",
        "audio/flac",
        path.stat().st_size,
    )
    assert event.audio.loudness_lufs == pytest.approx(-20, abs=0.2)
    assert event.audio.gain_db == pytest.approx(2, abs=0.2)
    assert len(event.waveform) == 2668
    stored = Path(settings.blob_url.removeprefix("file://")) / event.audio.blob_key
    assert stored.read_bytes() == path.read_bytes()
    assert (upload["title"], upload["artists"], upload["bytes"]) == ("Đêm", ["Ánh"], path.stat().st_size)
    assert await usage(client, headers) == (path.stat().st_size, 1)


async def test_a_file_that_lies_in_its_name_is_what_it_really_is(
    client: httpx.AsyncClient, headers: dict[str, str], sound: Sound
) -> None:
    answer = await send(client, headers, sound("opus"), name="picture.jpg")
    assert (await final(client, headers, answer.json()["id"]))["state"] == "ready"


REFUSED = {
    "not_audio": b"#!/bin/sh\necho hello\n" * 300,
    "empty": b"",
    "unsupported_format": b"OggS\0\x02" + bytes(21) + b"\x01\x1eSpeex   " + bytes(100),
}


async def test_what_is_no_good_is_rejected_with_a_reason_and_leaves_nothing(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings
) -> None:
    async with Recorder(settings.bus_url, UploadReady) as recorder:
        for code, content in REFUSED.items():
            answer = await send(client, headers, content)
            upload = await final(client, headers, answer.json()["id"])
            assert (upload["state"], upload["reason"]) == ("rejected", code)
            assert upload["detail"].endswith(".")
        await gone(settings)
        assert recorder.events == []
    assert await usage(client, headers) == (0, 0)


async def test_a_cut_file_is_rejected_as_truncated(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, sound: Sound
) -> None:
    data = sound("mp3", 3.0).read_bytes()
    answer = await send(client, headers, data[: len(data) // 2])
    assert (await final(client, headers, answer.json()["id"]))["reason"] == "truncated"
    await gone(settings)


async def test_the_same_bytes_twice_are_a_duplicate_of_the_first_and_take_no_room(
    client: httpx.AsyncClient, headers: dict[str, str], tokens: TokenMaker, settings: Settings, sound: Sound
) -> None:
    path = sound("mp3")
    first = await ready(client, headers, path)
    again = (await send(client, headers, path, name="other.mp3")).json()
    assert (again["state"], again["duplicate_of"]) == ("duplicate", first["id"])
    assert await usage(client, headers) == (path.stat().st_size, 1)
    await eventually(lambda: _count(settings), lambda count: count == 1)
    other = tokens.bearer()
    assert (await ready(client, other, path))["duplicate_of"] is None  # another person's is their own


async def _count(settings: Settings) -> int:
    return len(objects(settings, "audio/"))


async def test_many_copies_at_once_are_one_upload_and_duplicates(
    client: httpx.AsyncClient, headers: dict[str, str], sound: Sound
) -> None:
    path = sound("mp3")
    answers = await asyncio.gather(*(send(client, headers, path) for _ in range(6)))
    states = [(await final(client, headers, answer.json()["id"]))["state"] for answer in answers]
    assert sorted(states) == ["duplicate"] * 5 + ["ready"]
    assert await usage(client, headers) == (path.stat().st_size, 1)


async def test_deleting_an_upload_takes_its_bytes_its_room_and_tells_the_others(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, sound: Sound, ada: UUID
) -> None:
    upload = await ready(client, headers, sound("mp3"))
    async with Recorder(settings.bus_url, UploadDeleted) as recorder:
        assert (await client.delete(f"/api/uploads/{upload['id']}", headers=headers)).status_code == 204
        (event,) = await recorder.wait_for(1)
    assert isinstance(event, UploadDeleted)
    assert (str(event.subject), event.owner_id, event.revision) == (upload["id"], ada, 2)
    assert (await client.get(f"/api/uploads/{upload['id']}", headers=headers)).status_code == 404
    assert await usage(client, headers) == (0, 0)
    await gone(settings)


async def test_others_see_nothing_of_an_upload_and_an_administrator_all(
    client: httpx.AsyncClient, headers: dict[str, str], tokens: TokenMaker, sound: Sound
) -> None:
    upload = await ready(client, headers, sound("mp3"))
    address, eve, admin = f"/api/uploads/{upload['id']}", tokens.bearer(), tokens.bearer(roles=("admin",))
    hidden = await client.get(address, headers=eve)
    unknown = await client.get(f"/api/uploads/{new_id()}", headers=eve)
    assert hidden.status_code == 404
    without = {"instance", "trace_id"}
    assert {k: v for k, v in hidden.json().items() if k not in without} == {
        k: v for k, v in unknown.json().items() if k not in without
    }
    assert (await client.delete(address, headers=eve)).status_code == 404
    assert (await client.get("/api/uploads", headers=eve)).json()["items"] == []
    assert (await client.get(address)).status_code == 401
    assert (await client.get(address, headers=admin)).status_code == 200
    assert (await client.delete(address, headers=admin)).status_code == 204


async def test_the_list_is_paged_newest_first_and_filtered_by_state(
    client: httpx.AsyncClient, headers: dict[str, str], sound: Sound
) -> None:
    sent = [(await ready(client, headers, sound("mp3", 0.2, pitch=200 + n)))["id"] for n in range(3)]
    rejected = (await send(client, headers, b"nothing")).json()["id"]
    await final(client, headers, rejected)
    page = (await client.get("/api/uploads?state=ready&limit=2", headers=headers)).json()
    assert [item["id"] for item in page["items"]] == [sent[2], sent[1]]
    rest = await client.get(f"/api/uploads?state=ready&limit=2&cursor={page['next_cursor']}", headers=headers)
    assert [item["id"] for item in rest.json()["items"]] == [sent[0]]
    assert rest.json()["next_cursor"] is None
    only = (await client.get("/api/uploads?state=rejected", headers=headers)).json()["items"]
    assert [item["id"] for item in only] == [rejected]
    forged = encode_cursor("uploads", ("no id",))
    for query in ("cursor=forged", f"cursor={forged}", "state=lost", "limit=0", "limit=101"):
        assert (await client.get(f"/api/uploads?{query}", headers=headers)).status_code == 422


async def test_the_track_an_upload_became_is_known_and_takes_the_upload_with_it_when_it_goes(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, sound: Sound, ada: UUID
) -> None:
    async with Recorder(settings.bus_url, UploadReady, UploadDeleted) as recorder:
        upload = await ready(client, headers, sound("mp3"))
        found = (await recorder.wait_for(1))[0]
        assert isinstance(found, UploadReady)
        track = TrackChanged(
            subject=new_id(), revision=2, owner_id=ada, upload_id=found.subject, status="published",
            visibility="public", title="T", artists=(), audio=found.audio, created_at=found.created_at,
        )  # fmt: skip
        await publish(settings.bus_url, [track, track])
        await drained(settings.bus_url, "file")
        seen = (await client.get(f"/api/uploads/{upload['id']}", headers=headers)).json()
        assert seen["track_id"] == str(track.subject)
        deleted = TrackDeleted(subject=track.subject, revision=3, owner_id=ada, upload_id=found.subject)
        await publish(settings.bus_url, [deleted, track, deleted])
        await drained(settings.bus_url, "file")
        await recorder.wait_for(2)
    assert [event.type for event in recorder.events] == ["file.upload_ready", "file.upload_deleted"]
    assert (await client.get(f"/api/uploads/{upload['id']}", headers=headers)).status_code == 404
    assert await usage(client, headers) == (0, 0)
    await gone(settings)


async def test_a_deleted_account_takes_everything_with_it(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, sound: Sound, ada: UUID
) -> None:
    await ready(client, headers, sound("mp3"))
    await publish(settings.bus_url, [AccountDeleted(subject=ada, revision=9)])
    await drained(settings.bus_url, "file")
    page = (await client.get("/api/uploads", headers=headers)).json()
    assert (page["items"], page["bytes_used"], page["files_used"]) == ([], 0, 0)
    await gone(settings, "")


async def test_an_account_that_was_deleted_before_it_sent_anything_can_send_nothing(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, sound: Sound, ada: UUID
) -> None:
    await publish(settings.bus_url, [AccountDeleted(subject=ada, revision=2)])
    await drained(settings.bus_url, "file")
    assert (await send(client, headers, sound("mp3"))).status_code == 409
    picture = await client.post("/api/images", headers=headers, files={"file": ("a.png", b"x")})
    assert picture.status_code == 409
    page = (await client.get("/api/uploads", headers=headers)).json()
    assert (page["items"], page["bytes_used"], page["files_used"]) == ([], 0, 0)
    await gone(settings, "")
