"""Events on Postgres and RabbitMQ: what windows, batches and an outbox cost, each against its simple form.

Both servers sync to disk, as they do for an operator: that is what a confirm and a transaction wait for. Three
ratios, each the median of rounds in which both forms take their turn: draining the outbox against one confirm at
a time, a batched consumer against a transaction a message, and writes with an outbox row against plain writes. The
write is that of a service, a new playlist. The same for a bare insert, the thinnest write there can be, has no
target: a statement more is four round trips for three. `EVENTS` (2,000) and `ROUNDS` (5) change the size.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.bus import Envelope, Handler, open_bus
from antiphon_common.db import Database
from antiphon_common.db.migrations import migrate
from antiphon_common.ids import new_id
from antiphon_common.principal import Principal
from antiphon_common.testing.isolation import amqp_vhost, postgres_database
from antiphon_common.testing.suites.events import Changed, changed
from antiphon_common.testing.suites.outbox import CLOCK, METADATA, OUTBOX, Service, Unit
from antiphon_contracts.event import Event
from antiphon_playlist.repository import SqlUnit
from antiphon_playlist.usecases import PlaylistChange, create_playlist
from bench._stack import servers

COUNT = int(os.environ.get("EVENTS", "2000"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
WRITES = COUNT // 16 * 8  # eight at a time; half as many, because a write is dearer

Timed = Callable[[], Awaitable[float]]


async def timed(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


class Bench:
    """One service to measure."""

    def __init__(self, database_url: str, bus_url: str) -> None:
        self._bus_url = bus_url
        self.service = Service(Database(database_url), open_bus(bus_url))

    async def empty(self) -> None:
        async with self.service.database.write() as session:
            await session.execute(text("TRUNCATE outbox, inbox, effect, thing"))

    async def filled(self) -> None:
        for start in range(0, COUNT, 500):
            await self.service.announce(*(changed(str(n)) for n in range(start, min(start + 500, COUNT))))

    async def drain(self) -> float:
        """The relay empties a full outbox."""
        await self.filled()
        return await self.relayed(COUNT)

    async def relayed(self, count: int) -> float:
        """Until as many rows are published and gone."""

        async def gone() -> None:
            while await self.service.waiting() > COUNT - count:
                await asyncio.sleep(0.005)

        relay = self.service.relay()
        started = time.perf_counter()
        await relay.start()
        await gone()
        took = time.perf_counter() - started
        await relay.stop()
        return took

    async def drain_one_by_one(self) -> float:
        """The same rows, each published, confirmed and deleted by itself; a tenth of them, counted tenfold."""
        some = COUNT // 10
        await self.filled()
        database, bus = self.service.database, self.service.bus
        oldest = select(OUTBOX).order_by(OUTBOX.c.seq).limit(1).with_for_update(skip_locked=True)

        async def each() -> None:
            for _ in range(some):
                async with database.write() as session:
                    row = (await session.execute(oldest)).one()
                    await bus.publish([Envelope.from_json(row.envelope)])
                    await session.execute(delete(OUTBOX).where(OUTBOX.c.seq == row.seq))

        return await timed(each()) * COUNT / some

    async def consume(self, *, together: bool) -> float:
        """A full queue to its last acknowledgement, each event with an inbox row and an effect."""
        consumer = self.service.consumer({Changed: effect}, "bench")
        await self.service.bus.publish([Envelope.of(changed(str(n)), CLOCK) for n in range(COUNT)])
        handler = consumer.handle if together else alone(consumer.handle)
        started = time.perf_counter()
        bus = open_bus(self._bus_url)
        await bus.start()
        await bus.consume("bench", [Changed.type], handler)
        while await self.effects() < COUNT:
            await asyncio.sleep(0.02)
        took = time.perf_counter() - started
        await bus.stop()
        return took

    async def effects(self) -> int:
        async with self.service.database.read() as connection:
            return (await connection.execute(text("SELECT count(*) FROM effect"))).scalar_one()

    async def insert(self, *, announcing: bool) -> float:
        """Units that each insert one row, eight at a time, with or without an event."""

        async def one() -> None:
            async with self.service.unit() as unit:
                await unit.effect("")
                if announcing:
                    await unit.announce(changed(""))

        return await eight_at_a_time(one)


class Playlists:
    """The playlist service's own database."""

    def __init__(self, database_url: str) -> None:
        migrate("antiphon_playlist", database_url)
        self.database = Database(database_url)

    async def empty(self) -> None:
        async with self.database.write() as session:
            await session.execute(text("TRUNCATE outbox, playlist, item, person"))

    async def create(self, *, announcing: bool) -> float:
        """People who each make one playlist, eight at a time, announced or not."""
        change = PlaylistChange(
            {"title": "Late", "description": "", "cover_id": None, "visibility": "private"}
        )
        kind = SqlUnit if announcing else SilentUnit
        now = CLOCK.now()

        async def one() -> None:
            user = Principal(
                new_id(), frozenset(), new_id(), verified=True, issued_at=now, authenticated_at=now
            )
            async with self.database.write() as session:
                await create_playlist(kind(session, CLOCK), user, change, now=now)

        return await eight_at_a_time(one)


