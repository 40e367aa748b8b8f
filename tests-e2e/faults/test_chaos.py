"""Kill everything twice while people use it, and compare what they were told with what is there afterwards.

`make chaos SEED=... MINUTES=...` runs it for longer; the seed is printed, and draws the same faults again.
"""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from e2e_support.audio import make_audio
from e2e_support.people import PASSWORD, Person, every
from e2e_support.server_platform import PROCESSES, ROOT, SERVERS, ServerPlatform
from e2e_support.stores import COUNTED

from antiphon_common.testing.running import eventually
from antiphon_gateway.settings import SERVICES
from faults import checker, workload
from faults.exits import EXIT_CODE
from faults.history import Caller, History
from faults.nemesis import Fault, Nemesis
from faults.stores import ServerStores

MINUTES = float(os.environ.get("MINUTES") or 1.7)
QUIET_SECONDS = 60
FILES = 36
STREAMS = 20


def process_faults(platform: ServerPlatform) -> list[Fault]:
    """`kill -9` of each process of ours; the supervisor brings it back."""

    def fault(name: str) -> Fault:
        async def strike() -> None:
            pid = await asyncio.to_thread(platform.pid, name)
            await asyncio.to_thread(platform.kill, name)
            if pid:
                await asyncio.to_thread(platform.wait_for_pid, name, pid)

        return Fault(f"kill {name}", strike)

    return [fault(name) for name in PROCESSES]


def server_faults(platform: ServerPlatform) -> list[Fault]:
    """`kill -9` of each server, started again after a moment."""

    def fault(name: str) -> Fault:
        async def strike() -> None:
            await asyncio.to_thread(platform.servers, "kill", name)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(platform.servers, "up", name)

        return Fault(f"kill {name}", strike)

    return [fault(name) for name in SERVERS]


def exit_faults(platform: ServerPlatform, hits: Counter[str]) -> list[Fault]:
    """A second instance that ends between confirm and mark, or between commit and acknowledgement."""

    def fault(moment: str, service: str) -> Fault:
        async def strike() -> None:
            # Others may do all there is to do for a while, so it is tried again.
            for _ in range(4):
                if await ended_there():
                    hits[moment] += 1
                    return

        async def ended_there() -> bool:
            environment = {
                **os.environ, **platform.environment(service), f"{service.upper()}_PORT": "0",
                f"{service.upper()}_METRICS_PORT": "0", "PYTHONPATH": str(ROOT / "tests-e2e"),
            }  # fmt: skip
            command = [sys.executable, "-m", "faults.exits", moment, service, "1"]
            log = (platform.data / f"exits-{moment}.log").open("a")
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
            code = None
            for _ in range(150):
                code = process.poll()
                if code is not None:
                    break
                await asyncio.sleep(0.1)
            if code is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
            return code == EXIT_CODE

        return Fault(f"end the {moment} of {service} at the worst moment", strike)

    return [fault("relay", "library"), fault("consumer", "catalog")]


