"""256 KiB random ranges of a local file, 32 connections: the stream service beside nginx serving the same file.

One core for the server, one for the load; rounds alternate, medians are compared. CPU a request is the figure
that a busy machine disturbs least. Target of the first issue: at least 0.50 of nginx, later 0.80.
"""

import asyncio
import hashlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_connection, socket

import psutil

from antiphon_common.clock import SystemClock
from antiphon_common.db import Database
from antiphon_common.db.migrations import migrate
from antiphon_common.ids import new_id
from antiphon_common.testing.tokens import TokenMaker
from antiphon_stream.adapters.keys import FILE, KeyFile, read_keys
from antiphon_stream.domain import Ticket, Track, sign
from antiphon_stream.repository import SqlTracks

SIZE, RANGE, CONNECTIONS = 64 << 20, 256 * 1024, 32
ROUNDS, SECONDS = int(os.environ.get("ROUNDS", "5")), int(os.environ.get("SECONDS", "3"))
TARGET = 0.50

SCRIPT = f"""
math.randomseed(os.time())
local path = os.getenv("RANGES_PATH")
request = function()
  local first = math.random(0, {SIZE - RANGE})
  return wrk.format("GET", path, {{["Range"] = "bytes=" .. first .. "-" .. first + {RANGE - 1}}})
end
local bad = 0
response = function(status) if status ~= 206 then bad = bad + 1 end end
"""
NGINX = """
worker_processes 1; daemon off; pid {root}/nginx.pid; error_log {root}/nginx.log; user root;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type audio/mpeg;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
  uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}/blobs; }}
}}
"""


def free_port() -> int:
    with socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def process(port: int, *command: str, **environment: str) -> Iterator[int]:
    """A server on the first core; yields its process id."""
    running = subprocess.Popen(["taskset", "-c", "0", *command], env={**os.environ, **environment})
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield running.pid
    finally:
        running.terminate()
        running.wait(10)


def cpu_seconds(pid: int) -> float:
    """What a server and its workers have used so far."""
    server = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (server, *server.children()))


def load(root: Path, port: int, path: str, server: int) -> tuple[float, float]:
    """Requests a second, and microseconds of the server's CPU a request."""
    before = cpu_seconds(server)
    shown = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(root / "ranges.lua"),
         f"http://127.0.0.1:{port}"],
        env={**os.environ, "RANGES_PATH": path}, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    used = cpu_seconds(server) - before
    if "Non-2xx" in shown or "Socket errors" in shown:
        raise RuntimeError(shown)
    requests = int(re.search(r"(\d+) requests in", shown)[1])  # type: ignore[index]
    return float(re.search(r"Requests/sec:\s+([\d.]+)", shown)[1]), used / requests * 1e6  # type: ignore[index]


async def prepare(root: Path, database_url: str) -> str:
    """One track of random bytes, known to the service's database; the path of its signed address."""
    data = os.urandom(SIZE)
    (root / "blobs").mkdir()
    (root / "blobs" / "track").write_bytes(data)
    await KeyFile(root / "secrets", create=True).start()
    track = Track(
        id=new_id(), revision=1, owner_id=new_id(), status="published", visibility="public", blob_key="track",
        mime="audio/mpeg", bytes=SIZE, sha256=hashlib.sha256(data).hexdigest(), bitrate=320_000,
        duration_ms=1_600_000, gain_db=None,
    )  # fmt: skip
    database = Database(database_url)
    async with database.write() as session:
        await SqlTracks(session).save(track)
    await database.stop()
    ring = read_keys(root / "secrets" / FILE)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    ticket = Ticket(track.id, "original", new_id(), new_id(), until, track.state)
    return f"/api/stream/{track.id}?variant=original&ticket={sign(ticket, ring)}"


def report(results: Mapping[str, Sequence[tuple[float, float]]], ours: str, theirs: str) -> float:
    """Print the medians of all; ours in requests a second, by theirs of the same round."""
    for name, rounds in results.items():
        rate, cpu = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"{name:18} {rate:8.0f} ranges/s  {cpu:6.0f} us CPU a range")
    return statistics.median(a[0] / b[0] for a, b in zip(results[ours], results[theirs], strict=True))


def lacks_tools() -> bool:
    """Say which programs this machine has not."""
    missing = [tool for tool in ("nginx", "wrk", "taskset") if shutil.which(tool) is None]
    if missing:
        print(f"not measured: {', '.join(missing)} missing (apt install nginx-light wrk util-linux)")
    return bool(missing)


def measure(root: Path) -> float:
    database_url = f"sqlite+aiosqlite:///{root}/stream.db"
    migrate("antiphon_stream", database_url)
    path = asyncio.run(prepare(root, database_url))
    (root / "ranges.lua").write_text(SCRIPT)
    ours, theirs = free_port(), free_port()
    (root / "nginx.conf").write_text(NGINX.format(root=root, port=theirs))
    settings = {
        "STREAM_PORT": str(ours), "STREAM_DATABASE_URL": database_url, "STREAM_BUS_URL": f"inproc://{root}/bus.db",
        "STREAM_JWKS_URL": TokenMaker(root, clock=SystemClock()).jwks_url, "STREAM_BLOB_URL": f"file://{root}/blobs",
        "STREAM_SECRETS_DIR": str(root / "secrets"), "STREAM_LOG_FILE": str(root / "stream.jsonl"),
    }  # fmt: skip
    results: dict[str, list[tuple[float, float]]] = {"nginx static": [], "stream service": []}
    serve = process(ours, sys.executable, "-m", "antiphon_stream", "serve", **settings)
    with process(theirs, "nginx", "-c", str(root / "nginx.conf"), "-p", str(root)) as nginx, serve as service:
        for _ in range(ROUNDS):
            results["nginx static"].append(load(root, theirs, "/track", nginx))
            results["stream service"].append(load(root, ours, path, service))
    return report(results, "stream service", "nginx static")


def main() -> int:
    if lacks_tools():
        return 0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        ratio = measure(Path(folder))
    print(f"256 KiB ranges, {CONNECTIONS} connections: {ratio:.2f} x nginx static (target >= {TARGET:.2f})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
