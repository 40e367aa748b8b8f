"""Two instances of everything are one platform: nobody notices that each is ended and started again while people
use it; limits, caches and withdrawals are of the platform; and it starts in any order.
"""

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from e2e_support.audio import make_audio
from e2e_support.people import Person
from e2e_support.platform import GENEROUS, PATIENT
from e2e_support.ports import first_free_block
from e2e_support.server_platform import PROCESSES, SERVERS, ServerPlatform

from antiphon_common.testing.running import eventually
from antiphon_gateway.settings import SERVICES
from faults.crowd import PER_SECOND, Crowd, a_days_work

pytestmark = pytest.mark.timeout(600)
# Searches a minute: more than the crowd needs.
ALLOWED = 300
PEOPLE = 8
LEAST = int(os.environ.get("LEAST") or 3000)
ROLLED = (os.environ.get("ROLL") or ",".join(PROCESSES)).split(",")


@pytest.fixture(scope="module")
def platform(server_programs: None) -> Iterator[ServerPlatform]:
    """A platform with two of each, and a low limit for searches."""
    rates = json.dumps({**json.loads(GENEROUS), "search": f"{ALLOWED}/60"})
    # Starting two processes at a time takes a core: the 0.28 s of a search are held by tests of their own, and
    # here a late one would hide what is looked for, a request that was lost.
    overrides = {"GATEWAY_RATES": rates, **PATIENT}
    with ServerPlatform(port=first_free_block(), overrides=overrides) as running:
        running.stack("scale", *PROCESSES, "2")
        yield running


def gateways(platform: ServerPlatform) -> list[str]:
    """The gateways themselves, behind the edge."""
    first = int(platform.environment("gateway")["GATEWAY_PORT"])
    second = int(platform.environment("gateway-2")["GATEWAY_PORT"])
    assert first != second
    return [f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}"]


@pytest.mark.timeout(1500)
async def test_no_request_fails_while_every_process_is_started_anew(
    platform: ServerPlatform, tmp_path: Path
) -> None:
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
        pace = sum(crowd.statuses.values()) / (time.monotonic() - began)
        working.cancel()
        await crowd.finish()
    print(f"{sum(crowd.statuses.values())} requests, {pace:.0f}/s: {dict(crowd.statuses)}")  # noqa: T201
    assert crowd.failed == [], Counter(crowd.failed).most_common(20)
    assert not set(crowd.statuses) - {200, 201, 202, 204, 206}, crowd.statuses
    assert pace > 0.9 * PER_SECOND, "they had to wait"


async def test_a_limit_is_one_limit_however_many_gateways_there_are(platform: ServerPlatform) -> None:
    # As the edge, whose word on who asks is believed.
    secret = platform.environment("gateway")["GATEWAY_EDGE_SECRET"]
    edge = {"x-forwarded-for": "203.0.113.7", "x-antiphon-edge": secret}
    async with httpx.AsyncClient(timeout=20, headers=edge) as http:

        async def search(number: int) -> int:
            gateway = gateways(platform)[number % 2]
            return (await http.get(f"{gateway}/api/search?q=x")).status_code

        began = time.monotonic()
        statuses = [await search(number) for number in range(3 * ALLOWED)]
        refilled = int((time.monotonic() - began) * ALLOWED / 60) + 1
    assert ALLOWED <= statuses.count(200) <= ALLOWED + refilled, statuses
    assert statuses.count(200) + statuses.count(429) == len(statuses)


async def test_a_claimed_address_changes_nothing_at_the_edge(platform: ServerPlatform) -> None:
    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as http:
        claims = (f"198.51.{number // 250}.{number % 250}" for number in range(3 * ALLOWED))
        statuses = [
            (await http.get("/api/search?q=x", headers={"x-forwarded-for": who})).status_code
            for who in claims
        ]
    assert 429 in statuses, "another claimed address got another bucket"


async def test_a_change_is_seen_at_every_gateway_at_once(platform: ServerPlatform, tmp_path: Path) -> None:
    async with Person(platform.url, "Ada") as ada, httpx.AsyncClient(timeout=20) as stranger:
        await ada.register()
        track = await ada.publish(make_audio(tmp_path / "a.mp3", title="Before", artist="Both"))

        async def titles() -> set[str]:
            answers = [await stranger.get(f"{gateway}/api/tracks/{track}") for gateway in gateways(platform)]
            return {answer.json().get("title", "none yet") for answer in answers}

        await eventually(titles, lambda seen: seen == {"Before"})
        changed = await ada.call("PATCH", f"/api/tracks/{track}", json={"title": "After"})
        assert changed.status_code == 200
        await eventually(titles, lambda seen: seen == {"After"}, seconds=5)


async def test_a_withdrawn_track_is_dead_at_the_edge_within_five_seconds(
    platform: ServerPlatform, tmp_path: Path
) -> None:
    async with Person(platform.url, "Ada") as ada, httpx.AsyncClient(base_url=platform.url) as stranger:
        await ada.register()
        file = make_audio(tmp_path / "a.mp3", title="Soon gone", artist="Both")
        track = await ada.publish(file)
        signed = (await ada.call("POST", "/api/stream/resolve", json={"track_ids": [track]})).json()[0]["url"]
        part = await stranger.get(signed, headers={"range": "bytes=100-4999"})
        assert (part.status_code, part.content) == (206, file.read_bytes()[100:5000])
        straight = await stranger.get(signed)
        assert straight.content == file.read_bytes()
        assert "ratelimit" not in straight.headers, "it went by the gateway"
        assert await ada.status("DELETE", f"/api/tracks/{track}/publication") in (200, 204)

        # Each instance of stream hears of it in its own time.
        async def statuses() -> set[int]:
            return {(await stranger.get(signed)).status_code for _ in range(6)}

        await eventually(statuses, lambda seen: seen <= {403, 404}, seconds=5)


@pytest.mark.parametrize("round_", [1, 2])
async def test_servers_and_processes_may_start_in_any_order(
    platform: ServerPlatform, round_: int, tmp_path: Path
) -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**9))) + round_
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    order = random.Random(seed).sample(SERVERS, len(SERVERS))
    await asyncio.to_thread(platform.servers, "kill", *SERVERS)
    for name in (*PROCESSES, *(f"{kind}-2" for kind in PROCESSES)):
        platform.kill(name)
    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as http:

        async def status() -> int:
            return (await http.get("/readyz")).status_code

        assert await eventually(status, lambda code: code in (502, 503), seconds=20)
        for server in order:
            await asyncio.to_thread(platform.servers, "up", server)
        await eventually(status, lambda code: code == 200, seconds=120)
    async with Person(platform.url, "Ada") as ada:
        await ada.register()
        track = await ada.publish(make_audio(tmp_path / "a.mp3", title=f"{ada.word}", artist="Order"))

        async def listed() -> list[str]:
            return [item["id"] for item in (await ada.get("/api/tracks", sort="recent", limit=50))["items"]]

        await eventually(listed, lambda ids: track in ids, seconds=60)
    assert all(platform.pid(name) for name in SERVICES)
