"""The gateway as a process of its own: how it ends, and what a wrong setting gets."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import orjson
import pytest

from antiphon_common.testing.running import eventually
from antiphon_gateway.settings import SERVICES


def environment(folder: Path, port: int) -> dict[str, str]:
    services = {f"GATEWAY_{name.upper()}_URL": "http://127.0.0.1:1" for name in SERVICES}
    return {
        "PATH": os.environ["PATH"], "GATEWAY_PORT": str(port), "GATEWAY_BUS_URL": f"inproc://{folder}/bus.db",
        "GATEWAY_STOP_DELAY_SECONDS": "2", **services,
    }  # fmt: skip


async def asked(port: int, path: str) -> httpx.Response | None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False) as client:
        try:
            return await client.get(path)
        except httpx.HTTPError:
            return None


async def test_a_gateway_without_services_starts_and_ends_well_when_told_to(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "antiphon_gateway", "serve"]
    with (tmp_path / "err").open("wb") as errors:
        running = subprocess.Popen(command, env=environment(tmp_path, port), stderr=errors)
    try:
        await eventually(lambda: asked(port, "/healthz"), seconds=60)
        running.send_signal(signal.SIGTERM)

        async def stopping() -> bool:
            answer = await asked(port, "/readyz")
            return answer is not None and answer.json()["missing"] == ["stopping"]

        await eventually(stopping)
        other = await asked(port, "/healthz")
        assert other is not None
        assert other.headers["connection"] == "close"
        assert await asyncio.to_thread(running.wait, 10) == 0
    finally:
        running.kill()
    said = [orjson.loads(line)["event"] for line in (tmp_path / "err").read_bytes().splitlines()]
    assert said[-1] == "stopped"
    assert "exception" not in (tmp_path / "err").read_text()


@pytest.mark.parametrize(
    ("name", "value"), [("BUS_URL", "kafka://u:canary@h"), ("CACHE_URL", "memcached:canary")]
)
def test_a_setting_that_can_never_work_is_named(tmp_path: Path, name: str, value: str) -> None:
    told = environment(tmp_path, 0) | {f"GATEWAY_{name}": value}
    command = [sys.executable, "-m", "antiphon_gateway", "serve"]
    ended = subprocess.run(command, env=told, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith(f"GATEWAY_{name}: ")
    assert "canary" not in ended.stderr
