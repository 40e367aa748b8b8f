"""The journalled bus: the contract of every bus, and what its docstring promises of crashes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from antiphon_common.bus import open_bus
from antiphon_common.errors import Unavailable
from antiphon_common.testing.running import eventually
from antiphon_common.testing.suites.bus import CHANGES, BusSuite, Inbox, opened
from antiphon_common.testing.suites.events import envelope, envelopes, values

PUBLISHES = """
import asyncio, sys
from antiphon_common.bus import open_bus
from antiphon_common.testing.suites.events import envelope

async def main():
    bus = open_bus(sys.argv[1])
    await bus.start()
    number = 0
    while True:
        await bus.publish([envelope(str(number)), envelope(str(number + 1))])
        number += 2
        print(number, flush=True)

asyncio.run(main())
"""
CONSUMES = """
import asyncio, sys
from antiphon_common.bus import open_bus
from antiphon_common.testing.suites.events import values

async def handle(bodies):
    for body in bodies:
        print(values([body])[0], flush=True)
        await asyncio.sleep(0.001)

async def main():
    bus = open_bus(sys.argv[1])
    await bus.start()
    await bus.consume("one", ["test.changed"], handle)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def bus_url(tmp_path: Path) -> str:
    return f"inproc://{tmp_path}/bus.db"


class TestInprocBus(BusSuite):
    pass


def run_and_kill(script: str, url: str, *, after: int) -> list[str]:
    """Run a child until it has printed some lines, kill it without warning; all that it printed."""
    with subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        printed = [child.stdout.readline().strip() for _ in range(after)]
        os.kill(child.pid, signal.SIGKILL)
        return printed + child.stdout.read().split()


async def test_a_publish_returns_after_its_messages_are_on_disk(bus_url: str) -> None:
    async with opened(bus_url) as bus:
        await bus.bind("one", CHANGES)
    acknowledged = int(run_and_kill(PUBLISHES, bus_url, after=40)[-1])
    inbox = Inbox()
    async with opened(bus_url) as bus:
        await bus.consume("one", CHANGES, inbox)
        found = await inbox.holds(acknowledged)
        await eventually(lambda: bus.depth("one"), lambda depth: depth == 0)
    # What was in the making at the end is there as a whole or not at all.
    assert len(found) in (acknowledged, acknowledged + 2)
    assert found == [str(number) for number in range(len(found))]


async def test_a_killed_process_finds_again_all_that_was_not_acknowledged_in_order(bus_url: str) -> None:
    async with opened(bus_url) as bus:
        await bus.bind("one", CHANGES)
        await bus.publish(envelopes(200))
    handled = run_and_kill(CONSUMES, bus_url, after=70)
    inbox = Inbox()
    async with opened(bus_url) as bus:
        await bus.consume("one", CHANGES, inbox)
        await eventually(lambda: bus.depth("one"), lambda depth: depth == 0)
    again = values(inbox.bodies)
    assert set(handled) | set(again) == {str(number) for number in range(200)}
    assert again == sorted(again, key=int)
    # At most the batch that was not acknowledged was handled twice.
    assert len(set(handled) & set(again)) <= 26


async def test_a_command_line_in_another_process_reaches_a_running_consumer(bus_url: str) -> None:
    inbox = Inbox()
    script = PUBLISHES.replace("while True", "while number < 2")
    async with opened(bus_url) as bus:
        await bus.consume("one", CHANGES, inbox)
        await asyncio.sleep(0)  # idle: nobody will wake it
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script, bus_url], check=True)
        assert await inbox.holds(2) == ["0", "1"]


async def test_two_platforms_in_one_process_never_meet(tmp_path: Path) -> None:
    mine, yours = Inbox(), Inbox()
    async with opened(f"inproc://{tmp_path}/a.db") as a, opened(f"inproc://{tmp_path}/b.db") as b:
        await a.consume("one", CHANGES, mine)
        await b.consume("one", CHANGES, yours)
        await a.publish([envelope("a")])
        await b.publish([envelope("b")])
        assert (await mine.holds(1), await yours.holds(1)) == (["a"], ["b"])


async def test_a_journal_that_cannot_be_opened_is_unavailable_and_can_be_tried_again(tmp_path: Path) -> None:
    (tmp_path / "bus.db").mkdir()
    bus = open_bus(f"inproc://{tmp_path}/bus.db")
    with pytest.raises(Unavailable):
        await bus.start()
    await bus.stop()
    (tmp_path / "bus.db").rmdir()
    await bus.start()
    await bus.ping()
    await bus.stop()


async def test_a_consumer_outlives_a_journal_in_trouble(tmp_path: Path) -> None:
    url, inbox = f"inproc://{tmp_path}/bus.db", Inbox()
    async with opened(url) as bus:
        await bus.consume("one", CHANGES, inbox)
        # Its table is away for a moment: the same error as a disk that is full.
        journal = bus._journal  # type: ignore[attr-defined]
        await journal._do(lambda db: db.execute("ALTER TABLE delivery RENAME TO away"))
        with pytest.raises(Unavailable):
            await bus.publish([envelope()])
        journal.watch("one").set()
        started = time.monotonic()
        await eventually(lambda: _idle(inbox), lambda calls: calls == 0)
        await journal._do(lambda db: db.execute("ALTER TABLE away RENAME TO delivery"))
        await bus.publish([envelope("after")])
        assert await inbox.holds(1) == ["after"]
        assert time.monotonic() - started < 5


async def _idle(inbox: Inbox) -> int:
    await asyncio.sleep(0.05)
    return inbox.calls


async def test_a_bus_that_closes_while_another_opens_harms_neither(bus_url: str) -> None:
    for _ in range(20):
        first, second = open_bus(bus_url), open_bus(bus_url)
        await first.start()
        await asyncio.gather(first.stop(), second.start())
        await second.publish([envelope()])
        await second.stop()
