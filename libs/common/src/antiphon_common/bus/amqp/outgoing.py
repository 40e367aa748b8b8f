"""Publishing to RabbitMQ: persistent, mandatory, confirmed, a whole window at a time, and never for ever."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import aiormq
from aiormq.channel import Channel
from pamqp.commands import Basic

from antiphon_common.bus.amqp.link import Link, Translated
from antiphon_common.errors import Unavailable

_PUBLISH_SECONDS = 5.0
_WINDOW = 500


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message and where it goes."""

    exchange: str
    key: str
    body: bytes
    properties: Basic.Properties


class Outgoing:
    """The one channel on which a bus publishes."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channel: Channel | None = None
        self._lock = asyncio.Lock()

    async def post(self, parcels: Sequence[Parcel]) -> list[int]:
        """Publish in order; the indices of those that reached no queue.

        Raises `Unavailable` when the broker has not confirmed all others within five seconds.
        """
        returned: list[int] = []
        for start in range(0, len(parcels), _WINDOW):
            window = parcels[start : start + _WINDOW]
            returned += [start + index for index in await self._post_window(window)]
        return returned

    async def _post_window(self, parcels: Sequence[Parcel]) -> list[int]:
        channel = await self._open_channel()
        try:
            async with asyncio.timeout(_PUBLISH_SECONDS):
                results = await asyncio.gather(
                    *(_publish(channel, parcel) for parcel in parcels), return_exceptions=True
                )
        except (TimeoutError, asyncio.CancelledError) as error:
            # Whoever does not confirm will not say goodbye either, and what it may still confirm is not ours.
            self._channel = None
            self._link.drop()
            if isinstance(error, asyncio.CancelledError):
                raise
            raise Unavailable("bus_unavailable", "The broker did not confirm in time.") from error
        returned = []
        for index, result in enumerate(results):
            if isinstance(result, aiormq.exceptions.PublishError):
                returned.append(index)
            elif isinstance(result, BaseException):
                with Translated():
                    raise result
        return returned

    async def _open_channel(self) -> Channel:
        async with self._lock:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._link.channel(confirms=True)
            return self._channel


async def _publish(channel: Channel, parcel: Parcel) -> None:
    await channel.basic_publish(
        parcel.body, exchange=parcel.exchange, routing_key=parcel.key, properties=parcel.properties,
        mandatory=True, wait=False,
    )  # fmt: skip
