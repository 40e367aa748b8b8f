"""Write `deploy/rabbitmq/definitions.json` from what the code declares: `python tools/broker_definitions.py`.

It holds everything of the broker but passwords: the virtual host, exchanges, queues, bindings, and a user for
each process with what it may do. Users are without a password there, which means that nobody can log in;
`broker_accounts.py` adds the passwords of one installation.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from broker_accounts import HASHING, PATH
from event_schemas import events

from antiphon_common.bus.amqp import topology
from antiphon_common.bus.amqp.rights import rights, topic_rights
from antiphon_common.bus.amqp.topology import Topology
from antiphon_embedded.composition import SERVICES
from antiphon_gateway.purging import CONSUMER, TAGS

VHOST = "antiphon"
_LASTING = {"vhost": VHOST, "durable": True, "auto_delete": False}


def consumers() -> dict[str, list[str]]:
    """Who consumes which event types."""
    handled = {service.name: service.handlers for service in SERVICES if service.handlers}
    handled[CONSUMER] = list(TAGS)
    return {name: sorted(event.type for event in classes) for name, classes in sorted(handled.items())}


def publishers() -> list[str]:
    """Who has events to publish."""
    return sorted({event.type.partition(".")[0] for event in events()})


def definitions() -> dict[str, Any]:
    """The whole document, as the broker imports it."""
    consume = consumers()
    parts = [topology.shared(), *(topology.of_publisher(name) for name in publishers())]
    parts += [topology.of_consumer(name, types) for name, types in consume.items()]
    users = sorted({*consume, *publishers()})
    return {
        "vhosts": [{"name": VHOST}],
        "exchanges": [
            {"name": each.name, "type": each.kind, "internal": False, "arguments": {}, **_LASTING}
            for part in parts
            for each in part.exchanges
        ],
        "queues": [
            {"name": each.name, "arguments": each.arguments, **_LASTING}
            for part in parts
            for each in part.queues
        ],
        "bindings": [each for part in parts for each in _bindings(part)],
        "users": [
            {"name": name, "password_hash": "", "hashing_algorithm": HASHING, "tags": ""} for name in users
        ],
        "permissions": [
            {"user": name, "vhost": VHOST, **asdict(rights(name, copies=name == CONSUMER))} for name in users
        ],
        "topic_permissions": [each for name in users for each in _topic_permissions(name, consume)],
    }


def _bindings(part: Topology) -> Iterator[Mapping[str, Any]]:
    for binding in part.bindings:
        yield {
            "source": binding.source, "vhost": VHOST, "destination": binding.target,
            "destination_type": binding.to, "routing_key": binding.key, "arguments": {},
        }  # fmt: skip


def _topic_permissions(name: str, consume: Mapping[str, Sequence[str]]) -> Iterator[Mapping[str, Any]]:
    # Gateways that share no cache have a queue each (GATEWAY_QUEUE).
    for each in topic_rights(name, consume.get(name, ()), copies=name == CONSUMER):
        yield {"user": name, "vhost": VHOST, **asdict(each)}


def text() -> str:
    """The file."""
    return orjson.dumps(definitions(), option=orjson.OPT_INDENT_2).decode() + "\n"


def main() -> int:
    """Write the file."""
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(text(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
