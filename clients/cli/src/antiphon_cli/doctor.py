"""`antiphon doctor`: looks at the machine and says what to do."""

import importlib.metadata
import json
import platform
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

_FREE_BYTES = 2 * 1024**3
_STACK = "data-server"  # where `make up` keeps its stack unless it is told DATA=
_CODECS = ("mp3float", "flac", "vorbis", "opus", "aac", "pcm_s16le")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says what to do when it is not well."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def examine(*, data: Path, host: str, port: int, server: str | None = None) -> Iterator[Finding]:
    """Look at the versions, the libraries, the disk, the listen port, the server and the stack.

    That nothing answers is a fault only of a `server` that was named; the usual one may not be started.
    """
    yield _python()
    yield _sqlite()
    yield _audio()
    yield _writable(data)
    yield _disk(data)
    stacks = [place for place in dict.fromkeys((data, Path(_STACK))) if (place / "stack.json").exists()]
    yield from map(_stack, stacks)
    if data in stacks:
        return
    named, server = bool(server), server or f"http://localhost:{port}"
    running = _server(server)
    advice = "look at the address, or start it by antiphon run"
    yield running or Finding("server", ok=not named, found=f"nothing answers at {server}", advice=advice)
    if running is None:
        yield _port(host, port)


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    return Finding("Python", ok, platform.python_version(), "install Python 3.11 or newer")


def _sqlite() -> Finding:
    # RETURNING came with 3.35.
    ok = sqlite3.sqlite_version_info >= (3, 35)
    return Finding("SQLite", ok, sqlite3.sqlite_version, "needs 3.35: use a newer Python build")


def _audio() -> Finding:
    try:
        import av  # noqa: PLC0415 - only this command needs it, and its absence is a finding

        missing = [name for name in _CODECS if name not in av.codecs_available]
    except ImportError as error:
        return Finding("audio libraries", ok=False, found=str(error), advice="run make setup again")
    found = importlib.metadata.version("av") + (f", without {', '.join(missing)}" if missing else "")
    return Finding("audio libraries", not missing, f"PyAV {found}", "reinstall: make clean setup")


def _writable(data: Path) -> Finding:
    existing = next(path for path in [data, *data.absolute().parents] if path.exists())
    try:
        probe = existing / ".antiphon-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        advice = "choose another directory by --data, or change its owner"
        return Finding("data directory", ok=False, found=f"{data}: {error.strerror}", advice=advice)
    return Finding("data directory", ok=True, found=str(data.absolute()))


def _disk(data: Path) -> Finding:
    existing = next(path for path in [data, *data.absolute().parents] if path.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1024**3:.1f} GiB free"
    return Finding("disk", free >= _FREE_BYTES, found, "less than 2 GiB: make room, or move --data")


def _stack(data: Path) -> Finding:
    """A platform of many processes, which knows itself where it answers."""
    try:
        kept = json.loads((data / "stack.json").read_text("utf-8"))
        everywhere = ("127.0.0.1", "0.0.0.0", "::")  # noqa: S104 - read, not bound
        host = "localhost" if kept["host"] in everywhere else kept["host"]
        server = f"http://{f'[{host}]' if ':' in host else host}:{kept['port']}"
    except OSError as error:
        advice = "run antiphon doctor as the user who ran make up"
        return Finding("stack", ok=False, found=f"{data}: {error.strerror}", advice=advice)
    running = _server(server)
    if running is None:
        return Finding("stack", ok=True, found=f"{data}: nothing answers at {server}: start it by make up")
    return replace(running, name="stack", found=f"{data}: {running.found}", advice=f"make ps DATA={data}")


def _port(host: str, port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            advice = "choose another by --port (PORT= for make)"
            return Finding("listen port", ok=False, found=f"{host}:{port}: {error.strerror}", advice=advice)
    return Finding("listen port", ok=True, found=f"{host}:{port} is free")


def _server(server: str) -> Finding | None:
    try:
        version = httpx.get(f"{server}/version", timeout=3).json()
        ready = httpx.get(f"{server}/readyz", timeout=5)
    except (httpx.HTTPError, ValueError):
        return None
    if ready.status_code != 200:
        advice = "wait a moment; then see logs/antiphon.jsonl in its data directory"
        return Finding("server", ok=False, found=f"{server} is not ready: {ready.text[:200]}", advice=advice)
    return Finding("server", ok=True, found=f"{server}, version {version.get('version')}")
