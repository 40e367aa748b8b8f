"""Postgres: one cluster, TCP only, an administrator with a password."""

import signal
from collections.abc import Mapping
from pathlib import Path

from servers.process import Launch, run, works_in
from servers.server import Server, environment, program
from servers.stack import HOST, USER, Stack
from servers.trouble import Trouble

# Commits stay synchronous: what was acknowledged survives a kill of the server, if not one of the machine.
_FAST = ("fsync=off", "full_page_writes=off")


def _program(name: str) -> str:
    return program(name, f"/usr/lib/postgresql/*/bin/{name}")


def _missing(_: Stack) -> str:
    return "" if _program("postgres") and _program("initdb") else "Postgres"


def _prepare(stack: Stack) -> None:
    home = stack.home("postgres")
    _forget_the_dead(home / "data")
    if (home / "data/PG_VERSION").exists() and not (home / "password").exists():
        return
    # an interrupted initdb left its password file behind: what it made is worth nothing
    if (home / "data").exists():
        run(["rm", "-rf", str(home / "data")])
    stack.write(home / "password", stack.password + "\n")
    run(
        [_program("initdb"), "-D", str(home / "data"), "-U", USER, "-A", "scram-sha-256", "--pwfile",
         str(home / "password"), "-E", "UTF8", "--locale=C.UTF-8", *(["--no-sync"] if stack.is_fast else [])],
        env=environment(home), directory=home,
    )  # fmt: skip
    (home / "password").unlink()


def _forget_the_dead(data: Path) -> None:
    """A killed postmaster that is not reaped yet still has its number, and looks alive to a new one.

    Only when no process works in the directory, which every process of the cluster does.
    """
    lock = data / "postmaster.pid"
    if lock.exists() and not works_in(data):
        lock.unlink()


def _launch(stack: Stack) -> Launch:
    home = stack.home("postgres")
    settings = [
        f"listen_addresses={HOST}", "unix_socket_directories=", "max_connections=300", "shared_buffers=128MB",
        *(_FAST if stack.is_fast else ()),
    ]  # fmt: skip
    options = [part for setting in settings for part in ("-c", setting)]
    argv = [_program("postgres"), "-D", str(home / "data"), "-p", str(stack.port("postgres")), *options]
    return Launch(argv, environment(home))


def _is_ready(stack: Stack) -> bool:
    """pg_isready tells starting, recovering and refusing from ready."""
    try:
        run([_program("pg_isready"), "-q", "-t", "2", "-h", HOST, "-p", str(stack.port("postgres"))])
    except Trouble:
        return False
    return True


def _variables(stack: Stack) -> Mapping[str, str]:
    at = f"{USER}:{stack.password}@{HOST}:{stack.port('postgres')}"
    return {"POSTGRES_URL": f"postgresql+asyncpg://{at}/postgres"}


POSTGRES = Server(
    "postgres", ("postgres",), _missing, _prepare, _launch, _is_ready, _variables,
    seconds=60, stop_signal=signal.SIGINT,
)  # fmt: skip
