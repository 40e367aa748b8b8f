"""Redis: append-only file, nothing evicted, a password kept in its configuration file."""

import socket
from collections.abc import Mapping

from servers.process import Launch
from servers.server import Server, environment, program
from servers.stack import HOST, Stack


def _missing(_: Stack) -> str:
    return "" if program("redis-server") else "Redis"


def _prepare(stack: Stack) -> None:
    home = stack.home("redis")
    # `always`: what is answered is on disk. `no`: it is written, and safe unless the machine crashes.
    lines = [
        f"bind {HOST}", f"port {stack.port('redis')}", f"dir {home}", f"requirepass {stack.password}",
        "daemonize no", "databases 64", "appendonly yes",
        f"appendfsync {'no' if stack.is_fast else 'always'}", 'save ""',
        "maxmemory 512mb", "maxmemory-policy noeviction",
    ]  # fmt: skip
    stack.write(home / "redis.conf", "\n".join(lines) + "\n")


def _launch(stack: Stack) -> Launch:
    home = stack.home("redis")
    return Launch([program("redis-server"), str(home / "redis.conf")], environment(home))


def _is_ready(stack: Stack) -> bool:
    """While it loads its file it listens already and answers `-LOADING`."""
    try:
        with socket.create_connection((HOST, stack.port("redis")), timeout=2) as talk:
            talk.sendall(f"AUTH {stack.password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (more := talk.recv(512)):
                answer += more
    except OSError:
        return False
    return answer == b"+OK\r\n+PONG\r\n"


def _variables(stack: Stack) -> Mapping[str, str]:
    return {"REDIS_URL": f"redis://:{stack.password}@{HOST}:{stack.port('redis')}/0"}


REDIS = Server("redis", ("redis",), _missing, _prepare, _launch, _is_ready, _variables, seconds=30)
