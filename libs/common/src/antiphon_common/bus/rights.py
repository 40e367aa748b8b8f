"""What one user of the broker may do, as RabbitMQ's regular expressions: the other half of the topology.

A user may write into its own outlet and move messages between its own queues; it may read its own queues and
bind them to the events that it consumes. It may make again what is its own, and nothing else: the outlet and
its ways out are the operator's, or a user could let its outlet lead to where it may not write.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from antiphon_common.bus import RETRY_SECONDS, topology

_NOTHING = "^$"


@dataclass(frozen=True, slots=True)
class Rights:
    """Patterns of names that a user may declare and delete, write into, and read from."""

    configure: str
    write: str
    read: str


@dataclass(frozen=True, slots=True)
class TopicRights:
    """Patterns of routing keys that a user may write into one topic exchange, and bind to it."""

    exchange: str
    write: str
    read: str


def rights(user: str) -> Rights:
    """The three patterns of RabbitMQ, over the names of exchanges and queues."""
    queues = [user, topology.dead_queue(user), *(topology.retry_queue(user, each) for each in RETRY_SECONDS)]
    own = [*queues, topology.sorter(user)]
    return Rights(
        configure=_any(own),
        write=_any([*own, topology.outlet(user)]),
        read=_any([*own, topology.EVENTS, topology.REFILL]),
    )


def topic_rights(user: str, consumes: Sequence[str]) -> list[TopicRights]:
    """The same over routing keys, which is what keeps a user from publishing what is another's to say."""
    name = re.escape(user)
    return [
        TopicRights(topology.outlet(user), rf"^([a-z]+\.)?{name}\.[a-z_]+$", _NOTHING),
        TopicRights(topology.EVENTS, _NOTHING, _any(consumes) if consumes else _NOTHING),
        TopicRights(topology.REFILL, _NOTHING, rf"^{name}\.#$"),
    ]


def _any(names: Sequence[str]) -> str:
    return f"^({'|'.join(re.escape(name) for name in names)})$"
