"""Kill everything twice while people use it, and compare what they were told with what is there afterwards.

`make chaos SEED=... MINUTES=...` runs it for longer; the seed is printed, and draws the same faults again.
"""

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from e2e_support.audio import make_audio
from e2e_support.people import PASSWORD, Person, every
from e2e_support.server_platform import PROCESSES, SERVERS, ServerPlatform
from e2e_support.stores import COUNTED

from antiphon_common.testing.running import eventually
from antiphon_gateway.settings import SERVICES
from faults import checker, workload
from faults.history import Caller, History
from faults.moments import Moments
from faults.nemesis import Fault, Nemesis
from faults.replay import EDITS
from faults.stores import ServerStores

MINUTES = float(os.environ.get("MINUTES") or 2.0)
QUIET_SECONDS = 60
FILES = 36
STREAMS = 20
ACCOUNTS = ("Ada", "Bob", "Cyn", "Dee", "Eve")
LISTENERS = tuple(f"Listener {n}" for n in range(STREAMS))


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


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is there, what they do and what they were told."""

    platform: ServerPlatform
    people: dict[str, Person]
    history: History
    seed: int
    music: workload.Music = field(default_factory=workload.Music)
    ended: list[workload.Ended] = field(default_factory=list)

    def caller(self, name: str) -> Caller:
        return Caller(self.people[name], self.history, name)

    def dice(self, name: str) -> random.Random:
        return random.Random(f"{self.seed}-{name}")


@pytest.mark.timeout(int(MINUTES * 60) + 300)
async def test_everything_killed_twice_loses_nothing(
    server_programs: None, tmp_path: Path, free_block: int
) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(10**9))
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    began, history = time.monotonic(), History.at(tmp_path / "history.jsonl")
    files = [
        make_audio(tmp_path / f"{n}.mp3", seconds=2 + n % 5, pitch=200 + n, title=f"Numbered{n:03d}",
                   artist=f"Chaos {n % 4}", album=f"Ruin {n % 6}")
        for n in range(FILES)
    ]  # fmt: skip
    overrides = {"FILE_COLLECT_SECONDS": "2"}
    with ServerPlatform(port=free_block, overrides=overrides) as platform:
        async with AsyncExitStack() as stack:
            names = [*ACCOUNTS, *LISTENERS]
            people = {name: await stack.enter_async_context(Person(platform.url, name)) for name in names}
            await asyncio.gather(*(people[name].register() for name in ACCOUNTS))
            for name in LISTENERS:
                people[name].access = people["Eve"].access
            scene = Scene(platform, people, history, seed)
            moments = Moments(platform, people["Eve"], history=history, music=scene.music, seed=seed)
            faults = [*process_faults(platform), *server_faults(platform), *moments.faults()]
            nemesis = Nemesis(faults, seed, times=max(2, round(MINUTES / 1.5)))
            print(f"started after {time.monotonic() - began:.1f} s")  # noqa: T201
            await tell(scene, nemesis, files)
            print(f"struck and imported after {time.monotonic() - began:.1f} s")  # noqa: T201
            found = await verdict(scene)
        report(scene, nemesis, moments)
        told = Counter(found).most_common(40)
        assert found == [], f"seed {seed}\n" + "\n".join(f"{times}x {what}" for what, times in told)
        assert moments.missed() == []


async def tell(scene: Scene, nemesis: Nemesis, files: list[Path]) -> None:
    """Let them work while the faults strike, and until everything is imported."""
    ada, bob, cyn, dee, eve = (scene.caller(name) for name in ACCOUNTS)
    music, dice = scene.music, scene.dice
    login = {"email": scene.people["Dee"].email, "password": PASSWORD, "session": "token"}
    fresh = asyncio.create_task(stay_logged_in(scene.people))
    async with working(
        workload.liking(bob, music, dice("Bob likes")), workload.liking(cyn, music, dice("Cyn likes")),
        workload.playing(bob, music), workload.playing(cyn, music),
        workload.editing(bob, music, dice("Bob edits")), workload.editing(cyn, music, dice("Cyn edits")),
        workload.renaming(dee), workload.coming_and_going(dee, login, scene.ended, dice("Dee")),
        workload.reading(eve, music, dice("Eve")), workload.reading(ada, music, dice("Ada")),
        *(workload.streaming(scene.caller(one), music, dice(one)) for one in LISTENERS),
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
        for name in ACCOUNTS:
            with contextlib.suppress(AssertionError, OSError):
                await people[name].login()
        for name in LISTENERS:
            people[name].access = people["Eve"].access


async def verdict(scene: Scene) -> list[str]:
    """Everything that is wrong once it had a minute to settle."""
    stores, history = ServerStores(scene.platform), scene.history
    for name in ACCOUNTS:
        await eventually(partial(logged_in, scene.people[name]), seconds=30)

    async def unsettled() -> list[str]:
        uploads = await every(scene.people["Ada"], "/api/uploads")
        return [
            *checker.check_uploads(history, uploads),
            *await checker.check_outboxes(stores, SERVICES),
            *await checker.check_tracks(stores),
            *await checker.check_index(stores),
            *await checker.check_objects(stores),
            *await checker.check_counters(stores, COUNTED),
        ]

    began = time.monotonic()
    found = await settled(unsettled)
    print(f"settled after {time.monotonic() - began:.1f} s", *found[:40], sep="\n")  # noqa: T201
    shown = await workload.show(scene.caller("Dee"), scene.ended, patience=3)
    print(f"{len(shown)} dead tokens of {len(scene.ended)} sessions were shown again")  # noqa: T201
    return [
        *history.complaints,
        *found,
        *checker.check_revoked(shown),
        *await from_history(scene.people, history, stores),
    ]


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
    three = [people[name] for name in ("Bob", "Cyn", "Eve")]
    likes = {p.name: [kept["track"]["id"] for kept in await every(p, "/api/me/tracks")] for p in three}
    saves = {p.name: [kept["album"]["id"] for kept in await every(p, "/api/me/albums")] for p in three}
    rows = await stores.sql("library", "SELECT track_id, value FROM counter WHERE name = 'plays'")
    playlists = {}
    for person in three:
        for playlist in await every(person, "/api/playlists"):
            items = await every(person, f"/api/playlists/{playlist['id']}/items")
            read = [(item["item_id"], item["track"]["id"]) for item in items]
            playlists[playlist["id"]] = playlist["revision"], read
    names = {name: (await people[name].get("/api/me"))["name"] for name in ("Dee", "Eve")}
    return [
        *checker.check_tried(history),
        *checker.check_kept(history, "like", likes),
        *checker.check_kept(history, "save", saves),
        *checker.check_plays(history, {str(track): count for track, count in rows}),
        *checker.check_playlists(history, playlists),
        *await checker.check_places(stores, playlists),
        *checker.check_names(history, names),
    ]


async def logged_in(person: Person) -> bool:
    try:
        await person.login()
    except (AssertionError, OSError):
        return False
    return True


def report(scene: Scene, nemesis: Nemesis, moments: Moments) -> None:
    """What happened, for whoever reads a failure or `make chaos`."""
    history = scene.history
    for kind in ("read", "write", "stream"):
        seen = {status: n for (k, status), n in sorted(history.statuses.items()) if k == kind}
        print(kind, sum(seen.values()), seen)  # noqa: T201
    done = Counter(op.kind for op in history.ops if op.outcome)
    print("acknowledged", done.total(), dict(sorted(done.items())))  # noqa: T201
    edits = [op for op in history.ops if op.kind in EDITS]
    late, unknown = (
        sum(op.status == checker.TOO_LATE for op in edits),
        sum(op.outcome is None for op in edits),
    )
    print(f"edits {len(edits)}, of them too late for their revision {late}, nobody knows of {unknown}")  # noqa: T201
    went_on = checker.went_on(history)
    streams = len({op.client for op in went_on})
    print(  # noqa: T201
        f"{streams} of {STREAMS} streams saw a failed range and went on, on {len(went_on)} of {done['hear-all']} tracks"
    )
    print("faults", sum(nemesis.table().values()), nemesis.log, dict(moments.hits))  # noqa: T201
