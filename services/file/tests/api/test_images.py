"""Images over HTTP: sent, served, and covers of uploads."""

import asyncio
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import httpx
import pytest
from mutagen import flac
from PIL import Image

from antiphon_common.clock import SystemClock
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.testing.running import Recorder, drained, eventually, publish
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.catalog import AlbumChanged, AlbumDeleted
from antiphon_contracts.file import UploadReady
from antiphon_file import usecases
from antiphon_file.repository import SqlUnit
from antiphon_file.settings import Settings


class Sound(Protocol):
    def __call__(self, kind: str, seconds: float = 1.0, **how: Any) -> Path: ...


def picture(colour: str = "teal", *, side: int = 700, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, kind)
    return buffer.getvalue()


async def send(client: httpx.AsyncClient, headers: dict[str, str], data: bytes) -> httpx.Response:
    return await client.post("/api/images", headers=headers, files={"file": ("cover.exe", data)})


def objects(settings: Settings, prefix: str) -> list[str]:
    root = Path(settings.blob_url.removeprefix("file://")) / prefix
    return sorted(path.name for path in root.rglob("*") if path.is_file())


async def holds(settings: Settings, prefix: str, names: list[str]) -> None:
    async def now() -> list[str]:
        return objects(settings, prefix)

    await eventually(now, lambda found: found == sorted(names))


@pytest.fixture
def ada() -> UUID:
    return new_id()


@pytest.fixture
def headers(tokens: TokenMaker, ada: UUID) -> dict[str, str]:
    return tokens.bearer(ada)


