"""From a message to a use case: decode, open the unit, write the inbox row, call, commit, acknowledge.

A consumer's handlers are a mapping from event class to `async (unit, event) -> None`. What cannot be decoded
and what a handler refuses is a dead letter; `Unavailable` is retried; a message seen before does nothing.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from opentelemetry.trace import SpanKind
from structlog.typing import FilteringBoundLogger

from antiphon_common.bus import Bus, Envelope
from antiphon_common.bus.envelope import Announceable
from antiphon_common.errors import Malformed, ServiceError, Unavailable
from antiphon_common.telemetry import Telemetry


class InboxUnit(Protocol):
    """What a consumer needs of a service's unit."""

    async def first_time(self, consumer: str, event_id: UUID) -> bool:
        """Note the event as handled by this consumer; false when it already was."""


U = TypeVar("U", bound=InboxUnit)
Handlers = Mapping[type[Announceable], Callable[[U, Any], Awaitable[None]]]


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

    async def start(self) -> None:
        await self._bus.consume(self.name, sorted(self._by_type), self.handle)

    async def stop(self) -> None:
        """The bus stops its consumers when it stops."""

    async def handle(self, body: bytes) -> None:
        """Handle one message. Raises what the bus decides on: retry, or dead letter."""
        envelope, event, handler = self._decode(body)
        name, parent = f"consume {envelope.type}", envelope.traceparent
        with self._telemetry.span(name, parent=parent, kind=SpanKind.CONSUMER), self._logged(envelope):
            async with self._open_unit() as unit:
                if await unit.first_time(self.name, envelope.id):
                    await handler(unit, event)

    @contextmanager
    def _logged(self, envelope: Envelope) -> Iterator[None]:
        message = {"type": envelope.type, "id": str(envelope.id)}
        try:
            yield
        except Unavailable as error:
            self._log.warning("message_postponed", **message, code=error.code)
            raise
        except ServiceError as error:
            self._log.error("message_refused", **message, code=error.code)
            raise
        except Exception:
            self._log.exception("message_failed", **message)
            raise

    def _decode(self, body: bytes) -> tuple[Envelope, Announceable, Callable[[U, Any], Awaitable[None]]]:
        try:
            envelope = Envelope.from_bytes(body)
            kind, handler = self._by_type[envelope.type]
            return envelope, kind.model_validate(envelope.data), handler
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            self._log.error("message_undecodable", error=type(error).__name__)
            raise Malformed("undecodable", "The message cannot be read.") from error
