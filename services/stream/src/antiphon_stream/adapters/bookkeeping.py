"""Counts what was served and announces the credits, off the way of the audio.

What was served is kept in memory: a process that is killed forgets listens that had not earned a credit yet,
so a play may be missed, never invented. A credit is announced within a moment; while the database is away the
credits wait here, at most 10,000 of them.
"""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

from structlog.typing import FilteringBoundLogger

from antiphon_common.clock import Clock
from antiphon_common.errors import Unavailable
from antiphon_common.lifecycle import Loop
from antiphon_common.metrics import Metrics
from antiphon_common.telemetry import Telemetry
from antiphon_stream.domain import Credit, Heard, Ledger, Track
from antiphon_stream.ports import Unit
from antiphon_stream.usecases import announce_credits

_MOST_WAITING = 10_000
_RETRY_SECONDS = 2.0


class Bookkeeper:
    """The ledger of one service and the way of its credits into the outbox."""

    def __init__(
        self,
        open_unit: Callable[[], AbstractAsyncContextManager[Unit]],
        clock: Clock,
        *,
        log: FilteringBoundLogger,
    ) -> None:
        self._open_unit = open_unit
        self._clock = clock
        self._ledger = Ledger()
        self._waiting: deque[Credit] = deque(maxlen=_MOST_WAITING)
        self._loop = Loop("stream-credits", self._announce, interval=_RETRY_SECONDS, log=log)
        self._show(Metrics())

    def measure(self, telemetry: Telemetry) -> None:
        """What went out."""
        self._show(telemetry.metrics)

    def _show(self, metrics: Metrics) -> None:
        self._bytes = metrics.counter("antiphon_stream_bytes_total", "Bytes of audio sent to listeners")
        self._credits = metrics.counter("antiphon_stream_credits_total", "Plays that were earned")

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        # A database that is away at the end costs these credits, as a killed process would.
        with suppress(Unavailable):
            await self._announce()

    def served(self, heard: Heard, track: Track, start: int, end: int) -> None:
        """Note that bytes `start` up to `end` of a track went out."""
        credit = self._ledger.served(
            heard, start, end, size=track.bytes, duration_ms=track.duration_ms, at=self._clock.now()
        )
        self._bytes.inc(end - start)
        if credit:
            self._credits.inc()
            self._waiting.append(credit)
            self._loop.wake()

    async def _announce(self) -> None:
        while self._waiting:
            batch = list(self._waiting)
            async with self._open_unit() as unit:
                await announce_credits(unit, batch)
            for _ in batch:
                self._waiting.popleft()
