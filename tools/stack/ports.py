"""The listen ports of a stack: all of them are looked at before anything starts."""

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stack import own_servers
from stack.house import House, Process, StackError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A listen port, whose it is, and the variable that moves it."""

    host: str
    port: int
    whose: str
    variable: str


def of_the_stack(house: House) -> Iterator[Wanted]:
    """Those of the edge, of every process, and of the servers that belong to it and do not run."""
    yield Wanted(house.host, house.port, "the edge", "PORT")
    yield from of_processes(house.processes())
    if house.own_servers:
        for name, port in own_servers.listens(house).items():
            yield Wanted("127.0.0.1", port, name, "SERVERS_PORT")


def of_processes(processes: Iterable[Process]) -> Iterator[Wanted]:
    """Where they answer, and where they are measured."""
    for process in processes:
        yield Wanted("127.0.0.1", process.port, process.name, "PORT")
        yield Wanted("127.0.0.1", process.metrics_port, f"the metrics of {process.name}", "PORT")


def check(wanted: Iterable[Wanted]) -> None:
    """Raises `StackError` naming the first that is taken and what to change."""
    for each in wanted:
        family = socket.AF_INET6 if ":" in each.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((each.host, each.port))
            except OSError as error:
                raise StackError(_sentence(each, error.strerror or "")) from error


def _sentence(wanted: Wanted, why: str) -> str:
    other = f"{wanted.variable}=" + (" or HOST=" if wanted.whose == "the edge" else "")
    return f"cannot listen on {wanted.host}:{wanted.port} ({wanted.whose}): {why}; choose another by {other}"
