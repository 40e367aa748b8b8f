"""From files on the disk to a platform that answers: the newest schemas, then waiting for all."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping

from sqlalchemy.exc import SQLAlchemyError

from antiphon_common.errors import ServiceError
from antiphon_common.schemes import WrongUrl
from stack import edge, supervision
from stack.house import SERVICES, House, Process, StackError

READY_SECONDS = 180  # far beyond what is promised (60): a busy machine is no error


Say = Callable[[str], None]


def migrate(house: House, *, say: Say) -> None:
    """Bring every schema to its newest, all from here: eight processes would each load the same libraries.

    Says each that is done. Raises `StackError` with what the first that fails says.
    """
    from antiphon_common.db import migrations  # noqa: PLC0415 - only `up` needs it

    for service in SERVICES:
        told = json.loads(house.environment_file(next(house.processes(service))).read_text("utf-8"))
        try:
            migrations.migrate(f"antiphon_{service}", told[f"{service.upper()}_DATABASE_URL"])
        except (ServiceError, WrongUrl, SQLAlchemyError) as error:
            said = error.detail if isinstance(error, ServiceError) else str(error).splitlines()[0]
            raise StackError(f"the migrations of {service} failed: {said}") from error
        say(f"{service}: schema is the newest")


def start_missing(house: House, *, keep: list[str]) -> list[Process]:
    """Tell the supervisor of new processes without touching those that run; the new ones."""
    known = supervision.processes(house)
    missing = [process for process in house.processes() if process.name not in known]
    supervision.add(house, [process.name for process in missing], keep=keep)
    return missing


def wait_until_ready(house: House, processes: Iterable[Process] | None = None, *, say: Say) -> None:
    """Wait until these are ready, or all of them and the edge; says each.

    Raises `StackError` naming what is missing.
    """
    if processes is None:
        waiting = {p.name: _of(p) for p in house.processes()} | {"edge": lambda: edge_lacks(house)}
    else:
        waiting = {p.name: _of(p) for p in processes}
    wait_for(waiting, say=say)


def wait_for_edge(house: House, *, say: Say) -> None:
    """Wait until the edge answers for the gateway. Raises `StackError` when it does not."""
    wait_for({"edge": lambda: edge_lacks(house)}, say=say)


def _of(process: Process) -> Callable[[], str]:
    return lambda: missing(process.address)


def wait_for(asked: Mapping[str, Callable[[], str]], *, say: Say, seconds: float = READY_SECONDS) -> None:
    """Ask each what it lacks until that is nothing. Raises `StackError` naming the first that lacks any."""
    waiting, said = dict(asked), dict[str, str]()
    began = time.monotonic()
    while waiting:
        for name, lacks in list(waiting.items()):
            said[name] = lacks()
            if not said[name]:
                say(f"{name}: ready after {time.monotonic() - began:.1f} s")
                del waiting[name]
        if waiting and time.monotonic() > began + seconds:
            first = next(iter(waiting))
            more = f"`make logs SERVICE={first.partition('-')[0]}` says more"
            raise StackError(f"{first} is not ready: {said[first]}; {more}")
        if waiting:
            time.sleep(0.1)


def edge_lacks(house: House) -> str:
    """What keeps people out; empty when the edge that the supervisor has started answers for the gateway.

    Asked over HTTP: a listen port that is open may be held by what a dead nginx has left behind.
    """
    runs = supervision.processes(house).get("edge", {"pid": 0})["pid"]
    return edge_answers(house) if runs else "it does not run"


def edge_answers(house: House) -> str:
    """What is wrong with the answer at the edge's address; empty when nothing is."""
    try:
        urllib.request.urlopen(f"http://{edge.address(house)}/healthz", timeout=5).close()
    except urllib.error.HTTPError as answer:
        answer.close()
        return f"it answers {answer.code}"
    except OSError:
        return "it does not answer"
    return ""


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
