"""The dead letters of the `amqp:` bus: looked through by consuming them, put back by letting go of them.

A queue of the broker can only be read from its head, so whoever looks for one letter holds those before it
until the end; they are back in their old order then. Two who look at the same time each see a part.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from pamqp.commands import Basic

from antiphon_common.bus import DeadLetter
from antiphon_common.bus.amqp import topology
from antiphon_common.bus.amqp.link import CALL_SECONDS, Link, Translated
from antiphon_common.bus.amqp.outgoing import Outgoing, Parcel
from antiphon_common.errors import NotFound, Unavailable

# The most that can be held; who takes all of them never holds more than a window.
_HELD = 65_535
_WINDOW = 200
# The broker pipelines 32 of these.
_SETTLED_AT_ONCE = 16
_SETTLING_SECONDS = 0.02
# Nothing for so long: somebody else holds the rest.
_IDLE_SECONDS = 1.0


class Letters:
    """What consumers could not handle."""

    def __init__(self, link: Link, outgoing: Outgoing) -> None:
        self._link = link
        self._outgoing = outgoing

    async def count(self, consumer: str) -> int:
        try:
            async with self._link.brief() as channel:
                return await ready(channel, topology.dead_queue(consumer))
        except NotFound:
            return 0

    async def list(self, consumer: str, limit: int) -> list[DeadLetter]:
        letters: list[DeadLetter] = []
        async with self._reading(consumer, min(limit, _HELD)) as reading:
            async for window in reading.windows():
                letters += [_letter(consumer, message) for message in window]
        return letters

    async def redrive(self, consumer: str, ids: frozenset[str] | None) -> int:
        return await self._take(consumer, ids, again=True)

    async def discard(self, consumer: str, ids: frozenset[str] | None) -> int:
        return await self._take(consumer, ids, again=False)

    async def _take(self, consumer: str, ids: frozenset[str] | None, *, again: bool) -> int:
        """Take these letters, or all, out of the dead letters; `again` puts them into the queue before."""
        taken = 0
        if ids is not None and not ids:
            return taken
        async with self._reading(consumer, None if ids is None else _HELD) as reading:
            async for window in reading.windows():
                chosen = [message for message in window if ids is None or _id(message) in ids]
                if again and await self._outgoing.post([_again(consumer, message) for message in chosen]):
                    raise Unavailable("bus_incomplete", "The consumer's queue is missing.")
                await reading.forget(chosen, all_so_far=ids is None)
                taken += len(chosen)
        return taken

    @contextlib.asynccontextmanager
    async def _reading(self, consumer: str, limit: int | None) -> AsyncIterator["_Reading"]:
        """What is in the queue now, at most `limit`. What is not forgotten is back in its place then."""
        queue = topology.dead_queue(consumer)
        count = await self.count(consumer)
        channel = await self._link.channel()
        reading = _Reading(channel, queue, count if limit is None else min(count, limit))
        try:
            with Translated():
                yield reading
        finally:
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await asyncio.wait_for(channel.close(), CALL_SECONDS)
        await self._returned(queue, reading.held)

    async def _returned(self, queue: str, held: int) -> None:
        """Letting go takes the broker a moment, after which the next look must see everything."""
        deadline = time.monotonic() + CALL_SECONDS
        while held and time.monotonic() < deadline:
            async with self._link.brief() as channel:
                if await ready(channel, queue) >= held:
                    return
            await asyncio.sleep(0.02)


class _Reading:
    """The messages of one queue, delivered to one channel."""

    def __init__(self, channel: Channel, queue: str, count: int) -> None:
        self.held = 0
        self._channel = channel
        self._queue = queue
        self._count = count

    async def windows(self) -> AsyncIterator[Sequence[DeliveredMessage]]:
        """All messages, some at a time, oldest first."""
        if not self._count:
            return
        arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        await self._channel.basic_qos(prefetch_count=min(self._count, _HELD), timeout=CALL_SECONDS)
        answer = await self._channel.basic_consume(self._queue, arrived.put, timeout=CALL_SECONDS)
        window: list[DeliveredMessage] = []
        for _ in range(self._count):
            try:
                window.append(await asyncio.wait_for(arrived.get(), _IDLE_SECONDS))
            except TimeoutError:
                break
            self.held += 1
            if len(window) == _WINDOW:
                yield window
                window = []
        await self._channel.basic_cancel(str(answer.consumer_tag), timeout=CALL_SECONDS)
        yield window

    async def forget(self, messages: Sequence[DeliveredMessage], *, all_so_far: bool) -> None:
        """Settle these. One word settles all that came before; single ones go slowly, because the broker
        queues what it cannot take at once, and forgets that when the channel closes.
        """
        self.held -= len(messages)
        if messages and all_so_far:
            await self._channel.basic_ack(messages[-1].delivery_tag or 0, multiple=True)
            return
        for start in range(0, len(messages), _SETTLED_AT_ONCE):
            for message in messages[start : start + _SETTLED_AT_ONCE]:
                await self._channel.basic_ack(message.delivery_tag or 0)
            await self._channel.flow(active=True, timeout=CALL_SECONDS)
            await asyncio.sleep(_SETTLING_SECONDS)


async def ready(channel: Channel, queue: str) -> int:
    """Messages that the broker could deliver now."""
    declared = await channel.queue_declare(queue, passive=True)
    return declared.message_count or 0


def _again(consumer: str, message: DeliveredMessage) -> Parcel:
    properties = Basic.Properties(
        delivery_mode=2, content_type="application/json", message_type=message.header.properties.message_type
    )
    return Parcel(topology.sorter(consumer), consumer, message.body, properties)


def _id(message: DeliveredMessage) -> str:
    return message.header.properties.message_id or ""


def _letter(consumer: str, message: DeliveredMessage) -> DeadLetter:
    properties = message.header.properties
    headers = properties.headers or {}
    if "code" in headers:
        code, detail = str(headers["code"]), str(headers.get("detail", ""))
        died_at = datetime.fromisoformat(str(headers["died_at"]))
    else:
        # The broker moved it: a message that was never settled, however often it was delivered.
        code, detail = "delivery_limit", "It was delivered too often and never settled."
        died_at = _death(headers)
    return DeadLetter(
        id=_id(message), consumer=consumer, type=str(properties.message_type or ""), code=code, detail=detail,
        died_at=died_at, body=message.body,
    )  # fmt: skip


def _death(headers: Any) -> datetime:
    """When the broker says that it happened, to the second."""
    deaths = headers.get("x-death") or [{}]
    time = deaths[0].get("time")
    return time if isinstance(time, datetime) else datetime.now(UTC)
