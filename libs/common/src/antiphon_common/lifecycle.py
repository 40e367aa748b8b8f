"""Things with a life: started in order, stopped in reverse, and a loop that outlives its failures."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from structlog.typing import FilteringBoundLogger


class Component(Protocol):
    """Something that is started once and stopped once."""

    async def start(self) -> None:
        """Become useful, or raise."""

    async def stop(self) -> None:
        """Finish what runs and let go of everything; safe after a failed start."""


@asynccontextmanager
async def run_together(*components: Component) -> AsyncIterator[None]:
    """Start the components in order; stop those that started in reverse, also when a later one fails."""
    async with AsyncExitStack() as stack:
        for component in components:
            stack.push_async_callback(component.stop)
            await component.start()
        yield


class Loop:
    """Calls `step` for ever: at once when woken, else every `interval` seconds.

    A step that raises is logged and tried again after the interval, because a background duty must not end
    with its first bad moment. Stopping waits for the running step, at most `grace` seconds.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[object]],
        *,
        interval: float,
        log: FilteringBoundLogger,
        grace: float = 5.0,
    ) -> None:
        self._name = name
        self._step = step
        self._interval = interval
        self._log = log
        self._grace = grace
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    def wake(self) -> None:
        """Run the next step now rather than after the interval."""
        self._wake.set()

    async def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(self._task, self._grace)

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                await self._step()
            except Exception:  # noqa: BLE001 - see the class: logged, and tried again
                self._log.exception("loop_failed", loop=self._name)
                await self._pause()
                continue
            await self._pause()

    async def _pause(self) -> None:
        if self._stopping:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), self._interval)
