"""What outbox, relay, bus, consumer and inbox promise together, on any database and bus.

The subclass gives `database_url` and `bus_url`, both empty.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table, Uuid, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common import telemetry
from antiphon_common.bus import Bus, Envelope, Unroutable, open_bus
from antiphon_common.bus.consuming import Consumer, Handlers
from antiphon_common.clock import FixedClock, SystemClock
from antiphon_common.db import Database, inbox, outbox
from antiphon_common.db.tables import inbox_table, outbox_table
from antiphon_common.errors import Conflict, Unavailable
from antiphon_common.ids import new_id
from antiphon_common.lifecycle import run_together
from antiphon_common.telemetry import Telemetry
from antiphon_common.testing.running import eventually
from antiphon_common.testing.suites.events import Changed, Removed, changed

METADATA = MetaData()
OUTBOX = outbox_table(METADATA)
INBOX = inbox_table(METADATA)
THING = Table(
    "thing",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("value", String(200), nullable=False),
    Column("gone", Boolean, nullable=False),
)
EFFECT = Table("effect", METADATA, Column("number", Integer, primary_key=True), Column("value", String(200)))
CLOCK = SystemClock()
LOG = structlog.wrap_logger(structlog.ReturnLogger(), wrapper_class=structlog.make_filtering_bound_logger(50))


class Unit:
    """One transaction of a service that keeps a projection and counts the effects it had."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def announce(self, *events: Changed | Removed) -> None:
        await outbox.announce(self.session, OUTBOX, events, CLOCK)

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        return await inbox.first_time(self.session, INBOX, consumer, event_ids, CLOCK)

    async def effect(self, value: str) -> None:
        await self.session.execute(insert(EFFECT).values(value=value))

    async def project(self, event: Changed | Removed) -> None:
        """Keep the newest revision; a removal stays as a tombstone."""
        query = select(THING.c.revision).where(THING.c.id == event.subject)
        known = (await self.session.execute(query.with_for_update())).scalar()
        if known is not None and event.revision < known:
            return
        gone = isinstance(event, Removed)
        row = {"revision": event.revision, "value": "" if gone else getattr(event, "value", ""), "gone": gone}
        if known is None:
            await self.session.execute(insert(THING).values(id=event.subject, **row))
        else:
            await self.session.execute(THING.update().where(THING.c.id == event.subject).values(**row))


async def note(unit: Unit, event: Changed) -> None:
    """A handler whose effect shows how often it was called."""
    await unit.effect(event.value)


async def project(unit: Unit, event: Changed | Removed) -> None:
    """A handler that keeps a projection."""
    await unit.project(event)


@dataclass
class Service:
    """The parts of a service that announce and consume."""

    database: Database
    bus: Bus
    telemetry: Telemetry = field(default_factory=lambda: Telemetry("test"))

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        async with self.database.write() as session:
            yield Unit(session)

    def relay(self, bus: Bus | None = None) -> outbox.Relay:
        return outbox.Relay(self.database, OUTBOX, bus or self.bus, log=LOG)

    def consumer(self, handlers: Handlers[Unit], name: str = "one") -> Consumer[Unit]:
        return Consumer(name, self.bus, handlers, open_unit=self.unit, telemetry=self.telemetry, log=LOG)

    async def announce(self, *events: Changed | Removed) -> None:
        async with self.unit() as unit:
            await unit.announce(*events)

    async def waiting(self) -> int:
        async with self.database.read() as connection:
            return (await connection.execute(select(func.count()).select_from(OUTBOX))).scalar_one()

    async def effects(self) -> list[str]:
        async with self.database.read() as connection:
            return list(
                (await connection.execute(select(EFFECT.c.value).order_by(EFFECT.c.number))).scalars()
            )

    async def projection(self) -> Mapping[UUID, Sequence[Any]]:
        async with self.database.read() as connection:
            return {row.id: tuple(row)[1:] for row in await connection.execute(select(THING))}

    async def settled(self, consumer: str = "one") -> None:
        await eventually(self.waiting, lambda rows: rows == 0)
        await eventually(lambda: self.bus.depth(consumer), lambda depth: depth == 0)


class Publishing:
    """A bus of which only publishing is used, and fails as told."""

    def __init__(self, bus: Bus, fail: Callable[[int], Exception | None], *, after: bool) -> None:
        self._bus = bus
        self._fail = fail
        self._after = after
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        self.calls += 1
        error = self._fail(self.calls)
        if error is None or self._after:
            await self._bus.publish(envelopes)
        if error:
            raise error


