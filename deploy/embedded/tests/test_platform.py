"""The embedded composition: two platforms in one process, and what stops one from starting."""

import asyncio
import socket
from pathlib import Path

import httpx
import pytest

from antiphon_common.testing.running import eventually
from antiphon_embedded import Platform, PlatformError

PASSWORD = "quiet-harbour-lantern-42"


async def register(url: str, email: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=url) as client:
        return await client.post(
            "/api/auth/register", json={"email": email, "password": PASSWORD, "name": "Ada"}
        )


async def test_two_differently_configured_platforms_run_in_one_process(tmp_path: Path) -> None:
    async with (
        Platform(tmp_path / "one", port=0).running() as one,
        Platform(tmp_path / "two", host="localhost", port=0).running() as two,
    ):
        assert one.url != two.url
        assert (await register(one.url, "ada@example.org")).status_code == 201
        assert (await register(one.url, "ada@example.org")).status_code == 409
        assert (await register(two.url, "ada@example.org")).status_code == 201, "they share an account"
        async with httpx.AsyncClient() as client:
            body = {"email": "ada@example.org", "password": PASSWORD, "session": "token"}
            token = (await client.post(f"{one.url}/api/auth/login", json=body)).json()["access_token"]
            headers = {"authorization": f"Bearer {token}"}
            mine = await eventually(
                lambda: client.get(f"{one.url}/api/me", headers=headers), lambda a: a.status_code == 200
            )
            assert mine.json()["email"] == "ada@example.org"
            foreign = await client.get(f"{two.url}/api/me", headers=headers)
            assert foreign.status_code == 401, "a token of one platform works on the other"


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
