"""Every event again, twice and in the wrong order: nothing changes, and an empty house ends up the same."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e_support.audio import make_audio
from e2e_support.people import Person

from antiphon_common.bus import Envelope, open_bus
from antiphon_common.ids import new_id
from antiphon_common.testing.running import eventually
from antiphon_embedded import Platform
from antiphon_embedded.composition import SERVICES
from antiphon_embedded.platform import RunningPlatform

# What the publisher's own projections are made of; an empty house has no uploads to make tracks of.
PROJECTED = ("auth.", "user.", "catalog.", "playlist.", "library.")


@asynccontextmanager
async def recording(platform: RunningPlatform) -> AsyncIterator[list[Envelope]]:
    """Everything that is published while the block lasts."""
    seen: list[Envelope] = []

    async def note(bodies: Sequence[bytes]) -> None:
        seen.extend(Envelope.from_bytes(body) for body in bodies)

    types = sorted({event.type for service in SERVICES for event in service.handlers})
    bus = open_bus(platform.house.bus_url)
    await bus.start()
    await bus.consume("recorder", types, note)
    yield seen
    await bus.stop()


async def quiet(platform: RunningPlatform) -> None:
    """Wait until nobody has anything left to do."""
    bus = open_bus(platform.house.bus_url)
    await bus.start()

    async def waiting() -> int:
        depths = [await bus.depth(service.name) for service in SERVICES]
        rows = 0
        for database in platform.house.data.glob("*.db"):
            with sqlite3.connect(database) as connection:
                if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone():
                    rows += connection.execute("SELECT count(*) FROM outbox").fetchone()[0]
        return sum(depths) + rows

    for _ in range(3):
        await eventually(waiting, lambda count: count == 0, seconds=30)
        await asyncio.sleep(0.3)
    letters = {service.name: await bus.dead_letters(service.name) for service in SERVICES}
    assert not any(letters.values()), letters
    await bus.stop()


async def replay(platform: RunningPlatform, events: list[Envelope], dice: random.Random) -> None:
    """Publish events as new messages, in any order."""
    fresh = [replace(event, id=new_id()) for event in events]
    dice.shuffle(fresh)
    bus = open_bus(platform.house.bus_url)
    await bus.start()
    await bus.publish(fresh)
    await bus.stop()
    await quiet(platform)


async def snapshot(person: Person, paths: list[str]) -> dict[str, Any]:
    answers = {}
    for path in paths:
        answer = await person.call("GET", path)
        answers[path] = answer.json() if answer.status_code == 200 else answer.status_code
    return answers


@pytest.mark.timeout(180)
async def test_duplicates_in_the_wrong_order_change_nothing(tmp_path: Path) -> None:
    dice = random.Random(7)
    async with Platform(tmp_path / "one", port=0).running() as platform:
        async with recording(platform) as events, Person(platform.url, "Ada") as ada:
            user = await ada.register()
            word = ada.word
            tracks = [
                await ada.publish(
                    make_audio(
                        tmp_path / f"{n}.mp3",
                        seconds=1,
                        pitch=200 + n,
                        title=f"{word} {n}",
                        artist=f"Order {n % 2}",
                        album="Any",
                        genre="Folk",
                    )
                )
                for n in range(4)
            ]
            await quiet(platform)
            await ada.call("PATCH", f"/api/tracks/{tracks[0]}", json={"title": f"{word} renamed"})
            await ada.call("DELETE", f"/api/tracks/{tracks[1]}/publication")
            await ada.call("DELETE", f"/api/tracks/{tracks[2]}")
            await ada.call("PUT", f"/api/me/tracks/{tracks[0]}")
            await ada.call("PUT", f"/api/me/tracks/{tracks[3]}")
            await ada.call("DELETE", f"/api/me/tracks/{tracks[3]}")
            made = (
                await ada.call("POST", "/api/playlists", json={"title": word, "visibility": "public"})
            ).json()
            await ada.call("POST", f"/api/playlists/{made['id']}/tracks", json={"track_ids": [tracks[0]]})
            await quiet(platform)
            paths = [
                "/api/tracks?sort=title", "/api/albums", "/api/artists", "/api/genres", "/api/me", "/api/me/tracks",
                "/api/playlists", f"/api/playlists/{made['id']}/items", f"/api/search?q={word}", "/api/uploads",
                f"/api/users/{user['id']}", *(f"/api/tracks/{track}" for track in tracks),
            ]  # fmt: skip
            before = await snapshot(ada, paths)
            assert len(before["/api/tracks?sort=title"]["items"]) == 2
            recorded = list(events)
            await replay(platform, recorded * 5, dice)
            after = await snapshot(ada, paths)
            assert after == before
        await check_an_empty_house(tmp_path / "two", recorded, dice, (user["id"], word, before))


async def check_an_empty_house(
    data: Path, recorded: list[Envelope], dice: random.Random, expected: tuple[str, str, dict[str, Any]]
) -> None:
    """Projections that see everything shuffled for the first time are as right as those that saw it in order."""
    user_id, word, before = expected
    projected = [event for event in recorded if event.type.startswith(PROJECTED)]
    async with (
        Platform(data, port=0).running() as platform,
        httpx.AsyncClient(base_url=platform.url) as client,
    ):
        await replay(platform, projected * 5, dice)

        async def found() -> Any:
            return (await client.get("/api/search", params={"q": word})).json()

        def titles(answer: Any) -> list[list[str]]:
            kinds = ("tracks", "albums", "artists", "playlists")
            return [
                sorted(item.get("title") or item["name"] for item in answer[kind]["items"]) for kind in kinds
            ]

        wanted = titles(before[f"/api/search?q={word}"])
        # Her own search finds what she withdrew; here nobody is logged in.
        wanted[0] = [title for title in wanted[0] if title != f"{word} 1"]
        answer = await eventually(found, lambda answer: titles(answer) == wanted, seconds=10)
        assert titles(answer) == wanted
        profile = (await client.get(f"/api/users/{user_id}")).json()
        assert profile == before[f"/api/users/{user_id}"]