async def test_an_image_is_served_in_every_size_to_anyone_and_for_ever(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings
) -> None:
    answer = await send(client, headers, picture())
    assert answer.status_code == 201
    image = answer.json()
    assert (image["width"], image["height"], image["dominant_color"]) == (700, 700, image["dominant_color"])
    assert image["dominant_color"].startswith("#0080")
    assert set(image["urls"]) == {"64", "160", "320", "640", "1280"}
    for size, address in image["urls"].items():
        served = await client.get(address)
        assert served.status_code == 200
        assert served.headers["content-type"] == "image/webp"
        assert served.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in served.headers["content-security-policy"]
        assert served.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert int(served.headers["content-length"]) == len(served.content)
        assert Image.open(io.BytesIO(served.content)).size == (min(int(size), 700),) * 2
        again = await client.get(address, headers={"if-none-match": f'"other", W/{served.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == served.headers["etag"]
    await holds(settings, "images", ["64", "160", "320", "640", "1280"])  # and not the original


async def test_no_other_size_can_be_asked_for(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    image = (await send(client, headers, picture(side=10))).json()
    for size in ("999999999", "-1", "0", "63", "640.5", "x", ""):
        assert (await client.get(f"/api/images/{image['id']}?size={size}")).status_code == 422, size


async def test_an_unknown_image_is_404_and_one_without_an_id_422(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/api/images/{new_id()}")).status_code == 404
    assert (await client.get("/api/images/..%2fpasswd")).status_code in {404, 422}


async def test_the_same_picture_twice_is_the_same_image(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    first, again = [(await send(client, headers, picture())).json()["id"] for _ in range(2)]
    assert first == again


BAD = {
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 422, "not_an_image"),
    "html": (b"<!doctype html><script>alert(1)</script>", 422, "not_an_image"),
    "gif": (b"GIF89a\x01\x00\x01\x00", 422, "not_an_image"),
    "empty": (b"", 422, "not_an_image"),
    "cut": (picture()[:700], 422, "image_broken"),
    "over 8 MB": (picture() + bytes(8 * 1024 * 1024), 413, "image_too_large"),
}


async def test_a_picture_that_is_none_is_refused_and_leaves_nothing(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings
) -> None:
    for name, (data, status, code) in BAD.items():
        answer = await send(client, headers, data)
        assert (answer.status_code, answer.json()["code"]) == (status, code), name
    await holds(settings, "images", [])


async def test_only_a_user_may_send_an_image_and_only_as_a_form(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await send(client, {}, picture())).status_code == 401
    assert (await client.post("/api/images", headers=headers, json={})).status_code == 415
    assert (await client.post("/api/images", headers=headers, files={"image": b"x"})).status_code == 422


def tagged(path: Path, cover: bytes) -> Path:
    file, front = flac.FLAC(path), flac.Picture()
    front.type, front.mime, front.data = 3, "image/jpeg", cover
    file.add_picture(front)
    file.save()
    return path


async def uploaded(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, path: Path, cover: bytes | None = None
) -> UploadReady:  # fmt: skip
    files = {"file": ("a.flac", path.read_bytes())} | ({"cover": ("c", cover)} if cover is not None else {})
    async with Recorder(settings.bus_url, UploadReady) as recorder:
        answer = await client.post("/api/uploads", headers=headers, files=files)
        assert answer.status_code == 202, answer.text
        event = await recorder.find(lambda event: str(event.subject) == answer.json()["id"], seconds=20)
    assert isinstance(event, UploadReady)
    return event


async def test_the_cover_in_the_tags_becomes_an_image_once_for_the_whole_album(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, sound: Sound
) -> None:
    files = [tagged(sound("flac", 0.2 + n / 10), picture("#c02030")) for n in range(3)]
    first, second, third = await asyncio.gather(
        *(uploaded(client, headers, settings, path) for path in files)
    )
    assert first.cover_id is not None
    assert second.cover_id == third.cover_id
    assert first.cover_id == second.cover_id
    assert first.dominant_color is not None
    assert first.dominant_color.startswith("#c")
    assert (await client.get(f"/api/images/{first.cover_id}?size=64")).status_code == 200


async def test_a_cover_that_was_sent_along_wins_and_an_empty_one_is_none(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, sound: Sound
) -> None:
    event = await uploaded(
        client, headers, settings, tagged(sound("flac", 0.2), picture("red")), picture("#0000fe")
    )
    assert event.dominant_color == "#0000fe"
    bare = await uploaded(client, headers, settings, sound("flac", 0.4), b"")
    assert bare.cover_id is None


async def test_a_cover_in_the_tags_that_is_no_picture_is_left_out(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, sound: Sound
) -> None:
    event = await uploaded(client, headers, settings, tagged(sound("flac", 0.2), b"<svg/>" * 100))
    assert event.cover_id is None
    await holds(settings, "images", [])


async def test_a_bad_cover_that_was_sent_along_refuses_the_upload(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, sound: Sound
) -> None:
    files = {"file": ("a", sound("flac", 0.2).read_bytes()), "cover": ("c", b"<svg/>")}
    answer = await client.post("/api/uploads", headers=headers, files=files)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_an_image")
    assert (await client.get("/api/uploads", headers=headers)).json()["items"] == []
    await holds(settings, "", [])


async def test_an_album_keeps_the_image_it_shows_until_it_goes(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings, ada: UUID
) -> None:
    shown, unused = [(await send(client, headers, picture(c))).json()["id"] for c in ("red", "blue")]
    album = AlbumChanged(
        subject=new_id(),
        revision=1,
        owner_id=ada,
        title="A",
        kind="album",
        artists=(),
        listed=True,
        cover_id=shown,
    )
    await publish(settings.bus_url, [album])
    await drained(settings.bus_url, "file")
    database, later = Database(settings.database_url), datetime.now(UTC) + timedelta(days=2)

    async def collect() -> int:
        async with database.write() as session:
            return await usecases.forget_abandoned(SqlUnit(session, SystemClock()), later)

    assert await collect() == 1
    assert (await client.get(f"/api/images/{unused}")).status_code == 404
    assert (await client.get(f"/api/images/{shown}")).status_code == 200
    await publish(settings.bus_url, [AlbumDeleted(subject=album.subject, revision=2), album])
    await drained(settings.bus_url, "file")
    assert await collect() == 1
    await database.stop()
