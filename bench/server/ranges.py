"""256 KiB random ranges of an object, 32 connections: stream reading from S3, beside nginx proxying the same store.

nginx is given a presigned address, as an operator without stream would do it; boto3 in threads is what stream
would be with the usual library. One core for whoever answers, the other for the load; the store (versitygw) takes
what is left of both. Rounds alternate, medians are compared. Target: without its cache at least 0.60 of nginx (the
cache holds the whole file when it is on).
"""

import asyncio
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from antiphon_common.blobs.s3 import S3Blobs
from antiphon_common.blobs.s3.address import Address
from antiphon_common.blobs.s3.writing import Writer
from antiphon_common.clock import SystemClock
from antiphon_common.db.migrations import migrate
from antiphon_common.testing.isolation import s3_bucket
from antiphon_common.testing.tokens import TokenMaker
from bench import ranges
from bench._stack import servers
from bench.ranges import CONNECTIONS, RANGE, ROUNDS, SIZE, free_port, load, process

TARGET = 0.60
PEER_SECONDS = 3

NGINX = """
worker_processes 1; daemon off; pid {root}/nginx.pid; error_log {root}/nginx.log; user root;
events {{ worker_connections 256; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
  uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
  upstream store {{ server {store}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://store; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host {store};
      proxy_buffers 16 32k; proxy_buffer_size 32k; proxy_busy_buffers_size 256k; proxy_max_temp_file_size 0;
    }}
  }}
}}
"""


async def put_track(url: str, data: bytes) -> str:
    """Store the track; the path and query of a presigned address for it."""
    store = S3Blobs(url)
    await store.start()

    async def body():
        for at in range(0, len(data), 1 << 20):
            yield data[at : at + (1 << 20)]

    await store.put("track", body())
    signed = urlsplit(await store.signed_address("track", seconds=3600))
    await store.stop()
    return f"{signed.path}?{signed.query}"


def boto_in_threads(url: str) -> tuple[float, float]:
    """Ranges a second and microseconds of CPU a range, in this process."""
    address = Address.of(url)
    client, until, done = Writer(address).client, time.monotonic() + PEER_SECONDS, []
    lock = threading.Lock()

    def read() -> None:
        while time.monotonic() < until:
            first = random.randrange(SIZE - RANGE)
            answer = client.get_object(
                Bucket=address.bucket, Key="track", Range=f"bytes={first}-{first + RANGE - 1}"
            )
            size = len(answer["Body"].read())
            with lock:
                done.append(size)

    before, begun = time.process_time(), time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        for reading in [threads.submit(read) for _ in range(CONNECTIONS)]:
            reading.result()
    return len(done) / (time.monotonic() - begun), (time.process_time() - before) / len(done) * 1e6


def service(root: Path, database_url: str, url: str, *, name: str, cache: int) -> tuple[int, dict[str, str]]:
    """The listen port and the settings of one stream service."""
    port = free_port()
    return port, {
        "STREAM_PORT": str(port), "STREAM_DATABASE_URL": database_url, "STREAM_BUS_URL": f"inproc://{root}/{name}.db",
        "STREAM_JWKS_URL": TokenMaker(root, clock=SystemClock()).jwks_url, "STREAM_BLOB_URL": url,
        "STREAM_SECRETS_DIR": str(root / "secrets"), "STREAM_LOG_FILE": str(root / f"{name}.jsonl"),
        "STREAM_CACHE_BYTES": str(cache),
    }  # fmt: skip


def measure(root: Path, url: str) -> float:
    database_url = f"sqlite+aiosqlite:///{root}/stream.db"
    migrate("antiphon_stream", database_url)
    path = asyncio.run(ranges.prepare(root, database_url))
    signed = asyncio.run(put_track(url, (root / "blobs" / "track").read_bytes()))
    (root / "ranges.lua").write_text(ranges.SCRIPT)
    proxy = free_port()
    store = urlsplit(Address.of(url).endpoint or "").netloc
    (root / "nginx.conf").write_text(NGINX.format(root=root, port=proxy, store=store))
    off, off_settings = service(root, database_url, url, name="off", cache=0)
    on, on_settings = service(root, database_url, url, name="on", cache=2 * SIZE)
    serve = (sys.executable, "-m", "antiphon_stream", "serve")
    results: dict[str, list[tuple[float, float]]] = {}
    with ExitStack() as running:
        nginx = running.enter_context(
            process(proxy, "nginx", "-c", str(root / "nginx.conf"), "-p", str(root))
        )
        plain = running.enter_context(process(off, *serve, **off_settings))
        cached = running.enter_context(process(on, *serve, **on_settings))
        load(root, on, path, cached)  # fills the cache
        for _ in range(ROUNDS):
            results.setdefault("nginx proxy", []).append(load(root, proxy, signed, nginx))
            results.setdefault("stream, cache off", []).append(load(root, off, path, plain))
            results.setdefault("stream, cache on", []).append(load(root, on, path, cached))
    results["boto3 in threads"] = [boto_in_threads(url)]
    return ranges.report(results, "stream, cache off", "nginx proxy")


def main() -> int:
    if ranges.lacks_tools():
        return 0
    with tempfile.TemporaryDirectory() as folder, servers("s3") as urls, s3_bucket(urls["S3_URL"]) as url:
        Path(folder).chmod(0o755)
        ratio = measure(Path(folder), url)
    print(
        f"S3 ranges of 256 KiB, {CONNECTIONS} connections: {ratio:.2f} x nginx proxy (target >= {TARGET:.2f})"
    )
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
