"""The dead letters of the `amqp:` bus: looked through by consuming them, put back by letting go of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from pamqp.commands import Basic

from antiphon_common.bus import DeadLetter, topology
from antiphon_common.bus.link import CALL_SECONDS, Link, translated
from antiphon_common.bus.outgoing import Outgoing, Parcel
from antiphon_common.errors import NotFound, Unavailable

# Nothing for so long: somebody else holds the rest.
_IDLE_SECONDS = 1.0


class Letters:
    """What a consumer could not handle. Two who look at the same time each see a part."""

    def __init__(self, link: Link, outgoing: Outgoing) -> None:
        self._link = link
        self._outgoing = outgoing

    async def list(self, consumer: str) -> list[DeadLetter]:
        letters = []
        async with self._reading(topology.dead_queue(consumer)) as (_, messages):
            async for message in messages:
                letters.append(_letter(consumer, message))  # noqa: PERF401 - an async comprehension hides the closing
        return letters

    async def redrive(self, consumer: str, ids: frozenset[str]) -> int:
        async with self._chosen(consumer, ids) as (channel, messages):
            count = 0
            async for message in messages:
                properties = Basic.Properties(
                    delivery_mode=2, content_type="application/json",
                    message_type=message.header.properties.message_type,
                )  # fmt: skip
                parcel = Parcel(topology.sorter(consumer), consumer, message.body, properties)
                if await self._outgoing.post([parcel]):
                    raise Unavailable("bus_incomplete", "The consumer's queue is missing.")
                await channel.basic_ack(message.delivery_tag or 0)
                count += 1
            return count

    async def discard(self, consumer: str, ids: frozenset[str]) -> int:
        async with self._chosen(consumer, ids) as (channel, messages):
            count = 0
            async for message in messages:
                await channel.basic_ack(message.delivery_tag or 0)
                count += 1
            return count

    @contextlib.asynccontextmanager
    async def _chosen(
        self, consumer: str, ids: frozenset[str]
    ) -> AsyncIterator[tuple[Channel, AsyncIterator[DeliveredMessage]]]:
        async with self._reading(topology.dead_queue(consumer)) as (channel, messages):
            yield channel, (message async for message in messages if _id(message) in ids)

    @contextlib.asynccontextmanager
    async def _reading(self, queue: str) -> AsyncIterator[tuple[Channel, AsyncIterator[DeliveredMessage]]]:
        """All that is in a queue now. What was not acknowledged in the end is back in its place."""
        channel = await self._link.channel()
        try:
            with translated():
                yield channel, _all(channel, queue)
        finally:
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await asyncio.wait_for(channel.close(), CALL_SECONDS)


async def _all(channel: Channel, queue: str) -> AsyncIterator[DeliveredMessage]:
    try:
        with translated():
            declared = await channel.queue_declare(queue, passive=True, timeout=CALL_SECONDS)
    except NotFound:
        return
    count = declared.message_count or 0
    if not count:
        return
    arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
    answer = await channel.basic_consume(queue, arrived.put, timeout=CALL_SECONDS)
    for _ in range(count):
        try:
            yield await asyncio.wait_for(arrived.get(), _IDLE_SECONDS)
        except TimeoutError:
            break
    await channel.basic_cancel(str(answer.consumer_tag), timeout=CALL_SECONDS)


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
