"""What people are told while the index is away, slow or incomplete: 503 in time, never an empty answer."""

import asyncio
import time
from dataclasses import replace
from functools import partial

import pytest

from antiphon_common.errors import Unavailable
from antiphon_common.testing.running import eventually, running
from antiphon_search.adapters.guarding import Breaker
from antiphon_search.app import create_app
from antiphon_search.settings import Settings


class Stuck:
    """An index that never answers."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def stamp(self) -> int | None:
        return 0

    async def search(self, _: object) -> None:
        await asyncio.Event().wait()

    async def suggest(self, *_: object, **__: object) -> None:
        await asyncio.Event().wait()


async def test_a_stuck_index_is_a_503_within_300_milliseconds(settings: Settings) -> None:
    app = create_app(Settings(**{**settings.model_dump(), "index_timeout_s": 0.28}))
    async with running(app) as client:
        app.state.deps = replace(app.state.deps, index=Stuck())

        async def seconds(path: str) -> float:
            started = time.monotonic()
            answer = await client.get(f"/api/search{path}?q=a")
            took = time.monotonic() - started
            assert (answer.status_code, answer.json()["code"]) == (503, "index_unavailable")
            assert answer.headers["retry-after"] == "1"
            return took

        for path in ("", "/tracks", "/suggest"):
            # A machine that is busy with other tests may take longer once, but not each time.
            await eventually(partial(seconds, path), lambda took: took < 0.4, seconds=3)


async def test_an_index_that_may_lack_anything_never_says_that_there_is_nothing(settings: Settings) -> None:
    app = create_app(settings)
    async with running(app) as client:
        await eventually(partial(client.get, "/api/search?q=a"), lambda answer: answer.status_code == 200)
        app.state.deps = replace(app.state.deps, completeness=lambda: "partial")
        for path in ("", "/tracks", "/suggest"):
            answer = await client.get(f"/api/search{path}?q=a")
            assert (answer.status_code, answer.json()["code"]) == (503, "index_behind")


async def nothing() -> None:
    """A ping that is answered."""


async def late() -> None:
    await asyncio.Event().wait()


async def test_late_answers_close_the_index_to_nobody_while_it_answers_a_ping() -> None:
    guard = Breaker(0.02, nothing)
    for _ in range(20):
        with pytest.raises(Unavailable):
            await guard.ask(late)

    async def works() -> str:
        return "found"

    assert await guard.ask(works) == "found"


async def test_late_answers_of_an_index_that_answers_no_ping_are_refused_at_once_after_a_while() -> None:
    guard = Breaker(0.02, late)

    async def refused_at_once() -> bool:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await guard.ask(late)
        return time.monotonic() - began < 0.01

    await eventually(refused_at_once, seconds=3)


async def test_the_index_is_let_go_of_though_its_ping_is_still_waited_for(settings: Settings) -> None:
    async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        streams.append(writer)

    streams: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(never, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    url = f"elasticsearch://127.0.0.1:{port}/antiphon"
    async with running(
        create_app(settings.model_copy(update={"index_url": url, "index_timeout_s": 0.5}))
    ) as client:
        assert (await client.get("/api/search?q=a")).status_code == 503
        [doubt] = [task for task in asyncio.all_tasks() if task.get_name() == "is-the-index-alive"]
    assert doubt.cancelled()
    silent.close()
    for stream in streams:
        stream.close()


async def test_after_five_failures_questions_are_refused_at_once_until_one_succeeds() -> None:
    now, asked = 0.0, 0

    async def fails() -> None:
        nonlocal asked
        asked += 1
        raise Unavailable("index_unavailable")

    async def works() -> str:
        return "found"

    guard = Breaker(0.28, nothing, now=lambda: now)
    for _ in range(20):
        with pytest.raises(Unavailable):
            await guard.ask(fails)
    assert asked == 5
    now = 0.6
    for _ in range(20):
        with pytest.raises(Unavailable):
            await guard.ask(fails)
    assert asked == 6, "one trial after the pause"
    now = 60.0
    assert await guard.ask(works) == "found"
    assert await guard.ask(works) == "found", "the others need not wait for another pause"
