"""One service as a process of its own, as a supervisor would start it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson

from antiphon_common.testing.running import eventually
from antiphon_common.testing.tokens import TokenMaker
from antiphon_common.testing.warm import Warm


class Process:
    """`python -m antiphon_SERVICE serve` on a listen port of its own."""

    def __init__(self, service: str, folder: Path, programs: Warm, **environment: str) -> None:
        self.package = f"antiphon_{service}"
        self.folder = folder
        self.programs = programs
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {
            "PATH": os.environ["PATH"],
            f"{service.upper()}_PORT": str(self.port),
            f"{service.upper()}_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/{service}.db",
            f"{service.upper()}_BUS_URL": f"inproc://{folder}/bus.db",
            f"{service.upper()}_JWKS_URL": TokenMaker(folder).jwks_url,
            f"{service.upper()}_STOP_DELAY_SECONDS": "0.5",
            **environment,
        }
        self.running: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return self.programs.run(self.package, [command], self.environment, folder=self.folder)

    async def start(self) -> None:
        with (self.folder / "err").open("wb") as errors:
            command = self._command("serve")
            self.running = subprocess.Popen(command, env=self.environment, stderr=errors)  # noqa: ASYNC220 - returns at once
        await eventually(self.listens, seconds=60)

    async def listens(self) -> bool:
        assert self.running
        assert self.running.poll() is None, self.said()
        try:
            return (await self.get("/healthz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def refuses(self) -> bool:
        try:
            await self.get("/healthz")
        except httpx.ConnectError:
            return True
        return False

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        # Plain HTTP, and asked often: without the certificates of the world.
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", verify=False) as client:
            return await client.get(path, headers=headers)

    async def ready(self) -> Any:
        return (await self.get("/readyz")).json()

    def tell(self, number: signal.Signals) -> None:
        assert self.running
        self.running.send_signal(number)

    async def ended(self, *, seconds: float = 10.0) -> int:
        """The exit code, within so many seconds."""
        assert self.running
        return await asyncio.to_thread(self.running.wait, seconds)

    def said(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in (self.folder / "err").read_bytes().splitlines()]

    def _command(self, command: str) -> list[str]:
        return [sys.executable, "-m", self.package, command]
