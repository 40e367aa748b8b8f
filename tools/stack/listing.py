"""What runs of a stack, where, and how large it is: `make ps`."""

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack import own_servers, starting, supervision
from stack.house import House
from stack.servers import Servers

_ABSENT = {"statename": "ABSENT", "pid": 0, "now": 0, "start": 0}
_LACKING = "not ready"
_WELL = ("up", "running", "starting")


@dataclass(frozen=True, slots=True)
class Line:
    """One server or process; what only processes of ours have is empty for a server."""

    name: str
    state: str
    address: str
    pid: int = 0
    seconds: int = 0
    memory: int = 0
    lacks: str = ""


def ps(data: Path) -> None:
    """One line for each server and each process, asked whether it is well; then what is not."""
    house = House.load(data)
    states = supervision.processes(house)
    lines = [*servers(house), *processes(house, states)]
    print(f"{'name':14} {'state':10} {'pid':>7} {'up':>9} {'memory':>9}  address")
    for line in lines:
        age, memory = (
            f"{line.seconds} s" if line.pid else "",
            f"{line.memory / 1e6:.0f} MB" if line.pid else "",
        )
        print(f"{line.name:14} {line.state:10} {line.pid or '':>7} {age:>9} {memory:>9}  {line.address}")
    ours = sum(line.memory for line in lines if line.name != "edge")
    print(f"{'all of ours':14} {'':10} {'':>7} {'':>9} {ours / 1e6:6.0f} MB")
    if bad := complaint(lines):
        print(bad)


def complaint(lines: Sequence[Line]) -> str:
    """What is not well, what is lacking where that is known, and what to do; empty if all is well."""
    bad = [
        f"{line.name} is {line.state}" + (f" ({line.lacks})" if line.state == _LACKING else "")
        for line in lines
        if line.state not in _WELL
    ]
    return f"{', '.join(bad)}; `make up` starts what does not run" if bad else ""


def servers(house: House) -> list[Line]:
    """Those that belong to the stack say it themselves; others are up when they take a connection."""
    if house.own_servers:
        return [Line(name, state, address) for name, state, address in own_servers.states(house)]
    return [
        Line(name, "up" if _takes_connections(*at) else "down", f"{at[0]}:{at[1]}")
        for name, at in Servers.load(house).addresses().items()
    ]


def _takes_connections(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def processes(house: House, states: dict[str, dict[str, Any]]) -> list[Line]:
    """The supervisor says what runs, the process itself whether it is ready."""
    ours = list(house.processes())
    with ThreadPoolExecutor(len(ours) + 1) as threads:
        edge = threads.submit(starting.edge_answers, house)
        lacking = list(threads.map(lambda process: starting.missing(process.address), ours))
    asked = [("edge", f"{house.host}:{house.port}", edge.result())]
    asked += [(p.name, p.address, lacks) for p, lacks in zip(ours, lacking, strict=True)]
    return [_line(name, address, lacks, states.get(name, _ABSENT)) for name, address, lacks in asked]


def _line(name: str, address: str, lacks: str, info: dict[str, Any]) -> Line:
    state, pid = info["statename"].lower(), info["pid"]
    if state == "running" and lacks:
        state = _LACKING
    memory = supervision.resident(pid) if pid else 0
    return Line(name, state, address, pid, info["now"] - info["start"], memory, lacks)
