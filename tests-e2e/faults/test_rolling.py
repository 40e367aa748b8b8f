"""Every process is ended and started again while people use the platform; nobody notices, for each has a second."""

import asyncio
import itertools
import os
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from e2e_support.audio import make_audio
from e2e_support.people import Person
from e2e_support.ports import first_free_block
from e2e_support.server_platform import PROCESSES, ServerPlatform

PEOPLE = 8
PER_SECOND = 50
LEAST = int(os.environ.get("LEAST") or 3000)
# All come from one address, of which the edge takes fifty requests at once.
AT_ONCE = 40
ROLLED = (os.environ.get("ROLL") or ",".join(PROCESSES)).split(",")


class Crowd:
    """Sends requests at a steady pace, as far as they are answered; `failed` is what nobody may see."""

    def __init__(self, requests: list[Callable[[], Awaitable[httpx.Response]]]) -> None:
        self._requests = itertools.cycle(requests)
        self._open: set[asyncio.Task[None]] = set()
        self.statuses: Counter[int] = Counter()
        self.failed: list[str] = []
        self.doing = "nothing"

    async def run(self) -> None:
        """Until cancelled; at most so many wait for an answer at once."""
        began = time.monotonic()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
            while len(self._open) >= AT_ONCE:
                await asyncio.wait(self._open, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self._send(next(self._requests)))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def finish(self) -> None:
        if self._open:
            await asyncio.wait(self._open)

    async def _send(self, request: Callable[[], Awaitable[httpx.Response]]) -> None:
        try:
            answer = await request()
        except httpx.TransportError as error:
            self.failed.append(f"{self.doing}: {error.request.method} {error!r}")
            return
        self.statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            told = answer.json()
            path = re.sub(r"[0-9a-f-]{36}.*", "...", answer.request.url.path)
            self.failed.append(
                f"{self.doing}: {answer.request.method} {path}: {answer.status_code} {told.get('code')}"
            )


async def a_days_work(
    ada: Person, file: Path, *, pitch: float
) -> list[Callable[[], Awaitable[httpx.Response]]]:
    """Reads, writes, searches, audio and sessions, so that every service is asked."""
    track = await ada.publish(
        make_audio(file, seconds=5, pitch=pitch, title=f"{ada.word} Song", artist="Rolling")
    )
    await ada.findable(track, ada.word, seconds=60)
    resolved = (await ada.call("POST", "/api/stream/resolve", json={"track_ids": [track]})).json()[0]
    refresh = ada.refresh

    async def renew() -> httpx.Response:
        nonlocal refresh
        answer = await ada.http.post("/api/auth/refresh", json={"refresh_token": refresh})
        if answer.status_code == 200:
            refresh, ada.access = answer.json()["refresh_token"], answer.json()["access_token"]
        return answer

    def ask(method: str, path: str, **options: object) -> Callable[[], Awaitable[httpx.Response]]:
        return lambda: ada.call(method, path, **options)

    often = [
        ask("GET", f"/api/tracks/{track}"), ask("GET", "/api/tracks?sort=recent&limit=5"), ask("GET", "/api/me"),
        ask("PUT", f"/api/me/tracks/{track}"), ask("GET", "/api/me/tracks"), ask("DELETE", f"/api/me/tracks/{track}"),
        ask("POST", "/api/playlists", json={"title": "Rolling"}), ask("GET", "/api/playlists?limit=5"),
        ask("GET", f"/api/search?q={ada.word}"), ask("GET", "/api/uploads?limit=5"),
        ask("PUT", "/api/me", json={"name": "Ada"}), ask("GET", "/api/auth/sessions"),
        lambda: ada.http.get(resolved["url"], headers={"range": "bytes=0-9999"}),
        ask("GET", f"/api/stream/{track}", headers={"range": "bytes=100-9999"}),
        ask("GET", f"/api/tracks/{track}/waveform"),
        ask("POST", "/api/plays", json={"play_id": str(uuid4()), "track_id": track, "listened_ms": 1,
                                        "started_at": datetime.now(UTC).isoformat()}),
    ]  # fmt: skip
    return [*often * 8, renew]


@pytest.mark.timeout(1500)
async def test_no_request_fails_while_every_process_is_started_anew(tmp_path: Path) -> None:
    overrides = {"SEARCH_INDEX_TIMEOUT_S": "5"}
    with ServerPlatform(port=first_free_block(), overrides=overrides) as platform:
        await asyncio.to_thread(platform.stack, "scale", *ROLLED, "2")
        async with AsyncExitStack() as stack:
            work = []
            for number in range(PEOPLE):
                person = await stack.enter_async_context(Person(platform.url, f"Ada {number}"))
                await person.register()
                work.append(await a_days_work(person, tmp_path / f"{number}.mp3", pitch=200 + number))
            # By turns, because what one person writes is done one after the other.
            crowd = Crowd([request for turn in zip(*work, strict=True) for request in turn])
            working = asyncio.create_task(crowd.run())
            began = time.monotonic()
            for kind in ROLLED:
                crowd.doing = kind
                before = {name: platform.pid(name) for name in (kind, f"{kind}-2")}
                await asyncio.to_thread(platform.stack, "restart", kind)
                assert all(platform.pid(name) not in (0, pid) for name, pid in before.items())
            while sum(crowd.statuses.values()) < LEAST:
                assert time.monotonic() - began < 1000
                await asyncio.sleep(0.5)
            working.cancel()
            await crowd.finish()
        print(f"{sum(crowd.statuses.values())} requests: {dict(crowd.statuses)}")  # noqa: T201
        assert crowd.failed == [], Counter(crowd.failed).most_common(20)
        assert not set(crowd.statuses) - {200, 201, 202, 204, 206}, crowd.statuses
