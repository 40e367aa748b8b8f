"""`make demo PROFILE=server`: the demo library, through the edge into nine processes."""

import asyncio
import json
import sys

import pytest
from e2e_support.people import Person
from e2e_support.server_platform import ROOT, ServerPlatform

from antiphon_common.testing.running import eventually

pytestmark = pytest.mark.timeout(400)
SONGS = 19


async def test_the_logs_of_one_service_are_followed(server_platform: ServerPlatform) -> None:
    command = [
        sys.executable,
        str(ROOT / "tools/stack"),
        "--data",
        str(server_platform.data / "stack"),
        "logs",
        "catalog",
    ]
    following = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert following.stdout
        line = json.loads(await asyncio.wait_for(following.stdout.readline(), 20))
        assert line["service"] == "catalog"
    finally:
        following.terminate()
        await following.wait()


async def test_the_demo_library_is_loaded_once_and_then_found_and_played(
    server_platform: ServerPlatform,
) -> None:
    assert f"{SONGS} ready  0 duplicate  0 rejected" in server_platform.stack("demo")
    assert f"{SONGS} ready" not in server_platform.stack("demo")
    async with Person(server_platform.url, "Ada") as ada:
        await ada.register()
        # Misspelt, as the command itself suggests.
        found = await eventually(lambda: ada.found("harbr"))
        answer = await ada.call("POST", "/api/stream/resolve", json={"track_ids": found[:1]})
        heard = await ada.call("GET", answer.json()[0]["url"], headers={"range": "bytes=0-99"})
        assert (heard.status_code, len(heard.content)) == (206, 100)
