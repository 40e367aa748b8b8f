"""From files on the disk to a platform that answers: migrations side by side, then waiting for all."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from stack import launch, supervision
from stack.house import SERVICES, House, Process, StackError

READY_SECONDS = 180  # far beyond what is promised (60): a busy machine is no error


def migrate(house: House) -> None:
    """All services at once. Raises `StackError` with the last line of the first that fails."""
    running = {}
    for service in SERVICES:
        process = next(house.processes(service))
        command = [sys.executable, str(Path(launch.__file__)), str(house.environment_file(process)), service]
        running[service] = subprocess.Popen(
            [*command, "migrate"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=house.run
        )
    outputs = {service: (one.communicate()[0], one.returncode) for service, one in running.items()}
    for service, (output, code) in outputs.items():
        if code:
            last = (output.strip().splitlines() or ["it said nothing"])[-1]
            raise StackError(f"the migrations of {service} failed: {last}")


def start_missing(house: House, *, keep: list[str]) -> list[Process]:
    """Tell the supervisor of new processes without touching those that run; the new ones."""
    known = supervision.processes(house)
    missing = [process for process in house.processes() if process.name not in known]
    supervision.add(house, [process.name for process in missing], keep=keep)
    return missing


def wait_until_ready(house: House, processes: Iterable[Process] | None = None) -> None:
    """Wait until these are ready, or all of them. Raises `StackError` naming what is missing."""
    waiting = list(house.processes() if processes is None else processes)
    deadline = time.monotonic() + READY_SECONDS
    said: dict[str, str] = {}
    while waiting:
        for process in list(waiting):
            said[process.name] = missing(process.address)
            if not said[process.name]:
                waiting.remove(process)
        if waiting and time.monotonic() > deadline:
            first = waiting[0].name
            text = f"{first} is not ready: {said[first]}; `make logs SERVICE={waiting[0].kind}` says more"
            raise StackError(text)
        if waiting:
            time.sleep(0.1)


def missing(address: str) -> str:
    """What a process says it lacks; empty when it is ready."""
    try:
        urllib.request.urlopen(f"http://{address}/readyz", timeout=5).close()
    except urllib.error.HTTPError as answer:
        try:
            return ", ".join(json.loads(answer.read())["missing"]) or "something"
        except (ValueError, KeyError, TypeError):
            return f"it answers {answer.code}"
    except OSError:
        return "it does not answer"
    return ""
