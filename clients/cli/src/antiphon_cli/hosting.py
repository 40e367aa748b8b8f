"""`antiphon run` and `antiphon demo`: the embedded platform in this terminal, until Ctrl-C."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import uvloop

from antiphon_cli import admin
from antiphon_cli.failures import Failure
from antiphon_cli.loading import load_demo
from antiphon_cli.screen import console, out
from antiphon_embedded import Platform, PlatformError
from antiphon_embedded.platform import RunningPlatform

new_event_loop = uvloop.new_event_loop
"""The event loop that a platform runs on."""


async def run(*, data: Path, host: str, port: int) -> None:
    """Start the platform and say how the first administrator is made."""
    async with _platform(data, host, port) as platform:
        out.print(f"Antiphon is at [bold]{platform.url}[/]  (data: {platform.house.data}; Ctrl-C stops)")
        with contextlib.suppress(admin.SecretMissing):
            admin.read_secret(data)
            command = f"{_command()} admin create you@example.org --server {platform.url} --data {data}"
            out.print("There is no administrator yet. Make one, in another terminal:")
            out.print(f"  {command}", soft_wrap=True)
        await platform.wait()


async def demo(*, data: Path, host: str, port: int) -> None:
    """Start the platform, load the demo library into it once, and say what to try."""
    async with _platform(data, host, port) as platform:
        await load_demo(platform.url, platform.house.data)
        out.print("\nCtrl-C stops; the data stays.")
        await platform.wait()


@asynccontextmanager
async def _platform(data: Path, host: str, port: int) -> AsyncIterator[RunningPlatform]:
    """A platform that SIGINT and SIGTERM stop by cancelling what runs in the block."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    # The server library reports through the process-wide logging; people get a sentence instead.
    logging.basicConfig(filename=_log_file(data), level=logging.WARNING)
    try:
        async with AsyncExitStack() as stack:
            with console.status("starting ..."):
                platform = await stack.enter_async_context(Platform(data, host, port).running())
            yield platform
    except asyncio.CancelledError:
        console.print("stopped")
    except PlatformError as error:
        raise Failure(str(error)) from error


def _log_file(data: Path) -> Path:
    file = data / "logs" / "server.log"
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
    return file if file.parent.is_dir() else Path(os.devnull)


def _command() -> str:
    return ".venv/bin/antiphon" if Path(".venv/bin/antiphon").exists() else "antiphon"
