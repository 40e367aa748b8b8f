"""Outbox, relay, bus, consumer and inbox on the real servers: the same promises, and what several relays add."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import insert

from antiphon_common.bus import Envelope, open_bus
from antiphon_common.db import Database
from antiphon_common.errors import Unavailable
from antiphon_common.ids import new_id
from antiphon_common.lifecycle import run_together
from antiphon_common.testing.running import eventually
from antiphon_common.testing.suites.events import Changed, changed
from antiphon_common.testing.suites.outbox import (
    CLOCK,
    METADATA,
    OUTBOX,
    OutboxSuite,
    Publishing,
    Service,
    Unit,
    note,
)

# A service of its own process: it announces, relays and consumes until it is killed.
SERVICE = """
import asyncio, os, sys
from antiphon_common.bus import open_bus
from antiphon_common.db import Database
from antiphon_common.lifecycle import run_together
from antiphon_common.testing.suites.events import Changed, changed
from antiphon_common.testing.suites.outbox import Publishing, Service, note

class Exiting(Publishing):
    async def publish(self, envelopes):
        if envelopes and sys.argv[3] == "before":
            os._exit(9)
        await self._bus.publish(envelopes)
        if envelopes and sys.argv[3] == "after":
            os._exit(9)

async def main():
    service = Service(Database(sys.argv[1]), open_bus(sys.argv[2]))
    await service.bus.start()
    await service.announce(*(changed(f"{sys.argv[4]}-{number}") for number in range(5)))
    async with run_together(service.relay(Exiting(service.bus, lambda _: None, after=False))):
        await asyncio.sleep(30)

asyncio.run(main())
"""
CONSUMER = """
import asyncio, os, sys
from antiphon_common.bus import open_bus
from antiphon_common.db import Database
from antiphon_common.lifecycle import run_together
from antiphon_common.testing.suites.events import Changed
from antiphon_common.testing.suites.outbox import Service, note

async def main():
    service = Service(Database(sys.argv[1]), open_bus(sys.argv[2]))
    await service.bus.start()
    consumer = service.consumer({Changed: note})
    handle = consumer.handle

    async def exits_after_commit(bodies):
        await handle(bodies)
        os._exit(9)

    await service.bus.consume("one", [Changed.type], exits_after_commit)
    await asyncio.sleep(30)

asyncio.run(main())
"""


@pytest.fixture
def database_url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
def bus_url(amqp_url: str) -> str:
    return amqp_url


class TestOutboxOnPostgresAndRabbitMQ(OutboxSuite):
    pass


@asynccontextmanager
async def opened(database_url: str, bus_url: str) -> AsyncIterator[Service]:
    """A service whose tables are there."""
    service = Service(Database(database_url), open_bus(bus_url))
    async with run_together(service.database, service.bus):
        async with service.database.write() as session:
            await (await session.connection()).run_sync(METADATA.create_all)
        yield service


@pytest.fixture
async def service(database_url: str, bus_url: str) -> AsyncIterator[Service]:
    async with opened(database_url, bus_url) as service:
        yield service


async def ended(script: str, *arguments: str) -> int:
    """Run a process until it ends itself."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, *arguments], check=False, timeout=60
    )
    return done.returncode


async def test_three_relays_publish_each_row_once_and_keep_the_order_of_every_aggregate(
    service: Service,
) -> None:
    seen: list[tuple[object, int]] = []
    published = 0
    subjects = [new_id() for _ in range(4)]

    class Counting(Publishing):
        async def publish(self, envelopes: Sequence[Envelope]) -> None:
            nonlocal published
            published += len(envelopes)
            await self._bus.publish(envelopes)

    async def see(_: Unit, event: Changed) -> None:
        seen.append((event.subject, event.revision))

    others = [open_bus(service.bus._url) for _ in range(3)]  # type: ignore[attr-defined]
    relays = [service.relay(Counting(bus, lambda _: None, after=False)) for bus in others]
    async with run_together(service.consumer({Changed: see}), *others, *relays):
        for revision in range(1, 301):
            await service.announce(*(changed(subject=subject, revision=revision) for subject in subjects))
            relays[revision % 3].wake()
        await service.settled()
    assert published == len(seen) == 1200
    for subject in subjects:
        assert [revision for who, revision in seen if who == subject] == list(range(1, 301))


async def test_a_row_that_commits_late_with_a_lower_number_is_published(service: Service) -> None:
    async with run_together(service.consumer({Changed: note}), service.relay()):
        async with service.database.write() as session:
            late = Envelope.of(changed("late"), CLOCK)
            row = {"event_id": late.id, "envelope": late.as_json(), "announced_at": CLOCK.now()}
            await session.execute(insert(OUTBOX).values(**row))
            await service.announce(changed("early"))
            await eventually(service.effects, lambda effects: effects == ["early"])
        await eventually(service.effects, lambda effects: effects == ["early", "late"])


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_relay_that_dies_at_the_confirm_loses_nothing_and_doubles_no_effect(
    service: Service, database_url: str, bus_url: str, moment: str
) -> None:
    await service.bus.bind("one", [Changed.type])
    for round_ in range(3):
        assert await ended(SERVICE, database_url, bus_url, moment, str(round_)) == 9
    async with run_together(service.consumer({Changed: note}), service.relay()):
        await eventually(service.effects, lambda effects: len(effects) >= 15, seconds=30)
        await service.settled()
    assert sorted(await service.effects()) == sorted(f"{r}-{n}" for r in range(3) for n in range(5))


