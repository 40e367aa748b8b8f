"""Things with a life: started in order, stopped in reverse, and a loop that outlives its failures."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from antiphon_common.errors import Forbidden, ServiceError, Unavailable
from antiphon_common.schemes import WrongUrl

_PATIENCE_SECONDS = 3.0
_LONGEST_PAUSE = 15.0
_REMIND_SECONDS = 60.0


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


class Starter:
    """Starts parts in order; one whose dependency is away is tried again and again, while the rest goes on.

    So a process that comes up before its servers is the same as one that lost them while running: it listens,
    is not ready, does what it can, and needs nobody to start it again. `start` returns after at most three
    seconds and raises only what waiting would not mend. What is found to be so later is said, and tried again
    as well: the process is up by then.
    """

    def __init__(self, parts: Sequence[Component], *, log: FilteringBoundLogger) -> None:
        self.parts = tuple(parts)
        self._log = log
        self._started = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self._is_up = False

    async def start(self) -> None:
        self._task = asyncio.create_task(self._start_all(), name="starter")
        done, _ = await asyncio.wait([self._task], timeout=_PATIENCE_SECONDS)
        self._is_up = True
        if done:
            await self._task

    async def stop(self) -> None:
        if self._task and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._started.aclose()

    async def ping(self) -> None:
        """Raise until every part has started."""
        if not (self._task and self._task.done()):
            raise Unavailable("starting", "Not everything has started yet.", retry_after=2)

    async def _start_all(self) -> None:
        waiting: list[Component] = []
        for part in self.parts:
            self._started.push_async_callback(part.stop)
            if not await self._starts(part):
                waiting.append(part)
        pause = 0.5
        while waiting:
            # Jitter: what lost one server together must not come back to it together.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(pause * 2, _LONGEST_PAUSE)
            waiting = [part for part in waiting if not await self._starts(part)]

    async def _starts(self, part: Component) -> bool:
        try:
            await part.start()
        except Exception as error:
            if not (self._is_up or isinstance(error, Unavailable)):
                raise
            self._complain(part, error)
            return False
        return True

    def _complain(self, part: Component, error: Exception) -> None:
        self._log.warning("start_waits", part=type(part).__name__, **what_is_wrong(error))


def what_is_wrong(error: Exception) -> dict[str, str]:
    """What a log line says of a failure that needs no stack: a dependency is away, or refuses us."""
    if isinstance(error, ServiceError):
        # Whoever sends a request is not told what a URL says; whoever reads the log may change it.
        refusal = error.__cause__ if isinstance(error.__cause__, WrongUrl) else error.detail
        return {"code": error.code, "detail": str(refusal)}
    return {"code": type(error).__name__, "detail": str(error)[:200]}


class Loop:
    """Calls `step` for ever: at once when woken, else every `interval` seconds.

    A step that raises is logged and tried again after the interval, because a background duty must not end
    with its first bad moment; that a dependency is away or refuses us is one line a minute. Stopping waits
    for the running step, at most `grace` seconds.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[object]],
        *,
        interval: float,
        log: FilteringBoundLogger,
        grace: float = 3.0,
    ) -> None:
        self._name = name
        self._step = step
        self._interval = interval
        self._log = log
        self._grace = grace
        self._wake = asyncio.Event()
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reminded_at: dict[str, float] = {}

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
                self._goes_on()
            except Exception as error:  # noqa: BLE001 - see the class: logged, and tried again
                self._complain(error)
                # Waking does not shorten this pause: a busy service would try, fail and log all the time.
                pause = self._stopped
            if not self._stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(pause.wait(), self._interval)

    def _complain(self, error: Exception) -> None:
        if not isinstance(error, Unavailable | Forbidden | OSError):
            self._log.exception("loop_failed", loop=self._name)
            return
        now, wrong = time.monotonic(), what_is_wrong(error)
        if now - self._reminded_at.get(wrong["code"], float("-inf")) > _REMIND_SECONDS:
            self._reminded_at[wrong["code"]] = now
            self._log.warning("loop_waits", loop=self._name, **wrong)

    def _goes_on(self) -> None:
        if self._reminded_at:
            self._reminded_at.clear()
            self._log.info("loop_goes_on", loop=self._name)
