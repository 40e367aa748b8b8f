"""The outbox: announced in the transaction of the change, published after it, never lost and never early.

The relay takes unpublished rows (never those above a high-water mark: a lower id may commit later), publishes
them in one batch with its own deadline, then deletes them. A crash between the two publishes them again,
which the consumers' inboxes forgive. Of several relays on one Postgres only one publishes at a time, or the
second would overtake the first with later events of the same aggregate. Events that no queue takes stay, and
the others pass them.

Failure policy: while the bus is down, one connection and the relay's own rows are held for five seconds at
most at each try, and tries become rarer, up to one in thirty seconds or so.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from opentelemetry.trace import Span, SpanKind
from sqlalchemy import Row, Table, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.typing import FilteringBoundLogger

from antiphon_common.bus import Bus, Envelope, Unroutable
from antiphon_common.bus.envelope import Announceable
from antiphon_common.clock import Clock
from antiphon_common.db.database import Database
from antiphon_common.lifecycle import Loop
from antiphon_common.telemetry import Telemetry, parse_traceparent, trace_of

_BATCH = 500
_COUNTED = 10_000
_PUBLISH_SECONDS = 5.0
_SWEEP_SECONDS = 1.0
_LAST_SECONDS = 1.0
# Another relay is at it: it is done in some milliseconds, or gives up after its deadline.
_BUSY_SECONDS = 0.02
_LONGEST_PAUSE = 15.0
_ALONE = text("SELECT pg_try_advisory_xact_lock(hashtext(current_schema() || ' outbox'))")


async def announce(session: AsyncSession, table: Table, events: Sequence[Announceable], clock: Clock) -> None:
    """Write the events into the outbox, in the caller's transaction."""
    if not events:
        return
    rows = []
    for event in events:
        envelope = Envelope.of(event, clock)
        rows.append(
            {"event_id": envelope.id, "envelope": envelope.as_json(), "announced_at": envelope.occurred_at}
        )
    await session.execute(insert(table), rows)


@dataclass(frozen=True, slots=True)
class _Batch:
    """How many rows were tried, up to which, and what of them no queue takes."""

    count: int
    last: int
    stuck: Unroutable | None


