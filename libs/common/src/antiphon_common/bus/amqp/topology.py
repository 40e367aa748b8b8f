"""What `amqp:` needs in the broker, as data: the adapter declares it, `deploy/rabbitmq` is generated from it.

A publisher P writes into its own exchange `P.events`, from where only its own types flow on: into `events`,
which the queues of consumers are bound to, and, when somebody's projection is refilled, into `refill`
(routing key `<consumer>.<type>`). A consumer C owns the queue `C`, its ladder `C.retry.<seconds>`, its dead
letters `C.dead`, and the exchange `C.queues`, through which it alone moves messages between them. Nobody
writes into `events`, `refill` or the default exchange directly, so a dead-letter exchange of one's own
making forges nothing either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from antiphon_common.bus import DELIVERY_LIMIT, RETRY_SECONDS

EVENTS = "events"
REFILL = "refill"

# Listing dead letters delivers them, and RabbitMQ 4 drops what was delivered 20 times unless told otherwise.
_NO_LIMIT = 1_000_000_000

Argument = str | int


@dataclass(frozen=True, slots=True)
class Exchange:
    """Durable. A topic exchange routes by patterns, a direct one by names."""

    name: str
    kind: Literal["topic", "direct"] = "topic"


@dataclass(frozen=True, slots=True)
class Queue:
    """Durable, and of the quorum type."""

    name: str
    arguments: dict[str, Argument] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Binding:
    """From an exchange to a queue or to another exchange."""

    source: str
    target: str
    key: str
    to: Literal["queue", "exchange"] = "queue"


@dataclass(frozen=True, slots=True)
class Topology:
    """Things to declare, in this order."""

    exchanges: Sequence[Exchange]
    queues: Sequence[Queue] = ()
    bindings: Sequence[Binding] = ()


def outlet(publisher: str) -> str:
    """The exchange a publisher writes into."""
    return f"{publisher}.events"


def sorter(consumer: str) -> str:
    """The exchange through which a consumer moves messages between its own queues."""
    return f"{consumer}.queues"


def retry_queue(consumer: str, seconds: int) -> str:
    return f"{consumer}.retry.{seconds}"


def dead_queue(consumer: str) -> str:
    return f"{consumer}.dead"


def refill_key(consumer: str, event_type: str) -> str:
    """What a publisher says to reach one consumer only."""
    return f"{consumer}.{event_type}"


def shared() -> Topology:
    """What publishers and consumers meet at."""
    return Topology([Exchange(EVENTS), Exchange(REFILL)])


def of_publisher(publisher: str) -> Topology:
    """The outlet of one service, and the only ways out of it."""
    source = outlet(publisher)
    ways = [
        Binding(source, EVENTS, f"{publisher}.*", "exchange"),
        Binding(source, REFILL, f"*.{publisher}.*", "exchange"),
    ]
    return Topology([Exchange(source)], bindings=ways)


def of_consumer(consumer: str, types: Sequence[str]) -> Topology:
    """The queues of one consumer, bound to these event types."""
    ladder = [
        Queue(
            retry_queue(consumer, seconds),
            {"x-queue-type": "quorum", "x-message-ttl": seconds * 1000, **_dying_to(consumer, consumer)},
        )
        for seconds in RETRY_SECONDS
    ]
    dead = Queue(dead_queue(consumer), {"x-queue-type": "quorum", "x-delivery-limit": _NO_LIMIT})
    # The broker counts what it takes back; the delivery after the last of these would be one too many.
    limit: dict[str, Argument] = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT - 1}
    main = Queue(consumer, limit | _dying_to(consumer, dead.name))
    queues = [dead, *ladder, main]
    ways = [Binding(sorter(consumer), queue.name, queue.name) for queue in queues]
    ways.append(Binding(REFILL, consumer, f"{consumer}.#"))
    ways.extend(Binding(EVENTS, consumer, event_type) for event_type in types)
    return Topology([Exchange(sorter(consumer), "direct")], queues, ways)


def _dying_to(consumer: str, queue: str) -> dict[str, Argument]:
    """What the broker takes out of a queue is in the next one before it is gone from the first."""
    return {
        "x-dead-letter-exchange": sorter(consumer),
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
