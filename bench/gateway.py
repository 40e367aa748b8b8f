"""The gateway against nginx as a reverse proxy for the same 1 KB JSON upstream, 64 connections, one worker each.

Target: a bare forward of at least 0.12 of nginx's rate. Rounds alternate and the ratio is the median of each
round's own ratio, because the machine's noise is shared within a round. The variants: `forward` (anonymous),
`token` (a verified access token), both with the rate limiter and the access log on, and `cached`.
"""

import base64
import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import jwt
import orjson
import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from antiphon_gateway.settings import SERVICES
from bench.ranges import free_port

ROUNDS, SECONDS, CONNECTIONS = 5, 2, 64
TARGET = 0.12
BODY = '{"items":["' + "x" * 1006 + '"]}'

UPSTREAM = """
worker_processes 1; daemon off; pid {dir}/up.pid; error_log {dir}/up.log;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {dir}/b1; proxy_temp_path {dir}/p1;
  fastcgi_temp_path {dir}/f1; uwsgi_temp_path {dir}/u1; scgi_temp_path {dir}/s1;
  server {{ listen 127.0.0.1:{upstream}; default_type application/json;
    location = /internal/revocations {{ return 200 '{{"cursor":"0","items":[]}}'; }}
    location / {{ return 200 '{body}'; }} }} }}
"""
PROXY = """
worker_processes 1; daemon off; pid {dir}/px.pid; error_log {dir}/px.log;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {dir}/b2; proxy_temp_path {dir}/p2;
  fastcgi_temp_path {dir}/f2; uwsgi_temp_path {dir}/u2; scgi_temp_path {dir}/s2;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; }}
  server {{ listen 127.0.0.1:{proxy};
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
"""


def token(directory: Path) -> str:
    """An access token, and the file of its key."""
    key = Ed25519PrivateKey.generate()
    x = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "bench", "alg": "EdDSA", "x": x}
    (directory / "jwks.json").write_bytes(orjson.dumps({"keys": [jwk]}))
    now = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": "antiphon", "aud": "antiphon", "sub": str(uuid4()), "sid": str(uuid4()), "roles": ["listener"],
        "amr": ["pwd"], "auth_time": now, "iat": now, "exp": now + 600, "jti": str(uuid4()),
    }  # fmt: skip
    return jwt.encode(claims, key, "EdDSA", headers={"kid": "bench", "typ": "at+jwt"})


@contextlib.contextmanager
def process(*command: str, env: dict[str, str] | None = None, port: int) -> Iterator[psutil.Process]:
    """A program that listens, pinned to the first core."""
    running = subprocess.Popen(command, env={**os.environ, **(env or {})})
    try:
        deadline = time.monotonic() + 15
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert time.monotonic() < deadline, f"{command[0]} does not listen"
            time.sleep(0.05)
        yield psutil.Process(running.pid)
    finally:
        running.terminate()
        running.wait(10)


def pin(process: psutil.Process, core: int) -> None:
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            one.cpu_affinity([core])


def cpu(process: psutil.Process) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


def load(url: str, tested: psutil.Process, header: str | None = None) -> tuple[float, float]:
    """Requests a second, and CPU microseconds of the tested process for each."""
    before = cpu(tested)
    extra = ["-H", header] if header else []
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", *extra, url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", said)[1])
    assert "Non-2xx" not in said, said
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    return rate, (cpu(tested) - before) / requests * 1e6


def settings(directory: Path, upstream: int, port: int) -> dict[str, str]:
    rates = {"read": "100000000/60", "search": "100000000/60"}
    return {
        "GATEWAY_PORT": str(port), "GATEWAY_BUS_URL": "inproc:", "GATEWAY_CONNECTIONS_PER_ADDRESS": "1000",
        "GATEWAY_JWKS_URL": f"file://{directory}/jwks.json", "GATEWAY_RATES": orjson.dumps(rates).decode(),
        "GATEWAY_LOG_FILE": str(directory / "gateway.log"),
        **{f"GATEWAY_{name.upper()}_URL": f"http://127.0.0.1:{upstream}" for name in SERVICES},
    }  # fmt: skip


def measure(directory: Path) -> bool:
    ports = {"upstream": free_port(), "proxy": free_port()}
    own = free_port()
    for name, text in (("up", UPSTREAM), ("px", PROXY)):
        (directory / f"{name}.conf").write_text(text.format(dir=directory, body=BODY, **ports))
    bearer = f"Authorization: Bearer {token(directory)}"
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    serve = (sys.executable, "-m", "antiphon_gateway", "serve")
    env = settings(directory, ports["upstream"], own)
    with (
        process(nginx, "-c", f"{directory}/up.conf", port=ports["upstream"]) as upstream,
        process(nginx, "-c", f"{directory}/px.conf", port=ports["proxy"]) as proxy,
        process(*serve, env=env, port=own) as gateway,
    ):
        pin(upstream, 1)
        pin(proxy, 0)
        pin(gateway, 0)
        time.sleep(1.5)
        base = f"http://127.0.0.1:{own}"
        variants = {
            "nginx": lambda: load(f"http://127.0.0.1:{ports['proxy']}/api/search?q=a", proxy),
            "forward": lambda: load(f"{base}/api/search?q=a", gateway),
            "token": lambda: load(f"{base}/api/me", gateway, bearer),
            "cached": lambda: load(f"{base}/api/tracks?limit=20", gateway),
        }
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
        for _ in range(ROUNDS):
            for name, run in variants.items():
                results[name].append(run())
    return report(results)


def report(results: dict[str, list[tuple[float, float]]]) -> bool:
    print("| variant | requests/s | x nginx | CPU us/request |\n|---|---|---|---|")
    ratios = {}
    for name, rounds in results.items():
        ratios[name] = statistics.median(
            rate / peer for (rate, _), (peer, _) in zip(rounds, results["nginx"], strict=True)
        )
        rate, cost = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"| {name} | {rate:,.0f} | {ratios[name]:.2f} | {cost:.0f} |")
    good = ratios["forward"] >= TARGET
    print(
        f"bare forward: {ratios['forward']:.2f} x nginx proxy (target >= {TARGET}): {'met' if good else 'MISSED'}"
    )
    return good


def main() -> int:
    missing = [tool for tool in ("wrk", "taskset") if not shutil.which(tool)]
    if not (shutil.which("nginx") or Path("/usr/sbin/nginx").exists()):
        missing.append("nginx")
    if missing:
        print(f"not measured: {', '.join(missing)} is not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return 0 if measure(Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