async def test_a_consumer_that_dies_after_the_commit_doubles_no_effect(
    service: Service, database_url: str, bus_url: str
) -> None:
    await service.bus.bind("one", [Changed.type])
    await service.bus.publish([Envelope.of(changed(str(number)), CLOCK) for number in range(30)])
    for _ in range(3):
        assert await ended(CONSUMER, database_url, bus_url) == 9
    async with run_together(service.consumer({Changed: note})):
        await eventually(service.effects, lambda effects: len(effects) >= 30)
        await service.settled()
    assert sorted(await service.effects(), key=int) == [str(number) for number in range(30)]
    assert await service.bus.dead_count("one") == 0


async def test_a_bus_that_hangs_holds_one_connection_for_five_seconds_and_no_change_waits(
    service: Service,
) -> None:
    began: list[float] = []
    gave_up: list[float] = []

    class Hanging(Publishing):
        async def publish(self, envelopes: Sequence[Envelope]) -> None:
            began.append(time.monotonic())
            try:
                await asyncio.Event().wait()
            finally:
                gave_up.append(time.monotonic())

    relays = [service.relay(Hanging(service.bus, lambda _: None, after=False)) for _ in range(3)]
    await service.announce(changed("a"))
    async with run_together(*relays):
        await eventually(lambda: _length(began))
        for number in range(40):
            started = time.monotonic()
            await service.announce(changed(str(number)))
            assert time.monotonic() - started < 2
        await eventually(lambda: _length(gave_up), seconds=10)
        assert gave_up[0] - began[0] < 5.5
        # One at a time: the others wait without a connection.
        assert len(began) <= len(gave_up) + 1
    assert await service.waiting() == 41


async def _length(items: Sequence[object]) -> int:
    return len(items)


async def test_a_database_that_is_away_pauses_the_consumer_and_counts_no_try(service: Service) -> None:
    away = True

    class Away(Unit):
        async def first_time(self, consumer: str, event_ids: Any) -> Any:
            if away:
                raise Unavailable("database_unavailable")
            return await super().first_time(consumer, event_ids)

    @asynccontextmanager
    async def unit() -> AsyncIterator[Unit]:
        async with service.database.write() as session:
            yield Away(session)

    consumer = service.consumer({Changed: note})
    consumer._open_unit = unit
    await service.bus.bind("one", [Changed.type])
    await service.bus.publish([Envelope.of(changed(str(number)), CLOCK) for number in range(100)])
    async with run_together(consumer):
        await asyncio.sleep(2)
        assert await service.bus.depth("one") == 100
        away = False
        await eventually(service.effects, lambda effects: len(effects) == 100)
        await service.settled()
    assert await service.effects() == [str(number) for number in range(100)]


EVENTS, PUBLISHERS = 10_000, 100


@pytest.mark.timeout(400)
async def test_every_event_has_its_effect_once_though_the_broker_is_killed_at_a_third_and_at_half(
    database_url: str, private_server: Any
) -> None:
    """Watermill's bar."""
    server = private_server("rabbitmq")
    async with opened(database_url, server.url) as service:
        await service.bus.bind("one", [Changed.type])
        reached = asyncio.Condition()
        announced = 0
        # As many as there are connections: more would be told to come back, which is another test's matter.
        slots = asyncio.Semaphore(6)

        async def publisher(number: int) -> None:
            nonlocal announced
            for item in range(EVENTS // PUBLISHERS):
                async with slots:
                    await service.announce(changed(f"{number}-{item}"))
                async with reached:
                    announced += 1
                    reached.notify_all()

        async def killer() -> None:
            for mark in (EVENTS // 3, EVENTS // 2):
                async with reached:
                    await reached.wait_for(lambda mark=mark: announced >= mark)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)

        consumers = [service.consumer({Changed: note})]
        async with run_together(*consumers, service.relay(), service.relay()):
            await asyncio.gather(killer(), *(publisher(number) for number in range(PUBLISHERS)))
            await eventually(service.effects, lambda effects: len(effects) >= EVENTS, seconds=200)
            await eventually(service.waiting, lambda rows: rows == 0, seconds=30)
            await eventually(lambda: service.bus.depth("one"), lambda depth: depth == 0, seconds=30)
        effects = await service.effects()
        assert sorted(effects) == sorted(
            f"{number}-{item}" for number in range(PUBLISHERS) for item in range(EVENTS // PUBLISHERS)
        )
        assert await service.bus.dead_count("one") == 0
