"""supervisord: one program a process and one for the edge, and the conversation with it over its socket.

A process that ends by itself is started again at once; one that cannot stay up for a second is tried again
after 1 s, 2 s, 3 s and so on, for ever, because the server it waits for will come back.
"""

import http.client
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from stack import edge, launch
from stack.house import House, StackError, write_private

_LONGEST_SOCKET = 100
_AT_ONCE = False  # do not wait until it has stayed up for its second
_HEAD = """\
[unix_http_server]
file={run}/supervisor.sock
chmod=0600

[supervisord]
logfile={logs}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=2
pidfile={run}/supervisord.pid
childlogdir={logs}
identifier=antiphon-{port}
minfds=8192
silent=true

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
_PROGRAM = """
[program:{name}]
command={command}
directory={directory}
priority={priority}
autorestart=true
startsecs={startsecs}
startretries=1000000
stopsignal={stopsignal}
stopwaitsecs={stopwaitsecs}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={logs}/{name}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=3
"""


def configure(house: House) -> None:
    """Write its configuration. Raises `StackError` when its socket would have no usable name."""
    if len(str(_socket(house))) > _LONGEST_SOCKET:
        raise StackError(f"the path of {house.data} is too long for a socket: choose a shorter DATA=")
    text = _HEAD.format(run=house.run, logs=house.logs, port=house.port)
    for process in house.processes():
        file = house.environment_file(process)
        account = house.account or launch.NOBODY_ELSE
        command = launch.command("service", file, account, process.kind, "serve")
        text += _program(house, process.name, command, "TERM")
    command = launch.command("edge", edge.group_file(house), *edge.command(house))
    text += _program(house, "edge", command, "QUIT")
    write_private(_configuration(house), text)


def running(house: House) -> bool:
    """Whether a supervisor answers for this stack."""
    try:
        _call(house, "getState")
    except StackError:
        return False
    return True


def start(house: House) -> None:
    """Start the supervisor, or make the one that runs agree with its configuration."""
    if running(house):
        added, changed, removed = _call(house, "reloadConfig")[0]
        for group in (*removed, *changed):
            _call(house, "stopProcessGroup", group)
            _call(house, "removeProcessGroup", group)
        for group in (*added, *changed):
            _call(house, "addProcessGroup", group)
        _call(house, "startAllProcesses", _AT_ONCE)
        return
    program = Path(sys.executable).with_name("supervisord")
    done = subprocess.run(
        [str(program), "-c", str(_configuration(house))], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StackError(f"supervisord did not start: {(done.stderr or done.stdout).strip()[-300:]}")
    until(lambda: running(house), 5, "supervisord did not answer")


def add(house: House, names: list[str], *, keep: list[str]) -> None:
    """Start processes that are new in the configuration; `keep` are gone from it and run on for now."""
    removed = set(_call(house, "reloadConfig")[0][2])
    if not removed <= set(keep):
        raise StackError(f"{', '.join(sorted(removed))} would be lost; `make up` puts it right")
    for name in names:
        _call(house, "addProcessGroup", name)


def remove(house: House, name: str) -> None:
    """Stop a process that is gone from the configuration, and forget it."""
    _call(house, "stopProcessGroup", name)
    _call(house, "removeProcessGroup", name)


def stop(house: House) -> None:
    """Stop all of it, at once: each finishes what runs. Then the supervisor itself."""
    for name in processes(house):
        stop_process(house, name, wait=False)
    until(lambda: not alive(house), 14, "some processes did not stop")
    pid = int(_call(house, "getPID"))
    _call(house, "shutdown")
    until(lambda: not Path(f"/proc/{pid}").exists(), 5, "supervisord did not stop")


def alive(house: House) -> list[str]:
    """Those of the processes that have a process id."""
    return [name for name, info in processes(house).items() if info["pid"]]


def processes(house: House) -> dict[str, dict[str, Any]]:
    """What the supervisor knows of each: `statename`, `pid`, `start` and so on."""
    return {info["name"]: info for info in _call(house, "getAllProcessInfo")}


def stop_process(house: House, name: str, *, wait: bool = True) -> None:
    """Ask one process to stop; one that does not run is no matter."""
    try:
        _call(house, "stopProcess", name, wait)
    except xmlrpc.client.Fault as fault:
        if "NOT_RUNNING" not in fault.faultString:
            raise StackError(f"{name}: {fault.faultString}") from fault


def start_process(house: House, name: str) -> None:
    """Start one process; one that runs already is no matter."""
    try:
        _call(house, "startProcess", name, _AT_ONCE)
    except xmlrpc.client.Fault as fault:
        if "ALREADY_STARTED" not in fault.faultString:
            raise StackError(f"{name}: {fault.faultString}") from fault


def reload_edge(house: House) -> None:
    """nginx reads its configuration again and finishes what runs by the old one; started if it is down."""
    try:
        _call(house, "signalProcess", "edge", "HUP")
    except xmlrpc.client.Fault as fault:
        if "NOT_RUNNING" not in fault.faultString:
            raise StackError(f"edge: {fault.faultString}") from fault
        start_process(house, "edge")


def until(true: Callable[[], object], seconds: float, otherwise: str) -> None:
    """Wait until it is so. Raises `StackError` when it never is."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise StackError(otherwise)
        time.sleep(0.05)


def _program(house: House, name: str, command: list[str], signal: str) -> str:
    return _PROGRAM.format(
        name=name,
        command=" ".join(f'"{word}"' if " " in word else word for word in command).replace("%", "%%"),
        directory=house.run,
        priority=20 if name == "edge" else 10,
        # nginx asks for a taken listen port for two and a half seconds before it gives up.
        startsecs=3 if name == "edge" else 1,
        stopsignal=signal,
        stopwaitsecs=6 if name == "edge" else 11,
        logs=house.logs,
    )


def _configuration(house: House) -> Path:
    return house.run / "supervisord.conf"


def _socket(house: House) -> Path:
    return house.run / "supervisor.sock"


def _call(house: House, method: str, *arguments: Any) -> Any:
    transport = SupervisorTransport(None, None, f"unix://{_socket(house)}")
    server = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
    try:
        return getattr(server.supervisor, method)(*arguments)
    except (OSError, http.client.HTTPException) as error:
        raise StackError(f"the stack in {house.data} is not running; `make up` starts it") from error
    finally:
        transport.close()


def resident(pid: int) -> int:
    """Bytes of memory of a process and its children; a page that several share is counted by its share."""
    total = 0
    for one in (pid, *_children(pid)):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text("utf-8")
        except OSError:
            continue
        total += next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return total


def _children(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    except OSError:
        return []
    return [grown for child in listed for grown in (int(child), *_children(int(child)))]