class SilentUnit(SqlUnit):
    """Writes what a unit writes but for its events."""

    async def announce(self, *events: Event) -> None:
        pass


async def eight_at_a_time(one: Callable[[], Awaitable[None]]) -> float:
    """`WRITES` of them."""

    async def some() -> None:
        for _ in range(WRITES // 8):
            await one()

    return await timed(asyncio.gather(*(some() for _ in range(8))))


async def effect(unit: Unit, event: Changed) -> None:
    await unit.effect(event.value)


def alone(handler: Handler) -> Handler:
    """A transaction a message."""

    async def handle(bodies: Sequence[bytes]) -> None:
        for body in bodies:
            await handler([body])

    return handle


async def compare(
    name: str,
    ours: Timed,
    simple: Timed,
    *,
    empty: Callable[[], Awaitable[None]],
    count: int,
    target: float | None,
) -> bool:
    """Print one line, with how many a second are ours; whether the ratio of the rates reaches the target."""
    ratios, best = [], []
    for number in range(ROUNDS + 1):
        took = {}
        for form in (ours, simple) if number % 2 else (simple, ours):
            await empty()
            took[form] = await form()
        if number:  # the first round only warms up
            ratios.append(took[simple] / took[ours])
            best.append(took[ours])
    ratio = statistics.median(ratios)
    rate = count / statistics.median(best)
    aim = f"target >= {target}" if target else "no target"
    print(f"{name:44} ratio {ratio:5.2f} ({aim}), {rate:8,.0f} a second", flush=True)
    return target is None or ratio >= target


async def prepare(session: AsyncSession) -> None:
    await (await session.connection()).run_sync(METADATA.create_all)


async def measure(database_url: str, playlists_url: str, bus_url: str) -> bool:
    bench, playlists = Bench(database_url, bus_url), Playlists(playlists_url)
    service = bench.service
    await service.bus.start()
    async with service.database.write() as session:
        await prepare(session)
    thin, real = partial(compare, empty=bench.empty), partial(compare, empty=playlists.empty)
    await service.bus.bind("bench", [Changed.type])
    results = [
        await thin("batched consumer / a transaction a message", partial(bench.consume, together=True),
                   partial(bench.consume, together=False), count=COUNT, target=3.5),
    ]  # fmt: skip
    await service.bus.bind("bench", [])
    await service.bus.bind("sink", [Changed.type])
    results += [
        await thin("outbox drain / one confirm at a time", bench.drain, bench.drain_one_by_one, count=COUNT, target=5),
        await real("a playlist with its outbox row / without", partial(playlists.create, announcing=True),
                   partial(playlists.create, announcing=False), count=WRITES, target=0.7),
        await thin("an insert with its outbox row / without", partial(bench.insert, announcing=True),
                   partial(bench.insert, announcing=False), count=WRITES, target=None),
    ]  # fmt: skip
    await service.bus.stop()
    await service.database.stop()
    await playlists.database.stop()
    return all(results)


if __name__ == "__main__":
    with (
        servers("postgres", "rabbitmq") as urls,
        postgres_database(urls["POSTGRES_URL"]) as database,
        postgres_database(urls["POSTGRES_URL"]) as playlists,
        amqp_vhost(urls["AMQP_URL"], urls["RABBITMQ_API"]) as bus,
    ):
        sys.exit(0 if asyncio.run(measure(database, playlists, bus)) else 1)
