"""From files on the disk to a platform that answers: the newest schemas, then waiting for all."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable

from sqlalchemy.exc import SQLAlchemyError

from antiphon_common.errors import ServiceError
from antiphon_common.schemes import WrongUrl
from stack import supervision
from stack.house import SERVICES, House, Process, StackError

READY_SECONDS = 180  # far beyond what is promised (60): a busy machine is no error


def migrate(house: House) -> None:
    """Bring every schema to its newest, all from here: eight processes would each load the same libraries.

    Raises `StackError` with what the first that fails says.
    """
    from antiphon_common.db import migrations  # noqa: PLC0415 - only `up` needs it

    for service in SERVICES:
        told = json.loads(house.environment_file(next(house.processes(service))).read_text("utf-8"))
        try:
            migrations.migrate(f"antiphon_{service}", told[f"{service.upper()}_DATABASE_URL"])
        except (ServiceError, WrongUrl, SQLAlchemyError) as error:
            said = error.detail if isinstance(error, ServiceError) else str(error).splitlines()[0]
            raise StackError(f"the migrations of {service} failed: {said}") from error


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
