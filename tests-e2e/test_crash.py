"""What must survive: `kill -9` at ten random moments while thirty files are imported and liked."""

import asyncio
import contextlib
import os
import random
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e_support import stores
from e2e_support.audio import add_cover, make_audio
from e2e_support.people import Person, every
from e2e_support.platform import PlatformProcess

from antiphon_common.testing.running import eventually

FILES, KILLS = 30, 10
# So many kills at least must find an upload half done; with a few fewer the test would prove little.
LEAST_HITS = 5


class Importer:
    """Uploads files as they are released, through restarts; remembers every answered 202."""

    def __init__(self, person: Person, files: list[Path]) -> None:
        self._person = person
        self._waiting = list(files)
        self._released = asyncio.Semaphore(0)
        self.acknowledged: dict[str, Path] = {}

    async def run(self) -> None:
        await asyncio.gather(*(self._work() for _ in range(len(self._waiting))))

    def release(self, count: int) -> None:
        """Let that many more files be sent."""
        for _ in range(count):
            self._released.release()

    async def _work(self) -> None:
        await self._released.acquire()
        file = self._waiting.pop()
        while True:
            try:
                upload = await self._person.upload(file)
            except (httpx.TransportError, AssertionError):
                await asyncio.sleep(0.1)
                continue
            self.acknowledged[upload["id"]] = file
            break


async def like_what_is_there(person: Person, liked: set[str]) -> None:
    """Like every track once, through restarts, until cancelled."""
    while True:
        with contextlib.suppress(httpx.TransportError, AssertionError):
            for track in await every(person, "/api/tracks", sort="recent"):
                known = track["id"] in liked
                if not known and await person.status("PUT", f"/api/me/tracks/{track['id']}") == 204:
                    liked.add(track["id"])
        await asyncio.sleep(0.1)


def half_done(data: Path) -> int:
    """How many uploads a killed platform has begun and not finished."""
    return len(stores.rows(data, "file", "SELECT id FROM upload WHERE state IN ('receiving', 'analysing')"))


async def kill_ten_times(platform: PlatformProcess, importer: Importer, dice: random.Random) -> int:
    """Release three files, kill, restart, and again; how many kills hit an upload half done."""
    hits = 0
    for number in range(KILLS):
        assert len(importer.acknowledged) <= number * FILES // KILLS, "sent before it was released"
        importer.release(FILES // KILLS)
        # By turns while bytes arrive, and later, while events travel.
        await asyncio.sleep(dice.uniform(0.02, 0.8) if number % 2 else dice.uniform(0.8, 4.0))
        platform.kill()
        hits += half_done(platform.data) > 0
        await asyncio.to_thread(platform.start)
    return hits


@pytest.mark.timeout(300)
async def test_every_acknowledged_upload_survives_ten_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**9)))
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    dice = random.Random(seed)
    files = [
        make_audio(
            tmp_path / f"{number}.mp3", seconds=1.5, pitch=200 + number, genre=f"Noise {number % 3}",
            title=f"Survivor Numbered{number:03d}", artist=f"Crash Test {number % 5}", album=f"Wreck {number % 7}",
        )
        for number in range(FILES)
    ]  # fmt: skip
    for number, file in enumerate(files):
        add_cover(file, color=(number % 7 * 30, 90, 120))
    data = tmp_path / "data"
    platform = PlatformProcess(data, environment={"FILE_COLLECT_SECONDS": "1"})
    platform.start()
    try:
        async with Person(platform.url, "Ada") as ada, Person(platform.url, "Bob") as bob:
            await ada.register()
            await bob.register()
            importer, liked = Importer(ada, files), set[str]()
            working = asyncio.create_task(importer.run())
            liking = asyncio.create_task(like_what_is_there(bob, liked))
            hits = await kill_ten_times(platform, importer, dice)
            assert hits >= LEAST_HITS, f"only {hits} of {KILLS} kills hit an upload"
            await asyncio.wait_for(working, 90)
            await check(ada, importer, files)
            await eventually(lambda: _count(liked), lambda count: count == FILES, seconds=30)
            liking.cancel()

            # Leases of what a killed process began run for fifteen seconds.
            async def complaints() -> list[str]:
                return await asyncio.to_thread(stores.complaints, data)

            assert await eventually(complaints, lambda found: not found, seconds=40) == []
        assert platform.stop() in (0, 130)
        assert stores.complaints(data) == []
        assert stores.rows(data, "library", "SELECT sum(value) FROM counter") == [(FILES,)]
        assert stores.rows(data, "catalog", "SELECT sum(like_count) FROM track") == [(FILES,)]
    finally:
        platform.kill()


async def _count(things: set[str]) -> int:
    return len(things)


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
            partial(ada.get, "/api/search/tracks", q=f"Numbered{number:03d}", limit=50),
            partial(_has_once, f"Survivor Numbered{number:03d}"),
            seconds=20,
        )
    artists = await every(ada, "/api/artists")
    assert sorted(artist["name"] for artist in artists) == [f"Crash Test {n}" for n in range(5)]


def _has_once(title: str, page: Any) -> bool:
    return [track["title"] for track in page["items"]].count(title) == 1
