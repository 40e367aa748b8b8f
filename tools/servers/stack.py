"""A stack: the directory in which servers keep everything, their block of listen ports, their password.

The first command that needs it makes it; later ones read it back: a stack keeps its ports and password for
life.
"""

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from servers.process import account
from servers.trouble import Trouble

FIRST_PORT = 17400
# Offsets in a stack's block; whoever adds one appends it, so that stacks that exist keep theirs.
OFFSETS: Mapping[str, int] = {
    "postgres": 0, "redis": 1, "amqp": 2, "rabbitmq-api": 3, "rabbitmq-metrics": 4,
    "rabbitmq-distribution": 5, "rabbitmq-epmd": 6, "elasticsearch": 7, "elasticsearch-transport": 8,
    "s3": 9, "amqp4": 10, "rabbitmq4-api": 11, "rabbitmq4-metrics": 12, "rabbitmq4-distribution": 13,
    "rabbitmq4-epmd": 14,
}  # fmt: skip
BLOCK = 20
_LOCK = ".stack.lock"
HOST = "127.0.0.1"
USER = "antiphon"


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack on this machine."""

    directory: Path
    cache: Path
    first_port: int
    password: str
    is_fast: bool
    heap: str

    def port(self, name: str) -> int:
        return self.first_port + OFFSETS[name]

    def home(self, server: str) -> Path:
        """A server's own directory, made when need be, for the account that runs it alone."""
        home = self.directory / server
        if not home.exists():
            home.mkdir(mode=0o700)
            self.give(home)
        return home

    def give(self, path: Path) -> None:
        """Hand a file or directory to the account that runs servers."""
        if owner := account():
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def write(self, path: Path, text: str) -> None:
        """A file for the servers' account alone: it may hold a password."""
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        self.give(path)

    def check_ports(self, names: tuple[str, ...]) -> None:
        """Refuse to start where somebody else listens."""
        for name in names:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, self.port(name)))
                except OSError as error:
                    remedy = f"set SERVERS_PORT to the first of {BLOCK} free ones"
                    raise Trouble(f"port {self.port(name)} ({name}): {error.strerror}; {remedy}") from None

    def forget(self) -> None:
        """Remove the stack's own files, and its directory unless somebody put something else there."""
        for pattern in ("*.pid", "*.log", ".*.lock", "stack.json"):
            for path in self.directory.glob(pattern):
                path.unlink(missing_ok=True)
        with suppress(OSError):
            self.directory.rmdir()

    @contextmanager
    def lock(self, server: str) -> Iterator[None]:
        """One command at a time for each server, whatever process it is in."""
        with (self.directory / f".{server}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def default_directory(environ: Mapping[str, str]) -> Path:
    """Root's stack is where other accounts can reach it; a user's is at home."""
    if os.geteuid() == 0:
        return Path("/var/lib/antiphon-servers")
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "antiphon-servers"


def default_cache(environ: Mapping[str, str]) -> Path:
    """Where downloads and what is built from them stay."""
    if os.geteuid() == 0:
        return Path("/var/cache/antiphon-servers")
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "antiphon-servers"


def open_stack(environ: Mapping[str, str]) -> Stack:
    """The stack that the variables name, made when there is none."""
    directory = Path(environ.get("SERVERS_DIR") or default_directory(environ)).absolute()
    cache = Path(environ.get("SERVERS_CACHE") or default_cache(environ)).absolute()
    port = _port(environ.get("SERVERS_PORT"))
    try:
        _check_reachable(directory)
        directory.mkdir(parents=True, exist_ok=True, mode=0o755 if os.geteuid() == 0 else 0o700)
        with (directory / _LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            kept = _kept(directory / "stack.json", port or FIRST_PORT)
    except OSError as error:
        raise Trouble(
            f"{error.filename or directory}: {error.strerror}; set SERVERS_DIR to another place"
        ) from None
    if port and port != kept["port"]:
        raise Trouble(
            f"{directory} uses the listen ports from {kept['port']} on: wipe it, or set SERVERS_DIR too"
        )
    return Stack(
        directory, cache, int(str(kept["port"])), str(kept["password"]),
        is_fast=environ.get("SERVERS_FAST", "") not in {"", "0"},
        heap=environ.get("SERVERS_ES_HEAP") or "512m",
    )  # fmt: skip


def _kept(path: Path, port: int) -> dict[str, object]:
    if not path.exists():
        if strangers := sorted(each.name for each in path.parent.iterdir() if each.name != _LOCK):
            raise Trouble(
                f"{path.parent} has other things ({strangers[0]}): set SERVERS_DIR to a place of its own"
            )
        fresh = {"port": port, "password": secrets.token_hex(20)}
        draft = path.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(fresh, file)
        draft.rename(path)
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or not 1024 <= int(text) <= 65_535 - BLOCK:
        raise Trouble(f"SERVERS_PORT is {text!r}: it takes a number from 1024 to {65_535 - BLOCK}")
    return int(text)


def _check_reachable(directory: Path) -> None:
    """Root's servers run as another account, which must get there."""
    if os.geteuid() != 0:
        return
    for path in (directory, *directory.parents):
        if path.exists() and not path.stat().st_mode & 0o001:
            raise Trouble(
                f"{path} is closed to the account that servers run as: set SERVERS_DIR to another place"
            )
