"""Stacks of `tools/servers` for its own tests: each in a directory of its own, taken away whatever happens."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from antiphon_common.testing.servers import Servers, are_required

SCRIPT = Path(__file__).parent.parent / "servers"


@dataclass(frozen=True, slots=True)
class TestStack:
    """Runs the tool as a person would."""

    __test__ = False

    directory: Path
    port: int
    more: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        own = {"SERVERS_DIR": str(self.directory), "SERVERS_PORT": str(self.port), **self.more, **variables}
        return subprocess.run(
            [sys.executable, str(SCRIPT), *arguments], env={**os.environ, **own}, capture_output=True,
            text=True, check=False, stdin=subprocess.DEVNULL, timeout=100,
        )  # fmt: skip

    def must(self, *arguments: str, **variables: str) -> str:
        """What it printed. Skips, or fails where servers are required, when the server is not installed."""
        done = self.run(*arguments, **variables)
        if done.returncode == 3:
            Servers([], required=are_required()).need(arguments[1])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def url(self, server: str) -> str:
        """The first variable of a server."""
        line = self.must("env", server).splitlines()[0]
        return line.partition("=")[2].strip("'")

    def password(self) -> str:
        return self.url("redis").partition("://:")[2].partition("@")[0]


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error, after lines that tell of progress; asserts that it is one."""
    assert done.returncode == 1, (done.returncode, done.stderr)
    *progress, last = done.stderr.splitlines()
    assert last.startswith("servers: "), done.stderr
    assert not any(line.startswith(("servers: ", "Traceback", " ")) for line in progress), done.stderr
    return last
