"""The bus: durable messages from one publisher to the queues of many consumers.

At least once: a handler sees a message again unless it acknowledged it, so handlers are idempotent (the inbox
makes them so). Messages of one publisher about one subject arrive in order unless one of them was retried.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast

from antiphon_common.bus.envelope import Envelope
from antiphon_common.errors import Unavailable
from antiphon_common.schemes import open_by_scheme

Handler = Callable[[Sequence[bytes]], Awaitable[None]]
"""Handles messages, in order: all of them or, when it raises, none.

What it raises for a single message decides on that: `Unavailable` asks for another try later, `NotNow` for a
pause of the whole consumer, anything else makes it a dead letter. A batch that raises is tried in parts.
"""

RETRY_SECONDS = (1, 10, 60)
"""The ladder of pauses after `Unavailable`; the last one repeats."""

DELIVERY_LIMIT = 20
"""Deliveries of one message before it is a dead letter."""

LISTED = 1000
"""Dead letters that are listed unless told otherwise."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a consumer could not handle, with the code of the reason."""

    id: str
    consumer: str
    type: str
    code: str
    detail: str
    died_at: datetime
    body: bytes


class NotNow(Unavailable):
    """A consumer cannot handle anything at the moment: its messages wait, in order, and no try is counted."""


class Unroutable(Unavailable):
    """No queue is bound to these messages, so they are not published; all others of the call are."""

    def __init__(self, messages: Sequence[Envelope]) -> None:
        types = ", ".join(sorted({message.type for message in messages}))
        super().__init__("unroutable", f"No queue takes these events: {types}")
        self.ids = frozenset(message.id for message in messages)


class Bus(Protocol):
    """The port. `Unavailable` from any method means the broker does not answer in time."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Stop consuming, then disconnect."""

    async def ping(self) -> None:
        """Raise unless the broker answers."""

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Hand over messages, in order; when this returns, the broker has them on disk.

        A broker that tells (`inproc:` does not) raises `Unroutable` for those that no queue takes.
        """

    async def send(self, consumer: str, envelopes: Sequence[Envelope]) -> None:
        """Put messages into one consumer's queue only (to refill a projection)."""

    async def bind(self, consumer: str, types: Sequence[str]) -> None:
        """Make a durable queue for these event types, and handle nothing yet.

        What the same bus bound it to before and does not name now is unbound; what an earlier version of the
        consumer was bound to may stay (`amqp:`).

        What is published before a consumer's first binding never reaches it, so a platform binds all of its
        consumers before it starts the first publisher.
        """

    async def consume(self, consumer: str, types: Sequence[str], handler: Handler) -> None:
        """Bind a durable queue to these event types and handle its messages in order, some at a time."""

    async def leave(self, consumer: str) -> None:
        """Handle no more of this consumer's messages: they wait, with those that were being handled."""

    async def depth(self, consumer: str) -> int:
        """Messages waiting for this consumer, with those being retried and those in the hands of this bus."""

    async def dead_count(self, consumer: str) -> int:
        """How many messages this consumer could not handle."""

    async def dead_letters(self, consumer: str, *, limit: int = LISTED) -> Sequence[DeadLetter]:
        """What this consumer could not handle, oldest first, at most `limit`."""

    async def redrive(self, consumer: str, ids: Sequence[str] | None) -> int:
        """Put these dead letters, or all, back into the queue; how many there were."""

    async def discard(self, consumer: str, ids: Sequence[str] | None) -> int:
        """Forget these dead letters, or all; how many there were."""


_ADAPTERS = {
    "inproc": ("antiphon_common.bus.inproc:InprocBus", ""),
    "amqp": ("antiphon_common.bus.amqp:AmqpBus", "amqp"),
    "amqps": ("antiphon_common.bus.amqp:AmqpBus", "amqp"),
}


def open_bus(url: str) -> Bus:
    """The bus for a URL.

    `amqp://user:password@host:port/vhost` (`amqps:` for TLS), `inproc:///path/to/bus.db`, or `inproc:`
    for one that lives in memory.
    """
    return cast(Bus, open_by_scheme(_ADAPTERS, url))


__all__ = [
    "DELIVERY_LIMIT",
    "LISTED",
    "RETRY_SECONDS",
    "Bus",
    "DeadLetter",
    "Envelope",
    "Handler",
    "NotNow",
    "Unroutable",
    "open_bus",
]
