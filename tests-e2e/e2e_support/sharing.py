"""One platform on real servers for all workers of a test run: the first that needs it starts it, the last ends it."""

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path

from e2e_support.collector import everything_to
from e2e_support.platform import PATIENT
from e2e_support.ports import first_free_block
from e2e_support.server_platform import PROCESSES, ServerPlatform

# Nothing is killed here, so the servers need not write to disk before they answer.
_QUICK = {"SERVERS_FAST": "1"}


def collector_port(port: int) -> int:
    """Where the platform at `port` sends its traces, whether somebody listens there or not."""
    return port + 199


def _platform(port: int, data: Path | None = None) -> ServerPlatform:
    shown = everything_to(f"http://127.0.0.1:{collector_port(port)}", PROCESSES)
    return ServerPlatform(port=port, data=data, overrides={**PATIENT, **_QUICK, **shown})


@contextlib.contextmanager
def shared_platform(folder: Path) -> Iterator[ServerPlatform]:
    """The platform that the workers who name this folder share."""
    note = folder / "platform.json"
    with _held(folder):
        known = json.loads(note.read_text("utf-8")) if note.exists() else None
        if known:
            platform = _platform(known["port"], Path(known["data"]))
        else:
            platform = _platform(first_free_block())
            platform.__enter__()
        _write(note, platform, users=known["users"] + 1 if known else 1)
    try:
        yield platform
    finally:
        with _held(folder):
            users = json.loads(note.read_text("utf-8"))["users"] - 1
            if users:
                _write(note, platform, users=users)
            else:
                note.unlink()
                platform.remove()


def _write(note: Path, platform: ServerPlatform, *, users: int) -> None:
    note.write_text(
        json.dumps({"port": platform.port, "data": str(platform.data), "users": users}), encoding="utf-8"
    )


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    with (folder / "platform.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
