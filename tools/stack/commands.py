"""What an operator does with a stack: up, down, logs, restart, scale, exec, env; `ps` is in listing.py."""

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from stack import account, accounts, edge, environment, own_servers, ports, starting, supervision
from stack.house import MOST_INSTANCES, PROCESSES, House, Process, StackError, write_private
from stack.launch import end_edge, launch
from stack.servers import Servers

_LEAST_FREE = 1 << 30
_NOTICED_SECONDS = 1.5  # the gateway asks every instance twice a second whether it is well


def up(data: Path, *, host: str, port: int, environ: Mapping[str, str]) -> None:
    """Start everything, or what is missing of it, and say where it is."""
    house = _house(data, host, port, environ)
    began = time.monotonic()
    with _step("servers"):
        servers = own_servers.start(house) if house.own_servers else Servers.of(environ)
        servers.check()
        servers.save(house)
    with _step("accounts"):
        house = replace(house, account=account.choose(house))
        house.save()
        accounts.make(house, servers)
        account.arrange(house)
        account.compile_code(house)
    ran = supervision.running(house)
    changed = write_environments(house, servers)
    with _step("migrations"):
        starting.migrate(house, say=_say)
    with _step("processes"):
        edge.configure(house)
        supervision.configure(house)
        supervision.start(house)
        again = changed if ran else []
        restart_in_turn(house, again)
        starting.wait_until_ready(house, [p for p in house.processes() if p.kind not in again], say=_say)
        starting.wait_for_edge(house, say=_say)
    _say_where(house, servers, time.monotonic() - began)


def down(data: Path) -> None:
    """Stop every process. A stack that does not run is no matter; nothing is deleted."""
    house = House.load(data)
    if supervision.running(house):
        with _step("processes"):
            supervision.stop(house)
    else:
        print(f"no process of the stack in {data} is running")
    if house.own_servers:
        with _step("servers"):
            own_servers.stop(house)


def logs(data: Path, kind: str) -> None:
    """Follow the logs of one kind of process, or of all; Ctrl-C ends it."""
    house = House.load(data)
    names = [p.name for p in _chosen(house, kind, also=("edge",))] if kind not in ("", "edge") else []
    if kind in ("", "edge"):
        names = ["edge", *([p.name for p in house.processes()] if not kind else [])]
    files = [str(house.logs / f"{name}.log") for name in names]
    os.execvp("tail", ["tail", "-n", "50", "-F", *files])


def restart(data: Path, kind: str) -> None:
    """Restart one kind of process, instance by instance, the next when the one before is ready again.

    The edge takes its configuration again without losing a connection; if it does not answer, it is started
    anew.
    """
    house = House.load(data)
    if kind == "edge":
        _restart_edge(house)
        return
    _chosen(house, kind, also=("edge",))
    restart_in_turn(house, [kind])


def restart_in_turn(house: House, kinds: list[str]) -> None:
    """Restart the processes of these kinds; each turn waits until the one before is ready again."""
    for number, turn in enumerate(turns(house, kinds)):
        if number:
            time.sleep(_NOTICED_SECONDS)
        for process in turn:
            supervision.stop_process(house, process.name)
            supervision.start_process(house, process.name)
        starting.wait_until_ready(house, turn, say=_say)


def turns(house: House, kinds: list[str]) -> list[list[Process]]:
    """Who is restarted together: the first instances of these kinds, then the second, and so on.

    All kinds at once, because they may need each other's new settings to be ready.
    """
    chosen = [process for process in house.processes() if process.kind in kinds]
    numbers = sorted({process.number for process in chosen})
    return [[process for process in chosen if process.number == number] for number in numbers]


def _restart_edge(house: House) -> None:
    answers = not starting.edge_lacks(house)
    edge.configure(house)
    if answers:
        supervision.reload_edge(house)
    else:
        supervision.stop_process(house, "edge")
        supervision.start_process(house, "edge")
    starting.wait_for_edge(house, say=_say)


def scale(data: Path, kinds: list[str], *, count: int) -> None:
    """So many instances of each of these; the gateway (or the edge) is told their addresses."""
    house = House.load(data)
    if not 1 <= count <= MOST_INSTANCES:
        raise StackError(f"1 to {MOST_INSTANCES} instances are possible, not {count}")
    before = {process.name for kind in kinds for process in _chosen(house, kind)}
    house = replace(house, instances={**house.instances, **dict.fromkeys(kinds, count)})
    ports.check(
        ports.of_processes(
            process for kind in kinds for process in house.processes(kind) if process.name not in before
        )
    )
    gone = sorted(before - {process.name for process in house.processes()})
    house.save()
    changed = write_environments(house, Servers.load(house))
    edge.configure(house)
    supervision.configure(house)
    # Whoever sends requests hears of new ones when they are ready, and what is no longer asked stops last.
    starting.wait_until_ready(house, starting.start_missing(house, keep=gone), say=_say)
    supervision.reload_edge(house)
    for kind in changed:
        restart(data, kind)
    for name in gone:
        supervision.remove(house, name)
    for kind in kinds:
        print(f"{count} x {kind}: {', '.join(house.addresses(kind))}")


