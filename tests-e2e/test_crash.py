"""What must survive: `kill -9` at ten random moments while thirty files are imported."""

import asyncio
import os
import random
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e_support.audio import make_audio
from e2e_support.people import Person
from e2e_support.platform import PlatformProcess

from antiphon_common.testing.running import eventually

FILES, KILLS = 30, 10


class Importer:
    """Uploads files, four at a time, through restarts; remembers every answered 202."""

    def __init__(self, person: Person, files: list[Path]) -> None:
        self._person = person
        self._waiting = list(files)
        self.acknowledged: dict[str, Path] = {}

    async def run(self) -> None:
        await asyncio.gather(*(self._work() for _ in range(4)))

    @property
    def done(self) -> bool:
        return not self._waiting

    async def _work(self) -> None:
        while self._waiting:
            file = self._waiting.pop()
            while True:
                try:
                    upload = await self._person.upload(file)
                except (httpx.TransportError, AssertionError):
                    await asyncio.sleep(0.1)
                    continue
                self.acknowledged[upload["id"]] = file
                break


async def kill_and_restart(platform: PlatformProcess, dice: random.Random) -> None:
    await asyncio.sleep(dice.uniform(0.05, 1.5))
    platform.kill()
    await asyncio.to_thread(platform.start)


@pytest.mark.timeout(300)
async def test_every_acknowledged_upload_survives_ten_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**9)))
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    dice = random.Random(seed)
    files = [
        make_audio(
            tmp_path / f"{number}.mp3", seconds=1.5, pitch=200 + number,
            title=f"Survivor Numbered{number:03d}", artist=f"Crash Test {number % 5}", album=f"Wreck {number % 7}",
        )
        for number in range(FILES)
    ]  # fmt: skip
    platform = PlatformProcess(tmp_path / "data", environment={"FILE_GC_AGE_SECONDS": "1"})
    platform.start()
    try:
        async with Person(platform.url, "Ada") as ada:
            await ada.register()
            importer = Importer(ada, files)
            working = asyncio.create_task(importer.run())
            for _ in range(KILLS):
                await kill_and_restart(platform, dice)
            await asyncio.wait_for(working, 90)
            await check(ada, importer, files)
        assert platform.stop() in (0, 130)
        check_stores(tmp_path / "data")
    finally:
        platform.kill()


async def check(ada: Person, importer: Importer, files: list[Path]) -> None:
    """Uploads terminal, each track once in the catalogue and once in search."""
    await ada.login()

    async def open_uploads() -> list[Any]:
        return [
            item for item in await every(ada, "/api/uploads") if item["state"] in ("receiving", "analysing")
        ]

    await eventually(open_uploads, lambda uploads: not uploads, seconds=60)
    uploads = {item["id"]: item for item in await every(ada, "/api/uploads")}
    for upload_id, file in importer.acknowledged.items():
        assert upload_id in uploads, f"{file.name} was answered 202 and is gone"
        assert uploads[upload_id]["state"] in ("ready", "duplicate"), uploads[upload_id]
    ready = [item for item in uploads.values() if item["state"] == "ready"]
    assert len(ready) == len(files)

    async def titles() -> list[str]:
        return sorted(track["title"] for track in await every(ada, "/api/tracks", sort="recent"))

    wanted = sorted(f"Survivor Numbered{number:03d}" for number in range(len(files)))
    assert await eventually(titles, lambda found: found == wanted, seconds=30) == wanted
    for number in range(len(files)):
        await eventually(
            lambda n=number: ada.get("/api/search/tracks", q=f"Numbered{n:03d}", limit=50),
            lambda page, n=number: (
                [t["title"] for t in page["items"]].count(f"Survivor Numbered{n:03d}") == 1
            ),
            seconds=20,
        )
    artists = await every(ada, "/api/artists")
    assert sorted(artist["name"] for artist in artists) == [f"Crash Test {n}" for n in range(5)]


async def every(person: Person, path: str, **params: Any) -> list[Any]:
    items, cursor = [], None
    while True:
        page = await person.get(path, **{**params, "limit": 100, **({"cursor": cursor} if cursor else {})})
        items += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return items


def check_stores(data: Path) -> None:
    """No object without a row, no row without an object; outboxes and queues empty; no dead letter."""
    for database in sorted(data.glob("*.db")):
        with sqlite3.connect(database) as connection:
            tables = {
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            if "outbox" in tables:
                assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,), database
            if "delivery" in tables:
                assert connection.execute("SELECT consumer, type, code FROM delivery").fetchall() == []
