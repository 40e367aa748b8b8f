"""People who use everything at a steady pace, for tests in which nobody may notice anything."""

import asyncio
import itertools
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
from e2e_support.audio import make_audio
from e2e_support.people import Person

PER_SECOND = 50
# All come from one address, of which the edge takes fifty requests at once.
AT_ONCE = 40


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
