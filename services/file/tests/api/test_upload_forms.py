"""Forms, names, limits and quotas: what an upload must look like, and what happens to one that does not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import httpx
import pytest

from antiphon_common.ids import new_id
from antiphon_common.testing.running import eventually, running
from antiphon_common.testing.tokens import TokenMaker
from antiphon_file.app import create_app
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


NAMES = [
    "../../etc/passwd",
    "..\\..\\x.mp3",
    "a\0b.mp3",
    "con",
    ".htaccess",
    "x" * 400,
    "\u202egpj.mp3",
    "Ёлка.mp3",
]


async def test_a_name_is_kept_as_a_name_and_leads_nowhere(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings
) -> None:
    sent = {**headers, "content-type": "multipart/form-data; boundary=b"}
    for name in NAMES:
        form = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nx\r\n--b--\r\n'
        answer = await client.post("/api/uploads", headers=sent, content=form.encode())
        assert answer.status_code in {202, 400}, name
        if answer.status_code == 202:
            assert answer.json()["filename"].isprintable()
    assert all(key.startswith("audio/") for key in objects(settings))


async def test_an_account_that_may_not_upload_is_told_why(
    client: httpx.AsyncClient, tokens: TokenMaker, settings: Settings
) -> None:
    answer = await send(client, tokens.bearer(verified=False), b"x")
    assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")
    assert (await send(client, {}, b"x")).status_code == 401
    assert objects(settings) == []


async def test_a_client_that_leaves_midway_leaves_nothing(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings
) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b'--cut\r\nContent-Disposition: form-data; name="file"; filename="x.mp3"\r\n\r\n' + bytes(
            3_000_000
        )

    content_type = {"content-type": "multipart/form-data; boundary=cut"}
    answer = await client.post("/api/uploads", headers={**headers, **content_type}, content=half())
    assert (answer.status_code, answer.json()["code"]) == (400, "incomplete_body")
    page = (await client.get("/api/uploads", headers=headers)).json()
    assert (page["items"], page["bytes_used"], page["files_used"]) == ([], 0, 0)
    await gone(settings, "")


BAD_FORMS = [
    ({"title": "x" * 400}, 422), ({"visibility": "secret"}, 422), ({"title": "a\0b"}, 422), ({"colour": "red"}, 422),
    ({"title": "x" * 5000}, 413), ({"artist": "a\u202eb"}, 422),
]  # fmt: skip


async def test_a_form_that_is_wrong_changes_nothing(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings
) -> None:
    for form, status in BAD_FORMS:
        answer = await send(client, headers, b"x", **form)
        assert answer.status_code == status, (form, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.get("/api/uploads", headers=headers)).json()["items"] == []
    assert await usage(client, headers) == (0, 0)
    await gone(settings, "")


async def test_a_field_that_was_left_empty_is_as_good_as_none(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await send(client, headers, b"x", title="", artist="   ")
    assert (answer.status_code, answer.json()["title"]) == (202, None)


async def test_a_body_that_is_no_multipart_form_is_refused(
    client: httpx.AsyncClient, headers: dict[str, str], settings: Settings
) -> None:
    async def post(content_type: str, content: bytes) -> int:
        sent = {**headers, "content-type": content_type}
        return (await client.post("/api/uploads", headers=sent, content=content)).status_code

    part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\nx\r\n'
    assert await post("application/json", b"{}") == 415
    assert await post("application/octet-stream", b"x") == 415
    assert await post("multipart/form-data", b"x") == 415
    assert await post("multipart/form-data; boundary=" + "b" * 300, b"x") == 415
    assert await post("multipart/form-data; boundary=b", b"") == 400
    assert await post("multipart/form-data; boundary=b", b"no multipart at all") == 400
    assert await post("multipart/form-data; boundary=b", b"--b--\r\n") in {400, 422}
    assert await post("multipart/form-data; boundary=b", part % b"title" + b"--b--\r\n") == 422
    assert await post("multipart/form-data; boundary=b", part % b"file" * 2 + b"--b--\r\n") == 422
    assert await post("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n") == 400
    assert await post("multipart/form-data; boundary=b", part % b"file" * 100_000 + b"--b--\r\n") in {
        413,
        422,
    }
    long = b"--b\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\nx\r\n--b--\r\n"
    assert await post("multipart/form-data; boundary=b", long) == 400
    many = b"--b\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(50)) + b"\r\nx\r\n--b--\r\n"
    assert await post("multipart/form-data; boundary=b", many) == 400
    assert await usage(client, headers) == (0, 0)
    await gone(settings, "")


@pytest.fixture
async def small(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A service with little room: 100 KB a file, 250 KB and 4 files a person."""
    limits = {"max_audio_bytes": 100_000, "quota_bytes": 250_000, "quota_files": 4}
    async with running(create_app(settings.model_copy(update=limits))) as client:
        yield client


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_a_file_over_the_limit_is_413(
    small: httpx.AsyncClient, headers: dict[str, str], settings: Settings, declared: bool
) -> None:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        + bytes(100_001)
        + b"\r\n--b--\r\n"
    )

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(form), 10_000):
            yield form[at : at + 10_000]

    sent = {**headers, "content-type": "multipart/form-data; boundary=b"}
    answer = await small.post("/api/uploads", headers=sent, content=form if declared else chunks())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert await usage(small, headers) == (0, 0)
    await gone(settings, "")


async def test_a_body_that_declares_more_than_any_form_may_have_is_413_before_it_is_read(
    small: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("nobody should have read this")
        yield b""

    sent = {**headers, "content-type": "multipart/form-data; boundary=b", "content-length": str(10**12)}
    assert (await small.post("/api/uploads", headers=sent, content=never())).status_code == 413


async def test_a_race_for_the_quota_is_won_by_no_more_than_fit(
    small: httpx.AsyncClient, headers: dict[str, str], tokens: TokenMaker
) -> None:
    answers = await asyncio.gather(*(send(small, headers, bytes([n]) * 80_000) for n in range(20)))
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {202, 409}
    # Each is rejected a moment later and frees its room, so a few more than three may have fitted in turn.
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"quota_exceeded"}
    assert (await send(small, tokens.bearer(), b"x")).status_code == 202
    for answer in answers:
        if answer.status_code == 202:
            await final(small, headers, answer.json()["id"])
    assert await usage(small, headers) == (0, 0)


async def test_room_is_counted_in_bytes_and_in_files(
    small: httpx.AsyncClient, headers: dict[str, str], sound: Sound
) -> None:
    for n in range(4):
        await ready(small, headers, sound("opus", 0.1, pitch=200 + 50 * n))
    full = await send(small, headers, sound("opus", 0.1, pitch=900))
    assert (full.status_code, full.json()["code"]) == (409, "quota_exceeded")
