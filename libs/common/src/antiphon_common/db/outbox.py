"""The outbox: announced in the transaction of the change, published after it, never lost and never early.

The relay takes unpublished rows (never those above a high-water mark: a lower id may commit later), publishes
them in one batch with its own deadline, then deletes them. A crash between the two publishes them again,
which the consumers' inboxes forgive.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from opentelemetry.trace import Span, SpanKind
from sqlalchemy import Row, Select, Table, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.typing import FilteringBoundLogger

from antiphon_common.bus import Bus, Envelope
from antiphon_common.bus.envelope import Announceable
from antiphon_common.clock import Clock
from antiphon_common.db.database import Database
from antiphon_common.lifecycle import Loop
from antiphon_common.telemetry import Telemetry, parse_traceparent, trace_of

_BATCH = 500
_COUNTED = 10_000
_PUBLISH_SECONDS = 5.0
_SWEEP_SECONDS = 1.0


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


class Relay:
    """Publishes what was announced. Woken after a commit, and once a second in case nobody woke it."""

    def __init__(self, database: Database, table: Table, bus: Bus, *, log: FilteringBoundLogger) -> None:
        self._database = database
        self._table = table
        self._bus = bus
        self._telemetry: Telemetry | None = None
        self._loop = Loop("outbox-relay", self._drain, interval=_SWEEP_SECONDS, log=log)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

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

    async def _oldest_age(self) -> dict[tuple[str, ...], float]:
        first = select(self._table.c.announced_at).order_by(self._table.c.seq).limit(1)
        async with self._database.read() as connection:
            announced: datetime | None = (await connection.execute(first)).scalar_one_or_none()
        return {(): max(0.0, time.time() - announced.timestamp()) if announced else 0.0}

    def wake(self) -> None:
        """Say that something was announced and committed."""
        self._loop.wake()

    async def _drain(self) -> None:
        while await self._has_rows() and await self._publish_batch() == _BATCH:
            pass

    async def _has_rows(self) -> bool:
        # Reading first keeps an idle relay from taking the writer's lock every second.
        async with self._database.read() as connection:
            found = await connection.execute(select(self._table.c.seq).limit(1))
            return found.first() is not None

    async def _publish_batch(self) -> int:
        if self._database.is_sqlite:
            # One writer at a time: a bus that takes its seconds would make every change wait for it. A
            # second relay may then publish the same rows, which the inboxes forgive like any repetition.
            async with self._database.read() as connection:
                rows = (await connection.execute(self._oldest())).all()
            await self._publish(rows)
            async with self._database.write() as session:
                await self._forget(session, rows)
        else:
            async with self._database.write() as session:
                rows = (await session.execute(self._oldest().with_for_update(skip_locked=True))).all()
                await self._publish(rows)
                await self._forget(session, rows)
        return len(rows)

    def _oldest(self) -> Select[int, Any]:
        columns = self._table.c
        return select(columns.seq, columns.envelope).order_by(columns.seq).limit(_BATCH)

    async def _publish(self, rows: Sequence[Row[int, Any]]) -> None:
        if rows:
            with self._traced([Envelope.from_json(row.envelope) for row in rows]) as envelopes:
                await asyncio.wait_for(self._bus.publish(envelopes), _PUBLISH_SECONDS)

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

    async def _forget(self, session: AsyncSession, rows: Sequence[Row[int, Any]]) -> None:
        await session.execute(delete(self._table).where(self._table.c.seq.in_([row.seq for row in rows])))
