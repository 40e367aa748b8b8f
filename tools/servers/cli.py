"""The command line: `python3 tools/servers <command> [server...]`."""

import argparse
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

from servers import install, lifecycle
from servers.elasticsearch import ELASTICSEARCH
from servers.postgres import POSTGRES
from servers.rabbitmq import RABBITMQ, RABBITMQ4
from servers.redis import REDIS
from servers.s3 import S3
from servers.server import Server
from servers.stack import FIRST_PORT, Stack, default_cache, default_directory, open_stack
from servers.trouble import Trouble

KNOWN: Mapping[str, Server] = {
    server.name: server for server in (POSTGRES, REDIS, RABBITMQ, ELASTICSEARCH, S3, RABBITMQ4)
}
USUAL = tuple(name for name in KNOWN if name != "rabbitmq4")
COMMANDS = {
    "install": "install what is missing (apt as root or by sudo without password, the rest into the cache)",
    "up": "start, wait until they answer, print their addresses",
    "down": "stop in order",
    "kill": "end at once, as by loss of power",
    "freeze": "halt every process of them; connections stay open",
    "thaw": "go on",
    "status": "up, frozen or down; exit code 1 unless all are up",
    "env": "print their URLs, with passwords, as lines for a shell",
    "wipe": "end them and delete all they kept (the downloads stay)",
}
_NAMED = {"kill", "freeze", "thaw"}
_RARE = (
    "RabbitMQ 4 is one more server, `rabbitmq4`, for root only; it is never meant when no server is named."
)


def main() -> int:
    """Run one command; 0 done, 1 trouble, 2 usage, 3 not installed."""
    chosen = _parser().parse_args()
    try:
        if not sys.platform.startswith("linux"):
            raise Trouble("this needs Linux: elsewhere start the servers of docker-compose.yml")
        if chosen.command in _NAMED and not chosen.servers:
            raise Trouble(f"{chosen.command} which one? name it: {', '.join(KNOWN)}")
        unknown = [name for name in chosen.servers if name not in KNOWN]
        if unknown:
            raise Trouble(f"no such server: {', '.join(unknown)}; there are {', '.join(KNOWN)}")
        return _run(open_stack(os.environ), chosen.command, [KNOWN[name] for name in chosen.servers])
    except Trouble as trouble:
        print(f"servers: {trouble}", file=sys.stderr)
        return trouble.code
    except OSError as error:  # a full disk, a program that is gone: its own words say enough
        print(f"servers: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("servers: interrupted", file=sys.stderr)
        return 130


def _run(stack: Stack, command: str, named: Sequence[Server]) -> int:
    servers = named or [KNOWN[name] for name in USUAL]
    if not named and command in {"down", "wipe", "status", "env"}:
        servers = [*servers, *([RABBITMQ4] if (stack.directory / "rabbitmq4").exists() else [])]
    if command == "install":
        install.packages(stack, servers, say=_say)
        _together(partial(install.complete, say=_say), stack, servers)
    elif command == "env":
        _print_variables(stack, servers)
    elif command == "status":
        return _print_states(stack, servers)
    elif command == "up":
        try:
            _up(stack, servers)
        finally:
            _print_states(stack, servers)
    else:
        _together(_ACTIONS[command], stack, servers)
        if command == "wipe" and not named:
            stack.forget()
    return 0


def _up(stack: Stack, servers: Sequence[Server]) -> None:
    """All at once. An interruption ends those that are just starting, and leaves those that run."""
    cancelled = threading.Event()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _together(partial(lifecycle.up, say=_say, cancelled=cancelled), stack, servers, cancelled)


def _together(
    action: Callable[[Stack, Server], None], stack: Stack, servers: Sequence[Server],
    cancelled: threading.Event | None = None,
) -> None:  # fmt: skip
    """Do it to each in a thread of its own; every trouble but the last is printed, the last is raised."""
    with ThreadPoolExecutor(len(servers)) as threads:
        waiting = [threads.submit(action, stack, server) for server in servers]
        try:
            wait(waiting)
        except KeyboardInterrupt:
            if cancelled:
                cancelled.set()
            raise
    troubles = [error for each in waiting if (error := each.exception())]
    for error in troubles:
        if not isinstance(error, Trouble):
            raise error
    for trouble in troubles[:-1]:
        print(f"servers: {trouble}", file=sys.stderr)
    if troubles:
        raise troubles[-1]


def _print_states(stack: Stack, servers: Sequence[Server]) -> int:
    states = {server: lifecycle.state(stack, server) for server in servers}
    for server, state in states.items():
        print(f"{server.name:14} {state:7} {server.address(stack)}")
    return 0 if set(states.values()) == {"up"} else 1


def _print_variables(stack: Stack, servers: Sequence[Server]) -> None:
    for server in servers:
        for name, value in server.variables(stack).items():
            print(f"export {name}={shlex.quote(value)}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


_ACTIONS: Mapping[str, Callable[[Stack, Server], None]] = {
    "down": partial(lifecycle.down, say=_say), "kill": lifecycle.kill, "freeze": lifecycle.freeze,
    "thaw": lifecycle.thaw, "wipe": lifecycle.wipe,
}  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    commands = "\n".join(f"  {name:9} {what}" for name, what in COMMANDS.items())
    variables = {
        "SERVERS_DIR": f"what the stack keeps ({default_directory(os.environ)})",
        "SERVERS_CACHE": f"what was downloaded ({default_cache(os.environ)})",
        "SERVERS_PORT": f"first of its block of 20 listen ports ({FIRST_PORT}); fixed once the stack exists",
        "SERVERS_FAST": "1: not synced to disk, for tests (0)",
        "SERVERS_ES_HEAP": "Elasticsearch's heap (512m)",
    }
    parser = argparse.ArgumentParser(
        prog="python3 tools/servers", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Real servers on 127.0.0.1 without containers: {', '.join(USUAL)}.",
        epilog="commands:\n" + commands + "\n\nvariables (default):\n"
        + "\n".join(f"  {name:16} {what}" for name, what in variables.items())
        + f"\n\nservers: all of the above when none is named.\n{_RARE}\n"
        "exit codes: 0 done, 1 trouble, 2 usage, 3 not installed",
    )  # fmt: skip
    parser.add_argument("command", choices=COMMANDS, metavar="command", help="see below")
    parser.add_argument("servers", nargs="*", metavar="server", help="names; all when none is given")
    return parser
