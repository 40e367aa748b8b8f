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
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._stopped.clear()
        self._task = asyncio.create_task(self._run(), name=self._name)

    def wake(self) -> None:
        """Run the next step now rather than after the interval."""
        self._wake.set()

    async def stop(self) -> None:
        self._stopped.set()
        self._wake.set()
        if self._task is None:
            return
        _, running = await asyncio.wait([self._task], timeout=self._grace)
        if running:
            self._task.cancel()
            await asyncio.wait(running)
        self._task = None

    async def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                await self._step()
                pause = self._wake
            except Exception:  # noqa: BLE001 - see the class: logged, and tried again
                self._log.exception("loop_failed", loop=self._name)
                # Waking does not shorten this pause: a busy service would try, fail and log all the time.
                pause = self._stopped
            if not self._stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(pause.wait(), self._interval)
