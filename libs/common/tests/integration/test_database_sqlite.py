"""SQLite: the contract of every database, outbox and inbox on it, and what only a file can suffer."""

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import insert

from antiphon_common.bus import Envelope, open_bus
from antiphon_common.db import Database
from antiphon_common.errors import Unavailable
from antiphon_common.lifecycle import run_together
from antiphon_common.testing.running import eventually
from antiphon_common.testing.suites.database import METADATA, THING, DatabaseSuite, count
from antiphon_common.testing.suites.events import Changed, changed
from antiphon_common.testing.suites.outbox import METADATA as OUTBOX_METADATA
from antiphon_common.testing.suites.outbox import OutboxSuite, Publishing, Service, note


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/below/service.db"


@pytest.fixture
def bus_url(tmp_path: Path) -> str:
    return f"inproc://{tmp_path}/bus.db"


class TestSqlite(DatabaseSuite):
    pass


class TestOutboxOnSqliteAndJournal(OutboxSuite):
    async def test_what_was_announced_just_before_the_stop_is_published_still(self, service: Service) -> None:
        async with run_together(service.relay()):
            await service.announce(changed("first"))
            await eventually(service.waiting, lambda rows: rows == 0)
            await service.announce(changed("last"))
        assert await service.waiting() == 0

    async def test_a_consumer_that_stopped_handles_nothing_more(self, service: Service) -> None:
        async with run_together(service.consumer({Changed: note})):
            pass
        async with run_together(service.consumer({Changed: note}, "two"), service.relay()):
            await service.announce(changed("a"))
            await service.settled("two")
        assert (await service.effects(), await service.bus.depth("one")) == (["a"], 1)

    async def test_a_stop_waits_a_second_for_a_bus_that_hangs_and_the_outbox_keeps_all(
        self, service: Service
    ) -> None:
        class Hanging(Publishing):
            async def publish(self, envelopes: Sequence[Envelope]) -> None:
                await asyncio.Event().wait()

        await service.announce(changed("a"))
        async with asyncio.timeout(3):
            await service.relay(Hanging(service.bus, lambda _: None, after=False)).stop()
        assert await service.waiting() == 1


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.start()
    async with database.write() as session:
        await (await session.connection()).run_sync(METADATA.create_all)
    yield database
    await database.stop()


async def test_what_was_acknowledged_survives_a_power_cut_as_far_as_settings_can_say(
    database: Database,
) -> None:
    async with database.write() as session:
        connection = await session.connection()
        values = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 4000}


async def test_writing_by_a_reading_connection_is_refused_and_not_lost(database: Database) -> None:
    with pytest.raises(Unavailable):
        async with database.read() as connection:
            await connection.execute(insert(THING).values(count=1))


async def test_a_full_disk_is_unavailable_and_reading_goes_on(database: Database) -> None:
    async with database.write() as session:
        await session.execute(insert(THING).values(count=1))
    before, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(Unavailable):
            async with database.write() as session:
                await session.execute(insert(THING), [{"facts": "x" * 100_000} for _ in range(20)])
        assert await count(database) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, action)
    async with database.write() as session:
        await session.execute(insert(THING).values(count=1))
    assert await count(database) == 2


async def test_a_file_that_cannot_be_opened_is_unavailable_and_leaves_no_thread(tmp_path: Path) -> None:
    async def threads() -> int:
        return threading.active_count()

    (tmp_path / "service.db").mkdir()
    before = await threads()
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/service.db")
    for _ in range(5):
        with pytest.raises(Unavailable):
            await database.ping()
    await database.stop()
    await eventually(threads, lambda count: count <= before)


async def test_a_writer_in_another_process_is_waited_for(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "below/service.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    async def write() -> None:
        async with database.write() as session:
            await session.execute(insert(THING).values(count=1))

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.2)
    assert not writing.done()
    other.execute("ROLLBACK")
    other.close()
    await asyncio.wait_for(writing, 3)
    assert await count(database) == 1


WORKS = """
import asyncio, sys
from antiphon_common.bus import Envelope, open_bus
from antiphon_common.db import Database
from antiphon_common.lifecycle import run_together
from antiphon_common.testing.suites.events import Changed, changed
from antiphon_common.testing.suites.outbox import Service, note

async def main():
    service = Service(Database(sys.argv[1]), open_bus(sys.argv[2]))
    relay, consumer = service.relay(), service.consumer({Changed: note})
    async with run_together(service.database, service.bus, consumer, relay):
        number = 0
        while True:
            number += 1
            await service.announce(changed(f"{sys.argv[3]}-{number}"))
            relay.wake()
            print(f"{sys.argv[3]}-{number}", flush=True)

asyncio.run(main())
"""


def run_and_kill(script: str, *arguments: str, lines: int) -> list[str]:
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        printed = [child.stdout.readline().strip() for _ in range(lines)]
        child.kill()
        return printed + child.stdout.read().split()


async def test_killing_relay_and_consumer_at_any_moment_loses_and_doubles_nothing(
    database_url: str, bus_url: str
) -> None:
    service = Service(Database(database_url), open_bus(bus_url))
    async with run_together(service.database, service.bus), service.database.write() as session:
        await (await session.connection()).run_sync(OUTBOX_METADATA.create_all)
    acknowledged: list[str] = []
    for lines in (3, 17, 40):
        acknowledged += run_and_kill(WORKS, database_url, bus_url, str(lines), lines=lines)
    async with run_together(
        service.database, service.bus, service.consumer({Changed: note}), service.relay()
    ):
        await service.settled()
        effects = Counter(await service.effects())
    assert set(acknowledged) <= set(effects)
    assert set(effects.values()) == {1}
    # What was committed and not yet acknowledged when a process was killed may be there, too.
    assert len(effects) <= len(acknowledged) + 3
