"""`amqp:` — the bus on RabbitMQ 3.10 or newer, on quorum queues; `topology.py` says which.

Failure policy. A publish returns after the broker has confirmed every message, or raises `Unavailable` when
it has not answered for five seconds, also when the broker is frozen. A message that reaches no queue is not
published: `Unroutable`. What a consumer was handling when the broker or the process went away is delivered
again. A consumer whose connection or queue is gone comes back by itself, and declares what is missing. A
queue that exists with other arguments is refused in one sentence that names it.
"""

import asyncio
from collections.abc import Sequence

from pamqp.commands import Basic

from antiphon_common.bus import LISTED, RETRY_SECONDS, DeadLetter, Envelope, Handler, Unroutable
from antiphon_common.bus.amqp import topology
from antiphon_common.bus.amqp.letters import Letters, ready
from antiphon_common.bus.amqp.link import Link, quiet
from antiphon_common.bus.amqp.outgoing import Outgoing, Parcel
from antiphon_common.bus.amqp.subscription import Subscription
from antiphon_common.errors import Forbidden, NotFound, Unavailable
from antiphon_common.schemes import WrongUrl

_DECLARE_SECONDS = 10.0


class AmqpBus:
    """One service's handle on the broker: a connection to publish on, and one to consume on.

    Two, because a broker short of memory stops reading from whoever publishes, and must still be able to read
    acknowledgements.
    """

    def __init__(self, url: str, *, declare_seconds: float = _DECLARE_SECONDS) -> None:
        quiet()
        self._declare_seconds = declare_seconds
        self._url = url
        self._sending = Link(url, "publish")
        self._receiving = Link(url, "consume")
        self._outgoing = Outgoing(self._sending)
        self._letters = Letters(self._sending, self._outgoing)
        self._subscriptions: dict[str, Subscription] = {}
        self._bound: dict[str, frozenset[str]] = {}
        self._publishers: set[str] = set()

    async def start(self) -> None:
        self._sending.start()
        self._receiving.start()
        try:
            await self.ping()
        except Forbidden as error:
            raise WrongUrl(self._url, error.detail) from error

    async def stop(self) -> None:
        await asyncio.gather(*(self.leave(consumer) for consumer in [*self._subscriptions]))
        await asyncio.gather(self._sending.stop(), self._receiving.stop())
        self._publishers.clear()
        self._bound.clear()

    async def ping(self) -> None:
        async with self._sending.brief():
            pass
        for subscription in self._subscriptions.values():
            subscription.check()

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        await self._post(envelopes, [envelope.type for envelope in envelopes])

    async def send(self, consumer: str, envelopes: Sequence[Envelope]) -> None:
        await self._post(envelopes, [topology.refill_key(consumer, envelope.type) for envelope in envelopes])

    async def bind(self, consumer: str, types: Sequence[str]) -> None:
        """What an earlier version of the consumer was bound to stays so until an operator unbinds it."""
        await self._meet(self._sending)
        await self._sending.declare(topology.of_consumer(consumer, types))
        async with self._sending.brief() as channel:
            for gone in self._bound.get(consumer, frozenset()) - set(types):
                await channel.queue_unbind(consumer, topology.EVENTS, gone)
        self._bound[consumer] = frozenset(types)

    async def consume(self, consumer: str, types: Sequence[str], handler: Handler) -> None:
        async def prepare() -> None:
            await self.bind(consumer, types)

        subscription = Subscription(
            consumer, self._receiving, handler, prepare=prepare, outgoing=self._outgoing,
            declare_seconds=self._declare_seconds,
        )  # fmt: skip
        self._subscriptions[consumer] = subscription
        await subscription.start()

    async def leave(self, consumer: str) -> None:
        if subscription := self._subscriptions.pop(consumer, None):
            await subscription.stop()

    async def depth(self, consumer: str) -> int:
        return await self._count(consumer) or await self._count(consumer)

    async def dead_count(self, consumer: str) -> int:
        return await self._letters.count(consumer)

    async def dead_letters(self, consumer: str, *, limit: int = LISTED) -> Sequence[DeadLetter]:
        return await self._letters.list(consumer, limit)

    async def redrive(self, consumer: str, ids: Sequence[str] | None) -> int:
        return await self._letters.redrive(consumer, None if ids is None else frozenset(ids))

    async def discard(self, consumer: str, ids: Sequence[str] | None) -> int:
        return await self._letters.discard(consumer, None if ids is None else frozenset(ids))

    async def _count(self, consumer: str) -> int:
        # In the direction that messages travel, so that none slips by: waiting, in hand, postponed.
        subscription = self._subscriptions.get(consumer)
        ladder = [topology.retry_queue(consumer, seconds) for seconds in RETRY_SECONDS]
        try:
            async with self._sending.brief() as channel:
                waiting = await ready(channel, consumer)
                in_hand = await subscription.in_hand() if subscription else 0
                postponed = sum([await ready(channel, queue) for queue in ladder])
        except NotFound:
            return 0
        return waiting + in_hand + max(postponed, subscription.postponed() if subscription else 0)

    async def _post(self, envelopes: Sequence[Envelope], keys: Sequence[str]) -> None:
        parcels = []
        for envelope, key in zip(envelopes, keys, strict=True):
            publisher = envelope.type.partition(".")[0]
            await self._introduce(publisher)
            properties = Basic.Properties(
                delivery_mode=2, content_type="application/json", message_type=envelope.type
            )
            parcels.append(Parcel(topology.outlet(publisher), key, envelope.to_bytes(), properties))
        try:
            returned = await self._outgoing.post(parcels)
        except NotFound as error:
            self._publishers.clear()
            raise Unavailable("bus_incomplete", error.detail) from error
        if returned:
            self._publishers.clear()
            raise Unroutable([envelopes[index] for index in returned])

    async def _introduce(self, publisher: str) -> None:
        """Make the publisher's outlet. Where users have few rights, an operator has made it before."""
        if publisher in self._publishers:
            return
        await self._meet(self._sending)
        own = topology.of_publisher(publisher)
        if not await self._sending.has_exchanges(own):
            await self._sending.declare(own)
        self._publishers.add(publisher)

    async def _meet(self, link: Link) -> None:
        if not await link.has_exchanges(topology.shared()):
            await link.declare(topology.shared())
