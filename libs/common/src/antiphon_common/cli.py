"""The command line of one service: `python -m antiphon_catalog serve`, `migrate`, `republish` and so on."""

import argparse
import asyncio
import importlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar, cast

import orjson
from fastapi import FastAPI

from antiphon_common.blobs import signed_address
from antiphon_common.bus import Bus, Envelope, open_bus
from antiphon_common.bus.envelope import Announceable
from antiphon_common.clock import SystemClock
from antiphon_common.db.database import Database
from antiphon_common.errors import NotFound, ServiceError
from antiphon_common.logs import open_log
from antiphon_common.settings import ServiceSettings, read_settings, sentences
from antiphon_common.web import serving

S = TypeVar("S", bound=ServiceSettings)
Command = Callable[[Any], Coroutine[Any, Any, object]]

_REPUBLISH_BATCH = 500
_SAY_SECONDS = 2.0
_EXITS = "exit code: 0 done, 1 failed (one line says why), 2 wrong usage or settings"


def main(create_app: Callable[[S], FastAPI], settings_class: type[S], package: str) -> None:
    """Parse the command line, run one command, and exit: 0 done, 1 failed, 2 wrong usage or settings."""
    arguments = _parser(package, has_blobs="blob_url" in settings_class.model_fields).parse_args()
    if arguments.command == "openapi":
        sys.stdout.buffer.write(openapi_document(create_app, settings_class))
        return
    settings = read_settings(settings_class)
    with sentences(settings):
        _run(create_app, settings, package, arguments)


def _run(
    create_app: Callable[[S], FastAPI], settings: S, package: str, arguments: argparse.Namespace
) -> None:
    if arguments.command == "serve":
        if arguments.migrate:
            _migrate(package, settings)
        serve(create_app(settings), settings, name=package.removeprefix("antiphon_"))
    elif arguments.command == "migrate":
        _migrate(package, settings)
    elif arguments.command == "republish":
        asyncio.run(_republish(package, settings, arguments.to))
    elif arguments.command == "dead-letters":
        asyncio.run(_dead_letters(settings, arguments))
    elif arguments.command == "blob-url":
        blob_url = str(dict(settings)["blob_url"])
        _print({"url": asyncio.run(signed_address(blob_url, arguments.key, arguments.seconds))})
    else:
        command = _own_commands(package)[arguments.command]
        _print(asyncio.run(command(settings)))


def _migrate(package: str, settings: ServiceSettings) -> None:
    from antiphon_common.db.migrations import migrate  # noqa: PLC0415 - 10 MB that serving does not need

    migrate(package, settings.database_url)


def serve(app: FastAPI, settings: ServiceSettings, *, name: str) -> None:
    """Serve until SIGTERM or SIGINT. Raises what keeps the service from starting."""
    serving.run(
        serving.server_config(app, settings.host, settings.port),
        lifespan=app.router.lifespan_context(app),
        on_stop=app.state.readiness.stop,
        delay=settings.stop_delay_seconds,
        log=open_log(name, level=settings.log_level, file=settings.log_file),
    )


