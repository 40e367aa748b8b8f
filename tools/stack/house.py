"""Where one stack lives: its data directory, its listen ports, and how many of each process there are.

The edge listens on PORT, the gateway on PORT+1, the services on PORT+2 to PORT+9; metrics 20 above each, and
every further instance 40 above the one before. What must be remembered between two commands is `stack.json`.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SERVICES = ("auth", "user", "file", "catalog", "playlist", "library", "stream", "search")
PROCESSES = ("gateway", *SERVICES)
MOST_INSTANCES = 4
_METRICS, _NEXT = 20, 40


class StackError(Exception):
    """It cannot be done; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of ours: the `number`th instance (from 1) of `kind`."""

    kind: str
    number: int
    port: int

    @property
    def name(self) -> str:
        return self.kind if self.number == 1 else f"{self.kind}-{self.number}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def metrics_port(self) -> int:
        return self.port + _METRICS


@dataclass(frozen=True, slots=True)
class House:
    """One stack. `overrides` are variables of processes that the operator has set.

    `account` runs the processes; it is empty where whoever started the stack does it.
    """

    data: Path
    port: int
    host: str = "127.0.0.1"
    own_servers: bool = False
    instances: Mapping[str, int] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)
    account: str = ""

    @classmethod
    def load(cls, data: Path) -> "House":
        """The stack that lives in this directory. Raises `StackError` when there is none."""
        try:
            kept = json.loads((data / "stack.json").read_text("utf-8"))
        except FileNotFoundError:
            raise StackError(
                f"there is no stack in {data}; `make up` makes one, DATA= names another"
            ) from None
        return cls(data, **kept)

    def save(self) -> None:
        """Remember it. Overrides may hold passwords, so nobody else may read the file."""
        kept = asdict(self)
        del kept["data"]
        write_private(self.data / "stack.json", json.dumps(kept, indent=2) + "\n")

    @property
    def url(self) -> str:
        """What people type on this machine."""
        local = self.host in ("127.0.0.1", "0.0.0.0", "::")
        return f"http://{'localhost' if local else self.host}:{self.port}"

    @property
    def run(self) -> Path:
        return self.data / "run"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    def secrets(self, service: str) -> Path:
        return self.data / "secrets" / service

    def environment_file(self, process: Process) -> Path:
        return self.run / "environment" / f"{process.name}.json"

    def processes(self, kind: str = "") -> Iterator[Process]:
        """Every process, or those of one kind, first instances first."""
        for offset, name in enumerate(PROCESSES, start=1):
            if kind in ("", name):
                for number in range(1, self.instances.get(name, 1) + 1):
                    yield Process(name, number, self.port + offset + _NEXT * (number - 1))

    def addresses(self, kind: str) -> list[str]:
        """Where the instances of one kind answer."""
        return [process.address for process in self.processes(kind)]


def write_private(path: Path, text: str) -> None:
    """Replace a file whole; only its owner may read it."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)
