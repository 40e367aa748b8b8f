"""Servers that belong to one stack: started with it by `tools/servers`, and stopped with it.

They live in the directory of the stack where the account that runs them can get there, and have listen
ports of their own, so two stacks never share a database.
"""

import hashlib
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

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
        installed = _run(house, "install", quiet=False)
        done = _run(house, "up") if installed.returncode == 0 else installed
    _check(done)
    lines = _run(house, "env").stdout.splitlines()
    pairs = (shlex.split(line)[1].partition("=") for line in lines if line.startswith("export "))
    return Servers.of({name: value for name, _, value in pairs})


def stop(house: House) -> None:
    """Stop them; nothing is lost."""
    _check(_run(house, "down"))


def _run(house: House, command: str, *, quiet: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "servers"), command],
        env={**os.environ, **_variables(house)}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None,
    )  # fmt: skip


def _check(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["tools/servers said nothing"])[-1]
        raise StackError(last.removeprefix("servers: "))


def _variables(house: House) -> dict[str, str]:
    first = _FIRST + _EACH * (house.port - _USUAL_PORT)
    if not 1024 <= first <= 65_000:
        first = _FIRST
    return {
        "SERVERS_DIR": os.environ.get("SERVERS_DIR") or str(_directory(house.data)),
        "SERVERS_PORT": os.environ.get("SERVERS_PORT") or str(first),
    }


def _directory(data: Path) -> Path:
    """Below the stack's directory, or, where root has closed that to others, beside the system's own data."""
    open_to_others = all(path.stat().st_mode & 0o001 for path in (data, *data.parents))
    if os.geteuid() != 0 or open_to_others:
        return data / "servers"
    return Path("/var/lib") / f"antiphon-servers-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"
