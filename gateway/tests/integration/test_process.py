"""The gateway as a process: settings that make no sense, and how it ends while requests run."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import pytest

from antiphon_common.testing.running import eventually
from antiphon_common.testing.warm import Warm, warm
from antiphon_gateway.settings import SERVICES

SERVE = [sys.executable, "-m", "antiphon_gateway", "serve"]


def environment(**settings: str) -> dict[str, str]:
    urls = {f"GATEWAY_{name.upper()}_URL": "http://127.0.0.1:9" for name in SERVICES}
    named = {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}
    return {**os.environ, "GATEWAY_BUS_URL": "inproc:", "GATEWAY_PORT": "0", **urls, **named}


@pytest.fixture(scope="module")
def programs() -> Iterator[Warm]:
    with warm("antiphon_gateway.app", "antiphon_gateway.serving") as programs:
        yield programs


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cache_url", "memcached://x"), ("cache_url", "redis://"), ("cache_url", "redis://host/x"),
        ("limits_url", "redis://host:99999"), ("bus_url", "kafka://x"), ("catalog_url", "https://x"),
        ("catalog_url", "http://a:1,b"), ("catalog_url", "http://a:99999"), ("catalog_url", "http://a/path"),
        ("queue", "catalog"), ("instances", "0"), ("instances", "2"), ("rates", '{"auth": "lots"}'),
        ("rates", '{"nothing": "1/1"}'), ("proxy_networks", '["x"]'),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_named_in_one_line(
    programs: Warm, tmp_path: Path, setting: str, value: str
) -> None:
    told = environment(**{setting: value})
    ended = programs.run("antiphon_gateway", ["serve"], told, folder=tmp_path)
    assert ended.returncode == 2
    assert f"GATEWAY_{setting.upper()}" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr


def test_a_broker_that_refuses_the_password_ends_the_start_with_a_line_that_names_the_setting(
    programs: Warm, tmp_path: Path, amqp_url: str
) -> None:
    at = urlsplit(amqp_url)
    wrong = urlunsplit(at._replace(netloc=f"{at.username}:secret-word@{at.hostname}:{at.port}"))
    ended = programs.run("antiphon_gateway", ["serve"], environment(bus_url=wrong), folder=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert ended.stderr.startswith("GATEWAY_BUS_URL: ")
    assert "secret-word" not in ended.stderr


@pytest.fixture
def gateway_process(tmp_path: Path) -> Iterator[Any]:
    """Starts gateways as processes, and leaves none."""
    running: list[subprocess.Popen[bytes]] = []

    def start(**settings: str) -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen(SERVE, env=environment(**settings)))
        return running[-1]

    yield start
    for one in running:
        if one.poll() is None:
            one.kill()
        one.wait()


@pytest.mark.asyncio(loop_scope="module")
async def test_two_gateways_that_end_in_turn_lose_no_request(
    site: Any, gateway_process: Any, free_ports: list[int]
) -> None:
    """As behind a proxy: a refused connection goes to the other, and a closing answer ends a connection."""
    urls = {f"{name}_url": f"http://127.0.0.1:{site.services.port}" for name in SERVICES}
    settings = {
        **urls,
        "jwks_url": site.tokens.jwks_url,
        "access_log": "false",
        "rates": '{"read": "100000/60", "write": "100000/60"}',
    }
    outcomes: list[int] = []
    over = asyncio.Event()

    async def client(number: int) -> None:
        async with aiohttp.ClientSession(headers=site.bearer()) as http:
            while not over.is_set():
                outcomes.append(await asked(http, free_ports, number + len(outcomes)))
                await asyncio.sleep(0.02)

    running = {port: gateway_process(port=str(port), **settings) for port in free_ports}
    async with aiohttp.ClientSession() as http:
        for port in free_ports:
            await eventually(lambda port=port: answers(http, port), seconds=20)
        clients = [asyncio.create_task(client(number)) for number in range(4)]
        for port in free_ports:
            began = time.monotonic()
            running[port].send_signal(signal.SIGTERM)
            await eventually(lambda port=port: asyncio.sleep(0, running[port].poll()), lambda code: code == 0)
            assert time.monotonic() - began < 10
            running[port] = gateway_process(port=str(port), **settings)
            await eventually(lambda port=port: answers(http, port), seconds=20)
        over.set()
        await asyncio.gather(*clients)
    assert set(outcomes) == {200}
    assert len(outcomes) > 100


async def asked(http: aiohttp.ClientSession, ports: list[int], turn: int) -> int:
    for attempt in range(2):
        url = f"http://127.0.0.1:{ports[(turn + attempt) % 2]}/api/playlists"
        try:
            async with http.post(url, json={}) if turn % 2 else http.get(url) as answer:
                await answer.read()
                return answer.status
        except aiohttp.ClientConnectorError:
            continue
    return 0


async def answers(http: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


@pytest.mark.asyncio(loop_scope="module")
async def test_it_is_not_ready_but_answers_for_a_moment_after_it_was_told_to_end(
    site: Any, gateway_process: Any, free_ports: list[int]
) -> None:
    urls = {f"{name}_url": f"http://127.0.0.1:{site.services.port}" for name in SERVICES}
    one = gateway_process(port=str(free_ports[0]), jwks_url=site.tokens.jwks_url, **urls)
    base = f"http://127.0.0.1:{free_ports[0]}"
    async with aiohttp.ClientSession() as http:
        await eventually(lambda: answers(http, free_ports[0]), seconds=20)
        one.send_signal(signal.SIGTERM)
        await eventually(lambda: answers(http, free_ports[0]), lambda ready: not ready, seconds=0.5)
        async with http.get(f"{base}/api/genres") as answer:
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        await eventually(lambda: asyncio.sleep(0, one.poll()), lambda code: code == 0)
