"""Servers that `tools/servers` starts for a test run: one stack for all its workers, others for one module.

The process that began the run chooses a directory and a block of listen ports; a worker that first needs a
server starts it there, and the tool's own locks see to it that two workers start one. At the end of the
run all is wiped; what a killed run left behind is wiped by the next one.
"""

import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex

from antiphon_common.testing.isolation import whole_place
from antiphon_common.testing.servers import VARIABLES, Missing

_PLACE = Path(
    "/var/tmp"
)  # not a test's temporary directory: servers run as another user, who cannot enter it
_NAME = "antiphon-test"
_BLOCK = 20  # as many listen ports as tools/servers takes for a stack
_PORTS = range(17_600, 32_600, _BLOCK)  # below those that the kernel gives to clients
_NOT_INSTALLED = 3
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Run:
    """What the workers of a test run must agree on."""

    directory: str
    port: int

    @classmethod
    def begin(cls) -> "Run":
        """For the process that begins a run; nothing is made yet."""
        return cls(str(_PLACE / f"{_NAME}-{os.geteuid()}-{os.getpid()}"), free_block())

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "Run":
        return cls(**json.loads(text))


class Stacks:
    """The source of servers that this checkout's `tools/servers` is."""

    def __init__(self, script: Path, run: Run) -> None:
        self._script = script
        self._run = run
        self._shared = Stack(script, Path(run.directory) / "shared", run.port)
        self._private: list[Stack] = []

    def find(self, name: str) -> Mapping[str, str]:
        self._prepare()
        return self._shared.up(name)

    def private(self, name: str) -> "StackServer":
        self._prepare()
        stack = Stack(self._script, Path(self._run.directory) / f"private-{token_hex(4)}", free_block())
        self._private.append(stack)
        return StackServer(stack, name)

    def close(self) -> None:
        """The shared stack is ended with the run, by `end`."""
        self.close_private()

    def close_private(self) -> None:
        for stack in self._private:
            stack.wipe()
        self._private.clear()

    def _prepare(self) -> None:
        if not self._script.exists():
            raise Missing("there is no tools/servers here")
        directory = Path(self._run.directory)
        directory.mkdir(exist_ok=True)
        if directory.stat().st_uid != os.geteuid():
            raise RuntimeError(f"{directory} belongs to somebody else")
        directory.chmod(0o711)  # root's servers run as another user, who must get to their own directory
        for left in _PLACE.glob(f"{_NAME}-{os.geteuid()}-*"):
            number = left.name.rpartition("-")[2]
            if number.isdecimal() and not Path(f"/proc/{number}").exists():
                end(self._script, left)


class Stack:
    """One stack of the tool's."""

    def __init__(self, script: Path, directory: Path, port: int) -> None:
        self._script = script
        self._directory = directory
        self._port = port

    def up(self, name: str) -> Mapping[str, str]:
        """Start a server, or find it running; its variables."""
        self.do("up", name)
        lines = re.findall(r"^export (\w+)='?([^'\n]+)", self.do("env", name), re.MULTILINE)
        values = dict(lines)
        return {variable: values[variable] for variable in VARIABLES[name]}

    def do(self, command: str, *names: str) -> str:
        """What the tool printed. Raises `Missing` for what is not installed, `RuntimeError` when it fails."""
        settings = {"SERVERS_DIR": str(self._directory), "SERVERS_PORT": str(self._port), "SERVERS_FAST": "1"}
        done = subprocess.run(
            [sys.executable, str(self._script), command, *names], env={**os.environ, **settings},
            capture_output=True, text=True, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        said = done.stderr.strip().rpartition("\n")[2].removeprefix("servers: ")
        if done.returncode == _NOT_INSTALLED:
            raise Missing(said)
        if done.returncode:
            raise RuntimeError(f"tools/servers {command} {' '.join(names)}: {said}")
        return done.stdout

    def wipe(self) -> None:
        if self._directory.exists():
            self.do("wipe")


class StackServer:
    """A private server of the tool's, in a stack of its own."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.name = name
        self._stack = stack
        self.variables = stack.up(name)
        self.url = whole_place(name, self.variables[VARIABLES[name][0]])

    def stop(self) -> None:
        self._stack.do("down", self.name)

    def start(self) -> None:
        self._stack.do("up", self.name)

    def kill(self) -> None:
        self._stack.do("kill", self.name)

    def freeze(self) -> None:
        self._stack.do("freeze", self.name)

    def thaw(self) -> None:
        self._stack.do("thaw", self.name)


def end(script: Path, directory: Path) -> None:
    """Wipe every stack of a run and its directory; for who began the run, when its workers are done."""
    for kept in directory.glob("*/stack.json"):
        Stack(script, kept.parent, json.loads(kept.read_text())["port"]).wipe()
    shutil.rmtree(directory, ignore_errors=True)


def free_block() -> int:
    """The first of so many listen ports that nobody has now."""
    for first in random.sample(_PORTS, len(_PORTS)):
        if all(_is_free(first + offset) for offset in range(_BLOCK)):
            return first
    raise RuntimeError("no block of free listen ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
