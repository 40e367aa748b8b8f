"""One consumer of the `amqp:` bus: its queue is consumed for as long as the bus runs, whatever happens to the
broker.

What a message is delivered for the second time for may be what ended the process the first time, so such
messages come alone: a subscription begins with one message at a time, and takes many once it sees a new
one. Otherwise the neighbours of a deadly message would count the same deliveries and be dead letters with
it.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from uuid import uuid4

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from pamqp.commands import Basic

from antiphon_common.bus import DELIVERY_LIMIT, RETRY_SECONDS, Handler, NotNow
from antiphon_common.bus.amqp import topology
from antiphon_common.bus.amqp.link import CALL_SECONDS, Link, Translated
from antiphon_common.bus.amqp.outgoing import Outgoing, Parcel
from antiphon_common.bus.judging import Verdict, judge
from antiphon_common.errors import ServiceError, Unavailable

_AT_ONCE = 250
_PREFETCH = 2 * _AT_ONCE
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
# A postponed message is on its way back for a moment in which no queue counts it.
_RETURN_SECONDS = 5.0
# What runs when the bus stops may finish; longer and it is rolled back, which harms nothing.
_GRACE_SECONDS = 1.0


class Subscription:
    """Consumes one queue and settles what its handler leaves unhandled."""

    def __init__(
        self,
        consumer: str,
        link: Link,
        handler: Handler,
        *,
        prepare: Callable[[], Awaitable[None]],
        outgoing: Outgoing,
        declare_seconds: float,
    ) -> None:
        self._consumer = consumer
        self._link = link
        self._handler = handler
        self._prepare = prepare
        self._outgoing = outgoing
        self._declare_seconds = declare_seconds
        self._trouble: ServiceError | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._channel: Channel | None = None
        self._arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()
        self._unsettled = 0
        self._postponed: dict[str, float] = {}

    async def start(self) -> None:
        """Begin, or begin to try. Raises only what an operator must mend."""
        with contextlib.suppress(Unavailable):
            await self._prepare()
        self._task = asyncio.create_task(self._run(), name=f"consume-{self._consumer}")

    async def stop(self) -> None:
        if self._task is None:
            return
        self._stopping.set()
        self._arrived.put_nowait(None)
        _, running = await asyncio.wait([self._task], timeout=_GRACE_SECONDS)
        if running:
            self._task.cancel()
            await asyncio.wait(running)

    def check(self) -> None:
        """Raise what keeps this consumer from consuming."""
        if self._trouble:
            raise self._trouble

    async def in_hand(self) -> int:
        """Messages that were delivered to us and are not settled."""
        channel = self._channel
        if channel is None:
            return 0
        with contextlib.suppress(ServiceError), Translated():
            # What the broker sent us before it answers this has arrived by then.
            await channel.flow(active=True, timeout=CALL_SECONDS)
        return self._unsettled

    def postponed(self) -> int:
        """Messages that we sent up the ladder and have not seen again."""
        now = time.monotonic()
        self._postponed = {key: until for key, until in self._postponed.items() if until > now}
        return len(self._postponed)

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._consume()
            except ServiceError as error:
                self._trouble = error
            except Exception:  # noqa: BLE001 - whatever the library raises, a consumer begins again
                self._trouble = Unavailable("bus_unavailable", "The broker does not answer.")
            else:
                failures = 0
                continue
            await self._pause(failures)
            failures = 0 if self._channel else failures + 1
            self._channel = None

    async def _pause(self, failures: int) -> None:
        pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
        seconds = random.uniform(pause / 2, pause)  # noqa: S311 - jitter, no secret
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _consume(self) -> None:
        """Consume until the broker, the queue or the bus is gone."""
        await self._prepare()
        channel = await self._link.channel()
        arrived = self._arrived = asyncio.Queue()
        self._unsettled = 0
        channel.closing.add_done_callback(lambda _: arrived.put_nowait(None))
        channel.on_consumer_cancel_callbacks.add(lambda _: arrived.put_nowait(None))
        guard = asyncio.create_task(self._declare_again(), name=f"declare-{self._consumer}")
        try:
            with Translated():
                await self._listen(channel)
        finally:
            guard.cancel()
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await asyncio.wait_for(channel.close(), 1)

    async def _declare_again(self) -> None:
        """Nobody tells when a binding is deleted; making it again when it is there costs nothing."""
        while True:
            await asyncio.sleep(self._declare_seconds)
            with contextlib.suppress(ServiceError):
                await self._prepare()

    async def _listen(self, channel: Channel) -> None:
        alone = True
        tag = await self._subscribe(channel, 1)
        self._channel, self._trouble = channel, None
        while not self._stopping.is_set():
            batch = await self._take()
            if batch is None:
                break
            doubtful = any(message.redelivered for message in batch)
            if alone != doubtful:
                await channel.basic_cancel(tag, timeout=CALL_SECONDS)
            for again, group in groupby(batch, key=lambda message: bool(message.redelivered)):
                messages = list(group)
                for some in [[message] for message in messages] if again else [messages]:
                    await self._settle(channel, some)
            if alone != doubtful:
                alone = doubtful
                tag = await self._subscribe(channel, 1 if alone else _PREFETCH)
        if not self._stopping.is_set():
            raise Unavailable("bus_unavailable", "The broker ended the consumer.")

    async def _subscribe(self, channel: Channel, prefetch: int) -> str:
        arrived = self._arrived

        async def arrive(message: DeliveredMessage) -> None:
            self._unsettled += 1
            self._postponed.pop(message.header.properties.message_id or "", None)
            arrived.put_nowait(message)

        await channel.basic_qos(prefetch_count=prefetch, timeout=CALL_SECONDS)
        answer = await channel.basic_consume(self._consumer, arrive, timeout=CALL_SECONDS)
        return str(answer.consumer_tag)

    async def _take(self) -> list[DeliveredMessage] | None:
        """What has arrived, at least one; none when there will be no more."""
        batch: list[DeliveredMessage] = []
        while len(batch) < _AT_ONCE and (not batch or not self._arrived.empty()):
            message = await self._arrived.get()
            if message is None:
                return None
            batch.append(message)
        return batch

    async def _settle(self, channel: Channel, messages: Sequence[DeliveredMessage]) -> None:
        """Handle messages, put elsewhere what was not handled, then let go of all of them."""
        verdicts: list[Verdict] = []
        await self._judge([message.body for message in messages], verdicts)
        moved = [
            self._moved(message, verdict)
            for message, verdict in zip(messages, verdicts, strict=True)
            if not verdict.done
        ]
        if await self._outgoing.post(moved):
            raise Unavailable("bus_incomplete", "A queue is missing.")
        await channel.basic_ack(messages[-1].delivery_tag or 0, multiple=True, wait=False)
        self._unsettled -= len(messages)

    async def _judge(self, bodies: Sequence[bytes], verdicts: list[Verdict]) -> None:
        """While the consumer cannot, its messages stay here, in order."""
        failures = 0
        while len(verdicts) < len(bodies):
            try:
                await judge(self._handler, bodies[len(verdicts) :], verdicts)
            except NotNow:
                if self._stopping.is_set():
                    raise
                await self._pause(failures)
                failures += 1

    def _moved(self, message: DeliveredMessage, verdict: Verdict) -> Parcel:
        """A message on its way to another queue of this consumer."""
        attempts = _attempts(message) + 1
        if verdict.later and attempts < DELIVERY_LIMIT:
            seconds = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
            parcel = self._parcel(message, topology.retry_queue(self._consumer, seconds), attempts=attempts)
            self._postponed[str(parcel.properties.message_id)] = time.monotonic() + seconds + _RETURN_SECONDS
            return parcel
        code = verdict.code or "delivery_limit"
        detail = verdict.detail if verdict.code else f"delivered {DELIVERY_LIMIT} times"
        now = datetime.now(UTC).isoformat()
        return self._parcel(
            message, topology.dead_queue(self._consumer), code=code, detail=detail, died_at=now
        )

    def _parcel(self, message: DeliveredMessage, queue: str, **headers: str | int) -> Parcel:
        properties = Basic.Properties(
            delivery_mode=2, content_type="application/json", message_id=uuid4().hex, headers=dict(headers),
            message_type=message.header.properties.message_type,
        )  # fmt: skip
        return Parcel(topology.sorter(self._consumer), queue, message.body, properties)


def _attempts(message: DeliveredMessage) -> int:
    tried = (message.header.properties.headers or {}).get("attempts")
    return tried if isinstance(tried, int) else 0