class OutboxSuite:
    """Subclass it and define the fixtures `database_url` and `bus_url`."""

    @pytest.fixture
    async def service(self, database_url: str, bus_url: str) -> AsyncIterator[Service]:
        service = Service(Database(database_url), open_bus(bus_url))
        async with run_together(service.database, service.bus):
            async with service.database.write() as session:
                await (await session.connection()).run_sync(METADATA.create_all)
            yield service
            async with service.database.write() as session:
                await (await session.connection()).run_sync(METADATA.drop_all)

    async def test_what_is_announced_and_committed_has_its_effect_once(self, service: Service) -> None:
        async with run_together(service.consumer({Changed: note}), service.relay()):
            await service.announce(changed("a"), changed("b"))
            await service.announce()
            await service.settled()
        assert await service.effects() == ["a", "b"]

    async def test_what_is_rolled_back_is_never_published(self, service: Service) -> None:
        async with run_together(service.consumer({Changed: note}), service.relay()):
            with pytest.raises(RuntimeError):
                async with service.unit() as unit:
                    await unit.announce(changed("never"))
                    raise RuntimeError
            await service.announce(changed("a"))
            await eventually(service.effects)
            await service.settled()
        assert await service.effects() == ["a"]

    async def test_a_crash_between_publishing_and_forgetting_has_one_effect(self, service: Service) -> None:
        bus = Publishing(service.bus, lambda call: RuntimeError() if call < 3 else None, after=True)
        async with run_together(service.consumer({Changed: note}), service.relay(bus)):
            await service.announce(changed("a"), changed("b"))
            await service.settled()
        assert bus.calls == 3
        assert await service.effects() == ["a", "b"]

    async def test_two_relays_have_no_double_effect(self, service: Service) -> None:
        relays = [service.relay(), service.relay()]
        async with run_together(service.consumer({Changed: note}), *relays):
            for number in range(30):
                await service.announce(*(changed(f"{number}-{item}") for item in range(5)))
                for relay in relays:
                    relay.wake()
            await eventually(service.effects, lambda effects: len(effects) >= 150)
            await service.settled()
        effects = await service.effects()
        assert (len(effects), len(set(effects))) == (150, 150)

    async def test_a_lower_number_that_commits_late_is_not_passed_over(self, service: Service) -> None:
        async with run_together(service.consumer({Changed: note}), service.relay()):
            for seq, value in ((1000, "high"), (7, "low")):
                message = Envelope.of(changed(value), CLOCK)
                row = {"seq": seq, "event_id": message.id, "envelope": message.as_json()}
                async with service.database.write() as session:
                    await session.execute(insert(OUTBOX).values(**row, announced_at=CLOCK.now()))
                await eventually(service.effects, lambda effects, value=value: value in effects)  # type: ignore[misc]
                await service.settled()
        assert await service.effects() == ["high", "low"]

    async def test_while_the_bus_is_down_rows_stay_and_drain_when_it_is_back(self, service: Service) -> None:
        down = True
        bus = Publishing(service.bus, lambda _: Unavailable("bus_unavailable") if down else None, after=False)
        relay = service.relay(bus)
        async with run_together(service.consumer({Changed: note}), relay):
            for number in range(20):
                await service.announce(changed(str(number)))
                relay.wake()
            await eventually(lambda: _calls(bus), lambda calls: calls >= 1)
            assert await service.waiting() == 20
            assert 0 < await relay.oldest_age() < 60
            # Waking does not make it try, fail and log at the rate of the changes.
            assert bus.calls <= 3
            down = False
            await service.settled()
        assert await service.effects() == [str(number) for number in range(20)]

    async def test_events_that_no_queue_takes_stay_and_hold_nobody_up(self, service: Service) -> None:
        nobody = True

        class Picky(Publishing):
            async def publish(self, envelopes: Sequence[Envelope]) -> None:
                self.calls += 1
                unheard = [each for each in envelopes if nobody and each.data["value"].startswith("unheard")]
                await self._bus.publish([each for each in envelopes if each not in unheard])
                if unheard:
                    raise Unroutable(unheard)

        bus = Picky(service.bus, lambda _: None, after=False)
        async with run_together(service.consumer({Changed: note}), service.relay(bus)):
            # More than a batch of them comes first.
            await service.announce(*(changed(f"unheard {number}") for number in range(600)))
            await service.announce(changed("a"), changed("b"))
            assert await eventually(service.effects, lambda effects: len(effects) == 2) == ["a", "b"]
            assert await service.waiting() == 600
            calls = bus.calls
            assert calls <= 4
            nobody = False
            await service.settled()
        assert await service.effects() == ["a", "b", *(f"unheard {number}" for number in range(600))]

    async def test_a_bus_that_hangs_holds_up_no_change(self, service: Service) -> None:
        hanging, gate = asyncio.Event(), asyncio.Event()

        class Hanging(Publishing):
            async def publish(self, envelopes: Sequence[Envelope]) -> None:
                hanging.set()
                await gate.wait()
                raise Unavailable("bus_unavailable")

        relay = service.relay(Hanging(service.bus, lambda _: None, after=False))
        async with run_together(relay):
            await service.announce(changed("a"))
            relay.wake()
            await hanging.wait()
            await asyncio.wait_for(service.announce(changed("b")), 1)
            gate.set()
        assert await service.waiting() == 2

    async def test_a_wake_publishes_now_and_not_with_the_next_sweep(self, service: Service) -> None:
        relay = service.relay()
        async with run_together(service.consumer({Changed: note}), relay):
            await asyncio.sleep(0.1)  # the first sweep is over
            started = time.monotonic()
            await service.announce(changed("a"))
            relay.wake()
            await eventually(service.effects)
            assert time.monotonic() - started < 0.7

    async def test_many_rows_drain_in_order(self, service: Service) -> None:
        async with service.unit() as unit:
            for start in range(0, 600, 100):
                await unit.announce(*(changed(str(number)) for number in range(start, start + 100)))
        seen: list[str] = []

        async def see(_: Unit, event: Changed) -> None:
            seen.append(event.value)

        async with run_together(service.consumer({Changed: see}), service.relay()):
            await service.settled()
        assert seen == [str(number) for number in range(600)]

    @pytest.mark.parametrize("seed", [1, 2, 3])
    async def test_duplicates_in_any_order_end_in_the_same_state(self, service: Service, seed: int) -> None:
        dice = random.Random(seed)
        subjects = [new_id() for _ in range(5)]
        events: list[Changed | Removed] = [
            changed(f"{number}", subject=subject, revision=revision)
            for number, subject in enumerate(subjects) for revision in range(1, 5)
        ]  # fmt: skip
        events += [Removed(subject=subjects[0], revision=5), Removed(subject=subjects[1], revision=3)]
        messages = [Envelope.of(event, CLOCK) for event in events]
        deliveries = messages * 5
        dice.shuffle(deliveries)
        async with run_together(service.consumer({Changed: project, Removed: project})):
            await service.bus.publish(deliveries)
            await service.settled()
        wanted = {subject: (4, str(number), False) for number, subject in enumerate(subjects)}
        assert await service.projection() == {**wanted, subjects[0]: (5, "", True)}
        assert await service.bus.dead_letters("one") == []

    async def test_an_effect_that_fails_leaves_neither_effect_nor_inbox_row(self, service: Service) -> None:
        broken = True

        async def fails_late(unit: Unit, event: Changed) -> None:
            await unit.effect(event.value)
            if broken:
                raise Conflict("not_yet", "Not yet.")

        async with run_together(service.consumer({Changed: fails_late})):
            await service.bus.publish([Envelope.of(changed("a"), CLOCK)])
            [letter] = await eventually(lambda: service.bus.dead_letters("one"))
            assert (letter.code, await service.effects()) == ("not_yet", [])
            broken = False
            assert await service.bus.redrive("one", [letter.id]) == 1
            await service.settled()
        assert await service.effects() == ["a"]

    async def test_three_kinds_of_poison_harm_only_themselves(self, service: Service) -> None:
        mended = False

        async def handle(unit: Unit, event: Changed) -> None:
            if event.value == "bug":
                raise ZeroDivisionError
            if event.value == "later" and not mended:
                raise Unavailable("database_unavailable")
            await unit.effect(event.value)

        undecodable = Envelope(
            new_id(), Changed.type, new_id(), 1, CLOCK.now(), None, {"revision": "many", "subject": None}
        )
        good = [Envelope.of(changed(f"good {number}"), CLOCK) for number in range(10)]
        bug, later = (Envelope.of(changed(value), CLOCK) for value in ("bug", "later"))
        started = time.monotonic()
        async with run_together(service.consumer({Changed: handle})):
            await service.bus.publish([undecodable, bug, later, *good])
            await eventually(service.effects, lambda effects: len(effects) == 10)
            assert time.monotonic() - started < 2
            mended = True
            await service.settled()
        assert await service.effects() == [*(f"good {number}" for number in range(10)), "later"]
        codes = sorted(letter.code for letter in await service.bus.dead_letters("one"))
        assert codes == ["handler_failed", "undecodable"]

    async def test_a_trace_goes_from_the_announcement_to_the_effect(self, service: Service) -> None:
        traces: list[str] = []

        async def handle(_: Unit, __: Changed) -> None:
            current = telemetry.current()
            traces.append(current.trace_id if current else "")

        async with run_together(service.consumer({Changed: handle}), service.relay()):
            with service.telemetry.span("request", parent=None) as trace:
                await service.announce(changed("a"))
            await eventually(lambda: _list(traces))
        assert traces == [trace.trace_id]

    async def test_the_inbox_forgets_after_seven_days_and_not_before(self, service: Service) -> None:
        clock = FixedClock()
        for days in (0, 1, 8):
            clock.advance(timedelta(days=days))
            async with service.database.write() as session:
                event = UUID(int=days)
                assert await inbox.first_time(session, INBOX, "one", [event, event], clock) == {event}
                assert await inbox.first_time(session, INBOX, "one", [event], clock) == set()
                assert await inbox.first_time(session, INBOX, "two", [event], clock) == {event}
        clock.advance(timedelta(days=-1) - timedelta(seconds=1))

        async def known() -> int:
            async with service.database.read() as connection:
                return (await connection.execute(select(func.count()).select_from(INBOX))).scalar_one()

        async with run_together(inbox.pruning(service.database, INBOX, clock=clock, log=LOG)):
            await eventually(known, lambda rows: rows == 4)
            clock.advance(timedelta(seconds=2))
        async with run_together(inbox.pruning(service.database, INBOX, clock=clock, log=LOG)):
            await eventually(known, lambda rows: rows == 2)


async def _calls(bus: Publishing) -> int:
    return bus.calls


async def _list(items: list[str]) -> list[str]:
    return list(items)