class Relay:
    """Publishes what was announced. Woken after a commit, and once a second in case nobody woke it."""

    def __init__(self, database: Database, table: Table, bus: Bus, *, log: FilteringBoundLogger) -> None:
        self._database = database
        self._table = table
        self._bus = bus
        self._telemetry: Telemetry | None = None
        self._failures = 0
        self._loop = Loop("outbox-relay", self._drain, interval=_SWEEP_SECONDS, log=log)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        """What was announced until now is published still, if the bus takes it at once; else it waits."""
        await self._loop.stop()
        with suppress(Exception):  # the outbox keeps it, whatever is in the way
            await asyncio.wait_for(self._drain_all(), _LAST_SECONDS)

    def measure(self, telemetry: Telemetry) -> None:
        """How much waits to be published, and since when; and spans of what is published."""
        self._telemetry, metrics = telemetry, telemetry.metrics
        metrics.probe("antiphon_outbox_rows", "Events not yet published, counted to 10,000", self._count)
        metrics.probe(
            "antiphon_outbox_oldest_seconds", "Age of the oldest unpublished event", self._oldest_age
        )

    async def _count(self) -> dict[tuple[str, ...], float]:
        some = select(self._table.c.seq).limit(_COUNTED).subquery()
        async with self._database.read() as connection:
            return {(): (await connection.execute(select(func.count()).select_from(some))).scalar_one()}

    async def oldest_age(self) -> float:
        """Seconds since the oldest unpublished event was announced; 0 when there is none."""
        first = select(self._table.c.announced_at).order_by(self._table.c.seq).limit(1)
        async with self._database.read() as connection:
            announced: datetime | None = (await connection.execute(first)).scalar_one_or_none()
        return max(0.0, time.time() - announced.timestamp()) if announced else 0.0

    async def _oldest_age(self) -> dict[tuple[str, ...], float]:
        return {(): await self.oldest_age()}

    def wake(self) -> None:
        """Say that something was announced and committed."""
        self._loop.wake()

    async def _drain(self) -> None:
        try:
            await self._drain_all()
        except Exception:
            pause = min(_LONGEST_PAUSE, 2.0**self._failures - 1)
            self._failures += 1
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, no secret
            raise
        self._failures = 0

    async def _drain_all(self) -> None:
        """Publish all there is; raises `Unroutable` at the end when some of it reached no queue."""
        stuck: Unroutable | None = None
        after = 0
        while await self._has_rows(after):
            batch = await self._publish_batch(after)
            if batch is None:
                await asyncio.sleep(_BUSY_SECONDS)
                continue
            if batch.stuck:
                # Past these in this round only: a row with a lower number may come at any time.
                stuck, after = batch.stuck, batch.last
            if batch.count < _BATCH:
                break
        if stuck:
            raise stuck

    async def _has_rows(self, after: int) -> bool:
        # Reading first keeps an idle relay from taking the writer's lock every second.
        async with self._database.read() as connection:
            some = select(self._table.c.seq).where(self._table.c.seq > after).limit(1)
            return (await connection.execute(some)).first() is not None

    async def _publish_batch(self, after: int) -> _Batch | None:
        """Publish and forget the oldest rows; none while another relay does."""
        columns = self._table.c
        query = select(columns.seq, columns.envelope).where(columns.seq > after)
        oldest = query.order_by(columns.seq).limit(_BATCH)
        if self._database.is_sqlite:
            # One writer at a time: a bus that takes its seconds would make every change wait for it. A
            # second relay may then publish the same rows, which the inboxes forgive like any repetition.
            async with self._database.read() as connection:
                rows = (await connection.execute(oldest)).all()
            stuck = await self._publish(rows)
            async with self._database.write() as session:
                await self._forget(session, rows, stuck)
        else:
            async with self._database.write() as session:
                if not (await session.execute(_ALONE)).scalar_one():
                    return None
                rows = (await session.execute(oldest.with_for_update(skip_locked=True))).all()
                stuck = await self._publish(rows)
                await self._forget(session, rows, stuck)
        return _Batch(len(rows), rows[-1].seq if rows else after, stuck)

    async def _publish(self, rows: Sequence[Row[int, Any]]) -> Unroutable | None:
        """Publish these; what remains unpublished because no queue takes it."""
        if not rows:
            return None
        with self._traced([Envelope.from_json(row.envelope) for row in rows]) as envelopes:
            try:
                await asyncio.wait_for(self._bus.publish(envelopes), _PUBLISH_SECONDS)
            except Unroutable as error:
                return error
        return None

    async def _forget(
        self, session: AsyncSession, rows: Sequence[Row[int, Any]], stuck: Unroutable | None
    ) -> None:
        kept = stuck.ids if stuck else frozenset()
        published = [row.seq for row in rows if UUID(row.envelope["id"]) not in kept]
        await session.execute(delete(self._table).where(self._table.c.seq.in_(published)))

    @contextmanager
    def _traced(self, envelopes: list[Envelope]) -> Iterator[list[Envelope]]:
        """Publishing is a step of its own in the trace of an event: what consumers do is below it."""
        spans: list[Span] = []
        if self._telemetry and self._telemetry.recording:
            for number, envelope in enumerate(envelopes):
                parent = parse_traceparent(envelope.traceparent)
                if parent and parent.sampled:
                    span = self._telemetry.begin(
                        f"publish {envelope.type}", parent=parent, kind=SpanKind.PRODUCER
                    )
                    spans.append(span)
                    envelopes[number] = replace(envelope, traceparent=trace_of(span).traceparent)
        try:
            yield envelopes
        finally:
            for span in spans:
                span.end()
