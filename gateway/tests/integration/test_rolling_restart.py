"""Instances that are real processes, ended and started again one after the other while requests run."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from antiphon_common.testing.running import eventually

PROGRAM = """
import asyncio, sys
from contextlib import nullcontext
from antiphon_common.logs import open_log
from antiphon_common.web import serving

stopping = False

def stop():
    global stopping
    stopping = True

async def app(scope, receive, send):
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    status = 503 if stopping and scope["path"] == "/readyz" else 200
    await asyncio.sleep(0.02 if scope["method"] == "POST" else 0)
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(b"{}"))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b"{}"})

config = serving.server_config(app, "127.0.0.1", int(sys.argv[1]))
serving.run(config, lifespan=nullcontext(), on_stop=stop, delay=1.0, log=open_log("instance", level="error"))
"""


@dataclass
class Process:
    """One instance on a listen port of its own."""

    command: list[str]
    port: int
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self.process = subprocess.Popen(self.command, env={**os.environ, **self.env})
        await eventually(self._listens, seconds=20)

    async def end(self, number: int = signal.SIGTERM) -> float:
        """Tell it to end; how long that took."""
        assert self.process
        began = time.monotonic()
        self.process.send_signal(number)

        async def ended() -> bool:
            return self.process.poll() is not None

        await eventually(ended, seconds=12)
        return time.monotonic() - began

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    async def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            return True
        return False


@contextlib.asynccontextmanager
async def instances(ports: list[int]) -> AsyncIterator[list[Process]]:
    """Instances of a service."""
    every = [Process([sys.executable, "-c", PROGRAM, str(port)], port) for port in ports]
    try:
        await asyncio.gather(*(one.start() for one in every))
        yield every
    finally:
        for one in every:
            one.kill()


@contextlib.asynccontextmanager
async def load(site: Any, *, rate: int) -> AsyncIterator[Counter[Any]]:
    """Reads and writes at this many a second, counted by what came of them."""
    outcomes: Counter[Any] = Counter()
    headers, running, enough = site.bearer(), set(), asyncio.Event()

    async def one(http: aiohttp.ClientSession, number: int) -> None:
        method = ("GET", "POST", "GET", "DELETE")[number % 4]
        path = (
            "/api/playlists/0198c0de-0000-7000-8000-000000000001" if method == "DELETE" else "/api/playlists"
        )
        body = b"{}" if method == "POST" else None
        kind = {"content-type": "application/json"} if body else {}
        try:
            async with http.request(
                method, site.url + path, headers={**headers, **kind}, data=body
            ) as answer:
                await answer.read()
                outcomes[answer.status if answer.status == 200 else (method, answer.status)] += 1
        except aiohttp.ClientError as error:
            outcomes[repr(error)] += 1

    async def run() -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            began, number = time.monotonic(), 0
            while not enough.is_set():
                task = asyncio.create_task(one(http, number))
                running.add(task)
                task.add_done_callback(running.discard)
                number += 1
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            await asyncio.gather(*running)

    runner = asyncio.create_task(run())
    try:
        yield outcomes
    finally:
        enough.set()
        await runner


async def ready_again(site: Any, count: int) -> None:
    """Every instance is well in the gateway's eyes."""
    every = site.gateway._parts.forwarder._upstreams["playlist"].instances.every

    async def well() -> int:
        return sum(not one.resting for one in every)

    await eventually(well, lambda number: number == count)


async def test_no_request_is_lost_while_each_instance_is_ended_and_started_again(
    new_site: Any, tmp_path: Path, free_ports: list[int]
) -> None:
    urls = ",".join(f"http://127.0.0.1:{port}" for port in free_ports)
    async with instances(free_ports) as both, new_site(tmp_path, playlist_url=urls) as site:
        async with load(site, rate=100) as outcomes:
            for _ in range(2):
                for one in both:
                    assert await one.end() < 10
                    await one.start()
                    await ready_again(site, 2)
        assert set(outcomes) == {200}
        assert outcomes[200] > 400


async def test_a_killed_instance_costs_no_read_and_is_asked_again_when_it_is_back(
    new_site: Any, tmp_path: Path, free_ports: list[int]
) -> None:
    urls = ",".join(f"http://127.0.0.1:{port}" for port in free_ports)
    async with instances(free_ports) as both, new_site(tmp_path, playlist_url=urls) as site:
        async with load(site, rate=100) as outcomes:
            for one in both:
                await one.end(signal.SIGKILL)
                await asyncio.sleep(0.5)
                await one.start()
                await ready_again(site, 2)
        # A write that was under way in the killed process may have happened, so it is not made again.
        assert {kind for kind in outcomes if kind != 200} <= {("POST", 502)}
        assert sum(outcomes.values()) - outcomes[200] <= 8


async def test_a_frozen_instance_is_set_aside_within_two_seconds(
    new_site: Any, tmp_path: Path, free_ports: list[int]
) -> None:
    urls = ",".join(f"http://127.0.0.1:{port}" for port in free_ports)
    async with (
        instances(free_ports) as both,
        new_site(tmp_path, playlist_url=urls, deadline_seconds=1.0) as site,
    ):
        both[0].process.send_signal(signal.SIGSTOP)
        try:
            await eventually(lambda: resting(site), lambda count: count == 1, seconds=2.5)
            for _ in range(20):
                began = time.monotonic()
                assert (await site.get("/api/playlists", headers=site.bearer())).status == 200
                assert time.monotonic() - began < 0.5
        finally:
            both[0].process.send_signal(signal.SIGCONT)
        await ready_again(site, 2)


async def test_an_only_instance_that_is_frozen_is_refused_at_once_and_asked_again_when_it_lives(
    new_site: Any, tmp_path: Path, free_ports: list[int]
) -> None:
    url = f"http://127.0.0.1:{free_ports[0]}"
    async with (
        instances(free_ports[:1]) as (only,),
        new_site(tmp_path, playlist_url=url, deadline_seconds=0.5) as site,
    ):

        async def asked() -> tuple[int, bool]:
            began = time.monotonic()
            status = (await site.get("/api/playlists", headers=site.bearer())).status
            return status, time.monotonic() - began < 0.25

        assert (await asked())[0] == 200
        only.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.gather(*(asked() for _ in range(5)))
            await eventually(asked, lambda answer: answer == (503, True), seconds=3)
            # Nobody has to wait to find out that it is still frozen.
            for _ in range(40):
                assert await asked() == (503, True)
                await asyncio.sleep(0.05)
        finally:
            only.process.send_signal(signal.SIGCONT)
        await eventually(asked, lambda answer: answer[0] == 200, seconds=3)


async def resting(site: Any) -> int:
    return sum(one.resting for one in site.gateway._parts.forwarder._upstreams["playlist"].instances.every)
