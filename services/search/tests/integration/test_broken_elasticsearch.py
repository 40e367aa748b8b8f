"""The failure policy on a server that is really frozen and killed: in time, honest, and nothing lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from antiphon_common.ids import new_id
from antiphon_common.testing.running import eventually, running
from antiphon_search.app import create_app
from antiphon_search.settings import Settings

pytestmark = pytest.mark.once("server")

FLOOD = 5000
CATCH_UP_SECONDS = 30


@pytest.fixture(scope="module")
def server(private_server: Any) -> Any:
    return private_server("elasticsearch")


@pytest.fixture
async def shelf(server: Any, settings: Settings, make_shelf: Any) -> AsyncIterator[Any]:
    """The documents of a service whose index is on that server."""
    url = f"elasticsearch://{urlsplit(server.url).netloc}/{new_id().hex}"
    shelf = make_shelf(settings.model_copy(update={"index_url": url, "index_timeout_s": 0.28}))
    await shelf.index.start()
    yield shelf
    await shelf.index.stop()
    await shelf.database.stop()


@pytest.mark.parametrize("fault", ["freeze", "kill"])
async def test_people_are_told_in_time_and_all_that_waits_is_found_soon_after(
    server: Any, shelf: Any, fault: str
) -> None:
    async with running(create_app(shelf.settings)) as client:
        await shelf.put("Aurora")
        await eventually(partial(_total, client, "aurora"), lambda total: total == 1, seconds=30)
        await asyncio.to_thread(getattr(server, fault))
        try:
            await _is_refused_in_time(client)
            await shelf.put(*(f"Flood {number}" for number in range(FLOOD)))
            await _is_refused_in_time(client)
            assert (await client.get("/readyz")).json()["missing"] == ["index"]
        finally:
            await asyncio.to_thread(server.thaw if fault == "freeze" else server.start)
        started = time.monotonic()
        await eventually(
            partial(_total, client, "flood"), lambda total: total == FLOOD, seconds=2 * CATCH_UP_SECONDS
        )
        assert time.monotonic() - started < CATCH_UP_SECONDS
        assert await _total(client, "aurora") == 1, "what it had acknowledged is still there"
        assert await eventually(shelf.index.count) == FLOOD + 1


async def _is_refused_in_time(client: httpx.AsyncClient) -> None:
    """503 each time, within 300 ms each, and at once after the fifth; a busy machine is given some more."""
    took = []
    for _ in range(10):
        started = time.monotonic()
        answer = await client.get("/api/search?q=aurora")
        took.append(time.monotonic() - started)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert max(took) < 0.6
    assert sorted(took)[4] < 0.25, "half of them were refused before the deadline: they were not even asked"


async def _total(client: httpx.AsyncClient, q: str) -> int | None:
    answer = await client.get("/api/search/tracks", params={"q": q})
    total: int | None = answer.json().get("total")
    return total
