"""From messages to use cases: decode, open a unit, write the inbox rows, call, commit, acknowledge.

A consumer's handlers are a mapping from event class to `async (unit, event) -> None`. Messages that wait
together share one unit. What cannot be decoded and what a handler refuses is a dead letter; `Unavailable` is
retried; a message seen before does nothing; and while the database is away, everything waits.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from opentelemetry.trace import SpanKind
from structlog.typing import FilteringBoundLogger

from antiphon_common.bus import Bus, Envelope, NotNow
from antiphon_common.bus.envelope import Announceable
from antiphon_common.errors import Malformed, ServiceError, Unavailable
from antiphon_common.metrics import LONG_SECONDS, Metrics
from antiphon_common.telemetry import Telemetry


class InboxUnit(Protocol):
    """What a consumer needs of a service's unit."""

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        """Note events as handled by this consumer; those that were not yet."""


U = TypeVar("U", bound=InboxUnit)
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
Handlers = Mapping[type[Announceable], Callable[[U, Any], Awaitable[None]]]


@dataclass(frozen=True, slots=True)
class _Message(Generic[U]):
    envelope: Envelope
    event: Announceable
    handle: Callable[[U, Any], Awaitable[None]]


class Consumer(Generic[U]):
    """One durable queue of a service and what to do with its messages."""

    def __init__(
        self,
        name: str,
        bus: Bus,
        handlers: Handlers[U],
        *,
        open_unit: Callable[[], AbstractAsyncContextManager[U]],
        telemetry: Telemetry,
        log: FilteringBoundLogger,
    ) -> None:
        self.name = name
        self._bus = bus
        self._by_type = {event.type: (event, handle) for event, handle in handlers.items()}
        self._open_unit = open_unit
        self._telemetry = telemetry
        self._log = log
        self._handled = telemetry.metrics.counter(
            "antiphon_events_handled_total", "What became of messages", "type", "outcome"
        )
        self._age = telemetry.metrics.histogram(
            "antiphon_event_age_seconds", "From an event to its effect here", buckets=LONG_SECONDS
        )

    async def start(self) -> None:
        await self._bus.consume(self.name, sorted(self._by_type), self.handle)

    def measure(self, telemetry: Telemetry) -> None:
        """Its queue."""
        show_queue(telemetry.metrics, self._bus, self.name)

    async def stop(self) -> None:
        await self._bus.leave(self.name)

    async def handle(self, bodies: Sequence[bytes]) -> None:
        """Handle messages as one transaction. Raises what the bus decides on: pause, retry, dead letter."""
        with self._logged(bodies):
            messages = [self._decode(body) for body in bodies]
            async with self._open_unit() as unit:
                fresh = await self._fresh(unit, messages)
                # A batch may hold the same message twice.
                once = {each.envelope.id: each for each in messages if each.envelope.id in fresh}
                for message in once.values():
                    await self._call(unit, message)
            self._count(messages, fresh)

    def _count(self, messages: Sequence[_Message[U]], fresh: set[UUID]) -> None:
        now = time.time()
        for envelope in (message.envelope for message in messages):
            self._handled.labels(envelope.type, "handled" if envelope.id in fresh else "seen").inc()
            self._age.observe(max(0.0, now - envelope.occurred_at.timestamp()))

    async def _fresh(self, unit: U, messages: Sequence[_Message[U]]) -> set[UUID]:
        try:
            return await unit.first_time(self.name, [message.envelope.id for message in messages])
        except Unavailable as error:
            # No handler has run: whatever is away, it is not the messages' fault.
            raise NotNow(error.code, error.detail) from error

    async def _call(self, unit: U, message: _Message[U]) -> None:
        envelope = message.envelope
        name, parent = f"consume {envelope.type}", envelope.traceparent
        with self._telemetry.span(name, parent=parent, kind=SpanKind.CONSUMER):
            await message.handle(unit, message.event)

    @contextmanager
    def _logged(self, bodies: Sequence[bytes]) -> Iterator[None]:
        """Say what becomes of a message that fails alone; one that fails among others is tried again."""
        try:
            yield
        except NotNow:
            raise
        except Exception as error:
            if len(bodies) == 1:
                self._report(bodies[0], error)
            raise

    def _report(self, body: bytes, error: Exception) -> None:
        try:
            envelope = Envelope.from_bytes(body)
            kind, message = envelope.type, {"type": envelope.type, "id": str(envelope.id)}
        except _UNREADABLE:
            kind, message = "", {}
        if isinstance(error, Unavailable):
            outcome = "postponed"
            self._log.warning("message_postponed", **message, code=error.code)
        elif isinstance(error, ServiceError):
            outcome = "refused"
            self._log.error("message_refused", **message, code=error.code)
        else:
            outcome = "failed"
            self._log.exception("message_failed", **message)
        self._handled.labels(kind if kind in self._by_type else "unknown", outcome).inc()

    def _decode(self, body: bytes) -> _Message[U]:
        try:
            envelope = Envelope.from_bytes(body)
        except _UNREADABLE as error:
            raise Malformed("undecodable", "The message cannot be read.") from error
        if envelope.type not in self._by_type:
            # A newer version of this service, which runs beside this one, knows it and will get it.
            raise Unavailable("unknown_type", "No handler for this event type.")
        kind, handle = self._by_type[envelope.type]
        try:
            return _Message(envelope, kind.model_validate(envelope.data), handle)
        except _UNREADABLE as error:
            raise Malformed("undecodable", "The message cannot be read.") from error


def show_queue(metrics: Metrics, bus: Bus, consumer: str) -> None:
    """Two gauges of a consumer's queue, asked of the broker when they are wanted."""

    async def depth() -> dict[tuple[str, ...], float]:
        return {(consumer,): await bus.depth(consumer)}

    async def dead() -> dict[tuple[str, ...], float]:
        return {(consumer,): await bus.dead_count(consumer)}

    waiting = "Messages that wait for a consumer, with those it has in hand"
    metrics.probe("antiphon_queue_messages", waiting, depth, labels=["consumer"])
    metrics.probe("antiphon_dead_letters", "Messages a consumer could not handle", dead, labels=["consumer"])