def _parser(package: str, *, has_blobs: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {package}")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str, *examples: str) -> argparse.ArgumentParser:
        shown = "".join(f"\n  python -m {package} {example}" for example in examples)
        return commands.add_parser(
            name, help=text, description=text, epilog=f"examples:{shown}\n\n{_EXITS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip

    serving_ = add("serve", "answer requests and handle events until SIGTERM or SIGINT", "serve")
    serving_.add_argument(
        "--migrate", action="store_true", help="bring the database to the newest schema first"
    )
    add("migrate", "bring the database to the newest schema; harmless when it is there", "migrate")
    add("openapi", "print the OpenAPI document", "openapi > openapi.json")
    republish = add(
        "republish",
        "send the state of everything to one consumer, while all goes on",
        "republish --to search",
    )
    republish.add_argument(
        "--to", required=True, metavar="CONSUMER", help="the consumer, for example: search"
    )
    letters = add(
        "dead-letters", "what a consumer could not handle: look, try again, or forget",
        "dead-letters list --consumer search", "dead-letters redrive --consumer search",
        "dead-letters discard --consumer search --id 01a1fe46-9e9c-7930-b69a-016a0a0b75bf",
    )  # fmt: skip
    letters.add_argument("action", choices=["list", "redrive", "discard"])
    letters.add_argument("--consumer", required=True)
    letters.add_argument("--id", action="append", default=[], help="only these (repeatable); without it, all")
    if has_blobs:
        address = add(
            "blob-url", "an address at which one stored object can be read", "blob-url audio/... --seconds 60"
        )
        address.add_argument("key", help="as it is in the store, for example: audio/...")
        address.add_argument("--seconds", type=int, default=300, help="how long it works (default: 300)")
    for name, command in _own_commands(package).items():
        add(name, (command.__doc__ or "").partition("\n")[0], name)
    return parser


def _own_commands(package: str) -> Mapping[str, Command]:
    """What a service can do that others cannot: `COMMANDS` in its `app.py`, each printing its result."""
    commands: Mapping[str, Command] = getattr(importlib.import_module(f"{package}.app"), "COMMANDS", {})
    return commands


async def _republish(package: str, settings: ServiceSettings, consumer: str) -> None:
    queries = importlib.import_module(f"{package}.queries")
    current: Callable[[Database], AsyncIterator[Announceable]] = queries.current_events
    database, bus, clock = Database(settings.database_url), open_bus(settings.bus_url), SystemClock()
    progress, batch = _Progress(consumer), list[Envelope]()
    await bus.start()
    try:
        async for event in current(database):
            batch.append(Envelope.of(event, clock))
            if len(batch) == _REPUBLISH_BATCH:
                await bus.send(consumer, batch)
                progress.went(len(batch))
                batch = []
        await bus.send(consumer, batch)
        progress.sent += len(batch)
    except ServiceError:
        progress.say("then it failed; what was sent stays, and sending it again does no harm")
        raise
    finally:
        await bus.stop()
        await database.stop()
    _print({"consumer": consumer, "sent": progress.sent})


class _Progress:
    """Says every two seconds on standard error how far it is; standard output is for the result."""

    def __init__(self, consumer: str) -> None:
        self.sent = 0
        self._consumer = consumer
        self._said_at = time.monotonic()

    def went(self, count: int) -> None:
        self.sent += count
        if time.monotonic() - self._said_at > _SAY_SECONDS:
            self._said_at = time.monotonic()
            self.say("so far")

    def say(self, how: str) -> None:
        print(f"{self.sent:,} events sent to {self._consumer} {how}", file=sys.stderr)  # noqa: T201


async def _dead_letters(settings: ServiceSettings, arguments: argparse.Namespace) -> None:
    bus = open_bus(settings.bus_url)
    await bus.start()
    try:
        _print(await dead_letters(bus, arguments.action, arguments.consumer, arguments.id))
    finally:
        await bus.stop()


async def dead_letters(bus: Bus, action: str, consumer: str, ids: Sequence[str]) -> dict[str, Any]:
    """List, redrive or discard a consumer's dead letters; without ids, all of them.

    Raises `NotFound` when some of the ids are of no dead letter, after it has done the others.
    """
    if action == "redrive":
        return {"redriven": _all(await bus.redrive(consumer, ids or None), ids, consumer)}
    if action == "discard":
        return {"discarded": _all(await bus.discard(consumer, ids or None), ids, consumer)}
    items = [
        {"id": x.id, "type": x.type, "code": x.code, "detail": x.detail, "died_at": x.died_at}
        for x in await bus.dead_letters(consumer)
        if not ids or x.id in ids
    ]
    return {"consumer": consumer, "count": await bus.dead_count(consumer), "items": items}


def _all(found: int, ids: Sequence[str], consumer: str) -> int:
    asked = len(set(ids))
    if found < asked:
        what = f"{found} of {asked} were there and are done, the rest" if found else "this"
        raise NotFound(
            "no_such_letter", f"{what} is no dead letter of {consumer}; `dead-letters list` shows them."
        )
    return found


def openapi_document(create_app: Callable[[S], FastAPI], settings_class: type[S]) -> bytes:
    """The OpenAPI document of a service as its snapshot is written: indented, keys sorted."""
    # Only the shape is needed, so any settings do, and none of them is checked.
    nowhere = settings_class.model_construct(
        database_url="sqlite+aiosqlite://", bus_url="inproc:", jwks_url="file:///dev/null"
    )
    return _pretty(create_app(cast(S, nowhere)).openapi())


def _print(body: object) -> None:
    sys.stdout.buffer.write(_pretty(body))


def _pretty(body: object) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
