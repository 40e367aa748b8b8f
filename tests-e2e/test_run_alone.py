"""Every process starts alone, from the very words of its README."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from antiphon_common.testing.running import eventually

ROOT = Path(__file__).resolve().parent.parent
HOUSES = [ROOT / "gateway", *sorted((ROOT / "services").iterdir())]


def words(readme: Path) -> str:
    """The first block under "Run alone"."""
    section = readme.read_text("utf-8").partition("\n## Run alone\n")[2]
    found = re.match(r"\s*```\n(.*?)```", section, re.DOTALL)
    assert found, f"{readme} does not say how to run alone"
    return found[1]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.mark.parametrize("house", HOUSES, ids=lambda house: house.name)
async def test_a_process_starts_alone_from_the_words_of_its_readme(house: Path, tmp_path: Path) -> None:
    name, port = house.name, free_port()
    # Only the places are others: a directory of this test, and a free listen port.
    script = words(house / "README.md").replace("/tmp/", f"{tmp_path}/")
    script = re.sub(rf"{name.upper()}_PORT=\d+", "", script)
    command = f"set -e\nexport {name.upper()}_PORT={port}\n{script}".replace("&& python", "&& exec python")
    passed_on = {name: os.environ[name] for name in ("HOME", "PYTHONPATH") if name in os.environ}
    environment = {**passed_on, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        running = subprocess.Popen(
            ["bash", "-c", command], env=environment, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:

        async def answer(path: str) -> httpx.Response | None:
            assert running.poll() is None, log.read_text("utf-8")
            try:
                async with httpx.AsyncClient(verify=False) as http:  # plain HTTP, and asked often
                    return await http.get(f"http://127.0.0.1:{port}{path}")
            except httpx.TransportError:
                return None

        alive = await eventually(lambda: answer("/healthz"), seconds=60)
        assert alive
        assert alive.status_code == 200
        ready = await answer("/readyz")
        assert ready
        missing = ready.json()["missing"]
        if name == "gateway":
            assert {"auth", "catalog", "search"} <= set(missing), "it says whom it misses"
        else:
            # Only auth knows the keys of tokens without anybody else.
            assert missing == ([] if name == "auth" else ["keys"])
        os.killpg(running.pid, signal.SIGTERM)
        assert await asyncio.to_thread(running.wait, 10) == 0
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