def demo(data: Path) -> None:
    """Load the demo library through the edge, as any user would, and say what to try."""
    house = House.load(data)
    supervision.processes(house)
    antiphon = str(_antiphon())
    os.execv(antiphon, [antiphon, "demo", "--server", house.url, "--data", str(house.data)])


def env(data: Path, kind: str) -> None:
    """Print the settings of a process as shell words, to run one by hand."""
    house = House.load(data)
    process = _chosen(house, kind)[0]
    told = environment.environment(house, Servers.load(house), process)
    for name, value in sorted(told.items()):
        if name.startswith(f"{process.kind.upper()}_"):
            print(f"export {name}={shlex.quote(value)}")


def execute(data: Path, kind: str, arguments: list[str]) -> None:
    """Become one command of a service in its environment, for example `republish --to search`."""
    house = House.load(data)
    launch(house.environment_file(_chosen(house, kind)[0]), house.account, kind, arguments)


def _house(data: Path, host: str, port: int, environ: Mapping[str, str]) -> House:
    """The stack in this directory, ready to be started. Raises `StackError` when it cannot be."""
    if (data / "catalog.db").exists():
        raise StackError(f"{data} belongs to an embedded platform; choose another DATA=")
    if not 1024 <= port <= 65000:
        raise StackError(f"PORT={port}: choose one between 1024 and 65000")
    try:
        data.mkdir(parents=True, exist_ok=True)
        # Only the way through is open: no file in it is anybody's but ours.
        data.chmod(0o711)
        for part in ("run", "logs", "secrets", "run/environment"):
            (data / part).mkdir(exist_ok=True, mode=0o700)
        free = shutil.disk_usage(data).free
    except OSError as error:
        raise StackError(f"cannot use {data} for data: {error.strerror}; choose another by DATA=") from error
    if free < _LEAST_FREE:
        raise StackError(
            f"{data} has {free >> 20} MB free and 1024 are needed; make room, or choose another DATA="
        )
    instances: Mapping[str, int] = {}
    runs_as = ""
    if (data / "stack.json").exists():
        before = House.load(data)
        instances, runs_as = before.instances, before.account
        if supervision.running(before) and (before.port, before.host) != (port, host):
            raise StackError(f"the stack in {data} runs on {before.url}; `make down DATA={data}` stops it")
    own = own_servers.are_wanted(environ)
    house = House(data, port, host, own, instances, environment.overrides(environ), runs_as)
    if not supervision.running(house):
        end_edge(edge.group_file(house))  # a supervisor that was killed takes all with it but these
        ports.check(ports.of_the_stack(house))
    house.save()
    return house


def write_environments(house: House, servers: Servers) -> list[str]:
    """Write what each process is told; the kinds whose settings are new."""
    changed = []
    for process in house.processes():
        file = house.environment_file(process)
        told = environment.environment(house, servers, process)
        before = json.loads(file.read_text("utf-8")) if file.exists() else told
        if environment.settings(before) != environment.settings(told) and process.kind not in changed:
            changed.append(process.kind)
        write_private(file, environment.as_file(told))
    return changed


def _chosen(house: House, kind: str, *, also: tuple[str, ...] = ()) -> list[Process]:
    if kind not in PROCESSES:
        raise StackError(f"there is no SERVICE={kind}; there are {', '.join((*also, *PROCESSES))}")
    return list(house.processes(kind))


def _say_where(house: House, servers: Servers, seconds: float) -> None:
    for name, (host, port) in servers.addresses().items():
        print(f"  {name:14} {host}:{port}")
    for process in house.processes():
        print(f"  {process.name:14} http://{process.address}")
    print(f"Antiphon is at {house.url}  (ready after {seconds:.0f} s; data: {house.data})")
    if (house.secrets("auth") / "bootstrap").exists():
        print("There is no administrator yet. Make one:")
        print(f"  {_antiphon()} admin create you@example.org --server {house.url} --data {house.data}")


def _antiphon() -> Path:
    return Path(sys.executable).with_name("antiphon")


@contextmanager
def _step(name: str) -> Iterator[None]:
    """A whole line when it is done; what happens meanwhile is indented before it."""
    began = time.monotonic()
    print(f"{name} ...", flush=True)
    yield
    print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)


def _say(text: str) -> None:
    print(f"  {text}", flush=True)
