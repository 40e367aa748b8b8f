"""What one user of the broker may do, as RabbitMQ's regular expressions: the other half of the topology.

A user may write into its own outlet and move messages between its own queues; it may read its own queues and
bind them to the events that it consumes. It may make again what is its own, and nothing else: the outlet and
its ways out are the operator's, or a user could let its outlet lead to where it may not write.

With `copies`, instances of the user may have queues of their own, named `user-<anything>`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from antiphon_common.bus import RETRY_SECONDS
from antiphon_common.bus.amqp import topology

_NOTHING = "^$"
_COPIES = "(-[a-z0-9-]+)?"


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


def rights(user: str, *, copies: bool = False) -> Rights:
    """The three patterns of RabbitMQ, over the names of exchanges and queues."""
    queues = [user, topology.dead_queue(user), *(topology.retry_queue(user, each) for each in RETRY_SECONDS)]
    name = _name(user, copies=copies)
    own = [name + re.escape(each.removeprefix(user)) for each in [*queues, topology.sorter(user)]]
    return Rights(
        configure=_any(own),
        write=_any([*own, re.escape(topology.outlet(user))]),
        read=_any([*own, topology.EVENTS, topology.REFILL]),
    )


def topic_rights(user: str, consumes: Sequence[str], *, copies: bool = False) -> list[TopicRights]:
    """The same over routing keys, which is what keeps a user from publishing what is another's to say."""
    name = re.escape(user)
    return [
        TopicRights(topology.outlet(user), rf"^([a-z0-9-]+\.)?{name}\.[a-z_]+$", _NOTHING),
        TopicRights(topology.EVENTS, _NOTHING, _any(map(re.escape, consumes)) if consumes else _NOTHING),
        TopicRights(topology.REFILL, _NOTHING, rf"^{_name(user, copies=copies)}\.#$"),
    ]


def _name(user: str, *, copies: bool) -> str:
    return re.escape(user) + (_COPIES if copies else "")


def _any(patterns: Iterable[str]) -> str:
    return f"^({'|'.join(patterns)})$"
