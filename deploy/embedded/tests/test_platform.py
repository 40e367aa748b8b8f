"""The embedded composition: two platforms in one process, and what stops one from starting."""

import asyncio
import base64
import json
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e_support.audio import make_audio
from e2e_support.people import Person

from antiphon_common.testing.running import eventually
from antiphon_embedded import Platform, PlatformError
from antiphon_embedded.composition import SERVICES

PASSWORD = "quiet-harbour-lantern-42"


async def register(url: str, email: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=url) as client:
        return await client.post(
            "/api/auth/register", json={"email": email, "password": PASSWORD, "name": "Ada"}
        )


def configure(environment: pytest.MonkeyPatch, name: str, **own: str) -> None:
    """What differs between two platforms, for every service by the environment that it reads as it starts."""
    for service in (*(service.name for service in SERVICES), "gateway"):
        environment.setenv(f"{service.upper()}_TOKEN_ISSUER", f"issuer of {name}")
        environment.setenv(f"{service.upper()}_LOG_LEVEL", "info" if name == "one" else "warning")
    for setting, value in own.items():
        environment.setenv(setting, value)


async def use_every_service(person: Person, music: Path, *, name: str) -> dict[str, Any]:
    """One request at least to each; what the platform's own settings show."""
    made = make_audio(music / f"{name}.mp3", title=f"{person.word} {name}", artist="Both", album="Houses")
    track_id = await person.publish(made)
    track = await person.get(f"/api/tracks/{track_id}")
    assert track["title"] == f"{person.word} {name}"
    await person.findable(track_id, person.word)
    assert await eventually(
        lambda: person.status("PUT", f"/api/me/tracks/{track_id}"), lambda status: status == 204
    )
    playlist = {"title": name, "visibility": "private"}
    assert await person.status("POST", "/api/playlists", json=playlist) == 201
    await eventually(
        lambda: person.call("GET", f"/api/stream/{track_id}", headers={"range": "bytes=0-9"}),
        lambda answer: answer.status_code == 206,
    )
    uploads = await person.get("/api/uploads")
    claims = person.access.split(".")[1]
    return {
        "email": (await person.get("/api/me"))["email"],
        "liked": [item["track"]["title"] for item in (await person.get("/api/me/tracks"))["items"]],
        "playlists": [item["title"] for item in (await person.get("/api/playlists"))["items"]],
        "tracks": [item["title"] for item in (await person.get("/api/tracks"))["items"]],
        "files_quota": uploads["files_quota"],
        "issuer": json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iss"],
    }


async def test_two_differently_configured_platforms_run_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        people = {}
        for name, host, files in (("one", "127.0.0.1", "11"), ("two", "localhost", "22")):
            configure(
                monkeypatch, name, FILE_QUOTA_FILES=files, GATEWAY_CORS_ORIGINS=f'["https://{name}.example"]'
            )
            running = Platform(tmp_path / name, host=host, port=0).running()
            platform = await stack.enter_async_context(running)
            person = await stack.enter_async_context(
                Person(platform.url, "Ada", email="adaadada@example.org")
            )
            assert (await register(platform.url, person.email)).status_code == 201, "they share an account"
            assert (await register(platform.url, person.email)).status_code == 409
            await person.login()
            people[name] = person
        for name, files in (("one", 11), ("two", 22)):
            title = f"{people[name].word} {name}"
            assert await use_every_service(people[name], tmp_path, name=name) == {
                "email": "adaadada@example.org", "files_quota": files, "issuer": f"issuer of {name}",
                "liked": [title], "tracks": [title], "playlists": [name],
            }  # fmt: skip
            answer = await people[name].call("GET", "/api/tracks", headers={"origin": "https://one.example"})
            assert ("access-control-allow-origin" in answer.headers) == (name == "one")
        one, two = people.values()
        assert one.url != two.url
        foreign = await two.http.get("/api/me", headers={"authorization": f"Bearer {one.access}"})
        assert foreign.status_code == 401, "a token of one platform works on the other"
        assert talkative(tmp_path / "one") == {service.name for service in SERVICES}
        assert talkative(tmp_path / "two") == set(), "its log level is warning"


def talkative(data: Path) -> set[str]:
    """Which services wrote lines of level info; the gateway's are its access log, which has a switch of its own."""
    lines = [json.loads(line) for line in (data / "logs" / "antiphon.jsonl").read_text("utf-8").splitlines()]
    return {line["service"] for line in lines if line["level"] == "info"} - {"gateway"}


async def test_a_platform_is_ready_when_it_says_where_it_is_and_leaves_nothing_running(
    tmp_path: Path,
) -> None:
    async with Platform(tmp_path / "data", port=0).running() as platform, httpx.AsyncClient() as client:
        ready = await client.get(f"{platform.url}/readyz")
        assert ready.status_code == 200, ready.text
        port = int(platform.url.rpartition(":")[2])
    names = {task.get_name() for task in asyncio.all_tasks()} - {asyncio.current_task().get_name()}  # type: ignore[union-attr]
    assert not [name for name in names if name.startswith(("serve-", "consume-", "outbox"))]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_a_taken_listen_port_is_a_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PlatformError, match=r"cannot listen on .* choose another by PORT="):
            async with Platform(tmp_path / "data", port=port).running():
                pass


async def test_one_data_directory_serves_one_platform(tmp_path: Path) -> None:
    async with Platform(tmp_path / "data", port=0).running():
        with pytest.raises(PlatformError, match="another platform is using"):
            async with Platform(tmp_path / "data", port=0).running():
                pass


async def test_secrets_and_data_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    async with Platform(tmp_path / "data", port=0).running():
        pass
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    secrets = [path for path in (tmp_path / "data" / "secrets").rglob("*") if path.is_file()]
    assert secrets
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets)
