"""Servers that belong to one stack: started with it by `tools/servers`, and stopped with it.

They live in the directory of the stack where the account that runs them can get there, and have listen
ports of their own, so two stacks never share a database.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from servers import lifecycle
from servers.cli import KNOWN, USUAL
from servers.process import Tree
from servers.stack import Stack

from stack.house import ROOT, House, StackError
from stack.servers import VARIABLES, Servers

_NOT_INSTALLED = 3
_USUAL_PORT, _FIRST, _EACH = 8080, 17400, 2


def are_wanted(environ: Mapping[str, str]) -> bool:
    """Whether nobody has named other ones."""
    return not any(environ.get(name) for name in VARIABLES)


def start(house: House) -> Servers:
    """Install what is missing, start what does not run; what they are. Raises `StackError`."""
    done = _run(house, "up")
    if done.returncode == _NOT_INSTALLED:
        print("installing the servers (once, a minute or two) ...", flush=True)
        installed = _run(house, "install")
        done = _run(house, "up") if installed.returncode == 0 else installed
    _check(done)
    lines = _run(house, "env").stdout.splitlines()
    pairs = (shlex.split(line)[1].partition("=") for line in lines if line.startswith("export "))
    return Servers.of({name: value for name, _, value in pairs})


def stop(house: House) -> None:
    """Stop them; nothing is lost."""
    _check(_run(house, "down"))


def states(house: House) -> list[tuple[str, str, str]]:
    """Name, state (`up`, `frozen`, `down`) and address of each."""
    stack = _stack(house)
    servers = [KNOWN[name] for name in USUAL]
    return [(each.name, lifecycle.state(stack, each), each.address(stack)) for each in servers]


def listens(house: House) -> dict[str, int]:
    """The listen ports of those that do not run, by what listens there."""
    stack, found = _stack(house), dict[str, int]()
    for server in (KNOWN[name] for name in USUAL):
        tree = Tree.read(stack.directory / f"{server.name}.pid")
        if tree and tree.members():
            continue
        # A broker that was killed leaves its port mapper behind; `tools/servers up` ends that.
        names = [name for name in server.listens if not (tree and name.endswith("-epmd"))]
        found |= {name: stack.port(name) for name in names}
    return found


def _stack(house: House) -> Stack:
    """What `tools/servers` knows it as; nothing is made of it by looking."""
    told = _variables(house)
    directory, port = Path(told["SERVERS_DIR"]), told["SERVERS_PORT"]
    if not port.isdecimal():
        raise StackError(f"SERVERS_PORT={port}: it takes a number")
    return Stack(directory, directory, int(port), password="", is_fast=False, heap="")


def _run(house: House, command: str) -> subprocess.CompletedProcess[str]:
    """Run it; what it says of its progress is passed on as it comes."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "servers"), command],
        env={**os.environ, **_variables(house)}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stderr
        said: list[str] = []
        progress = threading.Thread(target=_pass_on, args=(process.stderr, said))
        progress.start()
        printed = process.stdout.read()
        progress.join()
    return subprocess.CompletedProcess(process.args, process.returncode, printed, "".join(said))


def _pass_on(lines: Iterable[str], said: list[str]) -> None:
    for line in lines:
        said.append(line)
        if line.strip() and not line.startswith("servers: "):
            print(f"  {line.rstrip()}", flush=True)


def _check(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["tools/servers said nothing"])[-1]
        raise StackError(last.removeprefix("servers: "))


def _variables(house: House) -> dict[str, str]:
    directory = os.environ.get("SERVERS_DIR") or str(_directory(house.data))
    first = _FIRST + _EACH * (house.port - _USUAL_PORT)
    if not 1024 <= first <= 65_000:
        first = _FIRST
    kept = Path(directory) / "stack.json"
    if kept.exists():  # they keep their listen ports for life, whatever PORT is
        first = json.loads(kept.read_text("utf-8"))["port"]
    return {"SERVERS_DIR": directory, "SERVERS_PORT": os.environ.get("SERVERS_PORT") or str(first)}


def _directory(data: Path) -> Path:
    """Below the stack's directory, or, where root has closed that to others, beside the system's own data."""
    open_to_others = all(path.stat().st_mode & 0o001 for path in (data, *data.parents))
    if os.geteuid() != 0 or open_to_others:
        return data / "servers"
    return Path("/var/lib") / f"antiphon-servers-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"
