"""Running a service inside a test, waiting for what happens later, and speaking for other services."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Self, TypeVar
from uuid import uuid4

import httpx
from fastapi import FastAPI

from antiphon_common.bus import Envelope, open_bus
from antiphon_common.bus.envelope import Announceable
from antiphon_common.clock import SystemClock

T = TypeVar("T")


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Start the app's components and give a client that talks to it without sockets."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client


async def eventually(
    probe: Callable[[], Awaitable[T]], accept: Callable[[T], bool] = bool, *, seconds: float = 10.0
) -> T:
    """Ask until the answer is accepted; fails with the last answer when it never is."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while True:
        answer = await probe()
        if accept(answer):
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s; last seen: {answer!r}")
        await asyncio.sleep(pause)
        # Who asks all the time takes the processor from what is waited for.
        pause = min(pause * 1.3, 0.1)


async def publish(bus_url: str, events: Sequence[Announceable]) -> None:
    """Publish events as their owner would, on the bus that a running app uses."""
    bus = open_bus(bus_url)
    await bus.start()
    try:
        await bus.publish([Envelope.of(event, SystemClock()) for event in events])
    finally:
        await bus.stop()


async def drained(bus_url: str, consumer: str, *, seconds: float = 10.0) -> None:
    """Wait until a consumer has handled all that was published so far."""
    bus = open_bus(bus_url)
    await bus.start()
    try:
        await eventually(lambda: bus.depth(consumer), lambda depth: depth == 0, seconds=seconds)
    finally:
        await bus.stop()


class Recorder:
    """Listens to events on the bus, to see what a service publishes."""

    def __init__(self, bus_url: str, *types: type[Announceable]) -> None:
        self._bus = open_bus(bus_url)
        self._types = {kind.type: kind for kind in types}
        self.events: list[Announceable] = []

    async def __aenter__(self) -> Self:
        await self._bus.start()
        # A name of its own: several of one name would share the messages.
        await self._bus.consume(f"recorder-{uuid4().hex}", sorted(self._types), self._note)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._bus.stop()

    async def wait_for(self, count: int, *, seconds: float = 10.0) -> list[Announceable]:
        """The events so far, once there are at least `count`."""

        async def seen() -> list[Announceable]:
            return list(self.events)

        return await eventually(seen, lambda events: len(events) >= count, seconds=seconds)

    async def find(self, accept: Callable[[Announceable], bool], *, seconds: float = 10.0) -> Announceable:
        """The first event that is accepted, once it has arrived."""

        async def matching() -> list[Announceable]:
            return [event for event in self.events if accept(event)]

        return (await eventually(matching, seconds=seconds))[0]

    async def _note(self, bodies: Sequence[bytes]) -> None:
        envelopes = [Envelope.from_bytes(body) for body in bodies]
        self.events += [self._types[each.type].model_validate(each.data) for each in envelopes]