@asynccontextmanager
async def working(*tasks: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run these while the block lasts; one that fails by itself fails the test."""
    running = [asyncio.create_task(task) for task in tasks]
    try:
        yield running
    finally:
        for task in running:
            task.cancel()
        done = await asyncio.gather(*running, return_exceptions=True)
    for result in done:
        if isinstance(result, Exception):
            raise result


@pytest.mark.timeout(int(MINUTES * 60) + 300)
async def test_everything_killed_twice_loses_nothing(
    server_programs: None, tmp_path: Path, free_block: int
) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(10**9))
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    history = History.at(tmp_path / "history.jsonl")
    files = [
        make_audio(tmp_path / f"{n}.mp3", seconds=2 + n % 5, pitch=200 + n, title=f"Numbered{n:03d}",
                   artist=f"Chaos {n % 4}", album=f"Ruin {n % 6}")
        for n in range(FILES)
    ]  # fmt: skip
    overrides = {"FILE_COLLECT_SECONDS": "2"}
    with ServerPlatform(port=free_block, overrides=overrides) as platform:
        hits: Counter[str] = Counter()
        faults = [*process_faults(platform), *server_faults(platform), *exit_faults(platform, hits)]
        nemesis = Nemesis(faults, seed, times=max(2, round(MINUTES / 1.5)))
        async with AsyncExitStack() as stack:
            names = ["Ada", "Bob", "Cyn", "Dee", "Eve", *(f"Listener {n}" for n in range(STREAMS))]
            people = {name: await stack.enter_async_context(Person(platform.url, name)) for name in names}
            await asyncio.gather(*(person.register() for person in list(people.values())[:6]))
            for person in list(people.values())[6:]:
                person.access = people["Eve"].access
            callers = {name: Caller(person, history, name) for name, person in people.items()}
            await tell(people, callers, nemesis, files=files, seed=seed)
            found = await verdict(platform, people, history)
        report(history, nemesis, hits)
        told = Counter(found).most_common(40)
        assert found == [], f"seed {seed}\n" + "\n".join(f"{times}x {what}" for what, times in told)
        assert all(hits[moment] >= 2 for moment in ("relay", "consumer")), (
            f"the worst moments were missed: {hits}"
        )


async def tell(
    people: dict[str, Person], callers: dict[str, Caller], nemesis: Nemesis, *, files: list[Path], seed: int
) -> None:
    """Let them work while the faults strike, and until everything is imported."""
    music = workload.Music()
    dice = [random.Random(f"{seed}-{name}") for name in callers]
    ada, bob, cyn, dee, eve, *listeners = callers.values()
    login = {"email": people["Dee"].email, "password": PASSWORD, "session": "token"}
    fresh = asyncio.create_task(stay_logged_in(people))
    async with working(
        workload.liking(bob, music, dice[1]), workload.liking(cyn, music, dice[2]),
        workload.playing(bob, music), workload.playing(cyn, music),
        workload.editing(bob, music, dice[3]), workload.editing(cyn, music, dice[4]),
        workload.renaming(dee), workload.coming_and_going(dee, login),
        workload.reading(eve, music, dice[5]), workload.reading(ada, music, dice[0]),
        *(workload.streaming(one, music, own) for one, own in zip(listeners, dice[5:], strict=False)),
    ):  # fmt: skip
        importing = asyncio.create_task(workload.importing(ada, files, music, seconds=MINUTES * 60))
        await nemesis.run(MINUTES * 60)
        await asyncio.wait_for(importing, 90)
        await asyncio.sleep(2)
    fresh.cancel()


async def stay_logged_in(people: dict[str, Person]) -> None:
    """An access token lives for five minutes."""
    while True:
        await asyncio.sleep(200)
        for person in list(people.values())[:6]:
            with contextlib.suppress(AssertionError, OSError):
                await person.login()
        for person in list(people.values())[6:]:
            person.access = people["Eve"].access


async def verdict(platform: ServerPlatform, people: dict[str, Person], history: History) -> list[str]:
    """Everything that is wrong once it had a minute to settle."""
    stores = ServerStores(platform)
    for person in list(people.values())[:6]:
        await eventually(partial(logged_in, person), seconds=30)

    async def unsettled() -> list[str]:
        uploads = await every(people["Ada"], "/api/uploads")
        return [
            *checker.check_uploads(history, uploads),
            *await checker.check_outboxes(stores, SERVICES),
            *await checker.check_index(stores),
            *await checker.check_objects(stores),
            *await checker.check_counters(stores, COUNTED),
        ]

    began = time.monotonic()
    found = await settled(unsettled)
    print(f"settled after {time.monotonic() - began:.1f} s", *found[:40], sep="\n")  # noqa: T201
    return [*history.complaints, *found, *await from_history(people, history, stores)]


async def settled(look: Any) -> list[str]:
    """What is still wrong after the quiet time; a store that is not up yet counts as wrong until then."""
    deadline = time.monotonic() + QUIET_SECONDS
    while True:
        try:
            found: list[str] = await look()
        except (AssertionError, OSError) as error:
            found = [f"I1 cannot be read: {error!r}"]
        if not found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.5)


async def from_history(people: dict[str, Person], history: History, stores: ServerStores) -> list[str]:
    """What people were told, compared with what they read now."""
    bob, cyn = people["Bob"], people["Cyn"]
    likes = {p.name: {kept["track"]["id"] for kept in await every(p, "/api/me/tracks")} for p in (bob, cyn)}
    rows = await stores.sql("library", "SELECT track_id, value FROM counter WHERE name = 'plays'")
    playlists = {}
    for person in (bob, cyn):
        for playlist in await every(person, "/api/playlists"):
            items = await every(person, f"/api/playlists/{playlist['id']}/items")
            playlists[playlist["id"]] = [(item["item_id"], item["track"]["id"]) for item in items]
    names = {"Dee": (await people["Dee"].get("/api/me"))["name"]}
    return [
        *checker.check_tried(history),
        *checker.check_likes(history, likes),
        *checker.check_plays(history, {str(track): count for track, count in rows}),
        *checker.check_playlists(history, playlists),
        *checker.check_names(history, names),
    ]


async def logged_in(person: Person) -> bool:
    try:
        await person.login()
    except (AssertionError, OSError):
        return False
    return True


def report(history: History, nemesis: Nemesis, hits: Counter[str]) -> None:
    """What happened, for whoever reads a failure or `make chaos`."""
    for kind in ("read", "write", "stream"):
        seen = {status: n for (k, status), n in sorted(history.statuses.items()) if k == kind}
        print(kind, sum(seen.values()), seen)  # noqa: T201
    print("faults", sum(nemesis.table().values()), nemesis.log, dict(hits))  # noqa: T201
