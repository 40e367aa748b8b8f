"""Deadlines of many requests for the price of one timer: a sweep ten times a second ends what is overdue.

A timer of the event loop for each request would cost more than its routing. The price is precision: a call
ends up to a tenth of a second late, which no deadline here minds.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

_SWEEP_SECONDS = 0.1


class Deadline:
    """The time a service has; a clock that stands still while it is the client who keeps us waiting.

    Like `asyncio.timeout`: the task inside is cancelled, and leaving the block makes that a `TimeoutError`.
    """

    __slots__ = ("_all", "_cancelling", "_expired", "_seconds", "_task", "expires")

    def __init__(self, seconds: float, every: "set[Deadline]") -> None:
        self._seconds = seconds
        self._all = every
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False
        self.expires: float | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task else 0
        self.restart()
        self._all.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all.discard(self)
        if not self._expired or self._task is None:
            return
        # Only a cancellation that is ours becomes a timeout; one from outside goes on.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def pause(self) -> None:
        self.expires = None

    def restart(self) -> None:
        self.expires = asyncio.get_running_loop().time() + self._seconds

    def expire(self) -> None:
        """End the block; called by the sweep."""
        self.expires = None
        self._expired = True
        if self._task:
            self._task.cancel()


class Deadlines:
    """All deadlines that run, and the sweep that ends them."""

    def __init__(self) -> None:
        self._running: set[Deadline] = set()
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._sweeper = asyncio.create_task(self._sweep(), name="deadlines")

    async def stop(self) -> None:
        if self._sweeper:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper

    def within(self, seconds: float) -> Deadline:
        """A deadline that runs from the entry of its block."""
        return Deadline(seconds, self._running)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            for deadline in [one for one in self._running if one.expires is not None and one.expires < now]:
                deadline.expire()
