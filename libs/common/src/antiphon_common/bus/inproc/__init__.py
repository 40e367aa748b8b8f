"""`inproc:` — the bus of one process, journalled in an SQLite file.

Failure policy: a publish returns after its messages are on disk; a process that is killed finds all that was
not acknowledged again, in order. Everybody who opens the same URL shares one journal; that registry is keyed
by the URL, so two platforms in one process never meet.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from antiphon_common.bus import DELIVERY_LIMIT, LISTED, RETRY_SECONDS, DeadLetter, Envelope, Handler, NotNow
from antiphon_common.bus.inproc.journal import Delivery, Journal
from antiphon_common.bus.judging import Verdict, judge

# One transaction, which the writers of the same database wait for.
_BATCH = 25
_IDLE_SECONDS = 2.0
_TROUBLE_SECONDS = 1.0

_journals: "WeakValueDictionary[str, Journal]" = WeakValueDictionary()


def _journal(url: str) -> Journal:
    path = urlsplit(url).path
    if not path:
        return Journal(":memory:")
    journal = _journals.get(path)
    if journal is None:
        journal = _journals[path] = Journal(path)
    return journal


class InprocBus:
    """One service's handle on the journal."""

    def __init__(self, url: str) -> None:
        self._journal = _journal(url)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._started = False

    async def start(self) -> None:
        if not self._started:
            self._started = True
            await self._journal.open()

    async def stop(self) -> None:
        await asyncio.gather(*(self.leave(consumer) for consumer in [*self._tasks]))
        if self._started:
            self._started = False
            await self._journal.close()

    async def ping(self) -> None:
        await self._journal.ping()

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        await self._journal.append(envelopes)

    async def send(self, consumer: str, envelopes: Sequence[Envelope]) -> None:
        await self._journal.append(envelopes, consumer=consumer)

    async def bind(self, consumer: str, types: Sequence[str]) -> None:
        await self._journal.bind(consumer, types)

    async def consume(self, consumer: str, types: Sequence[str], handler: Handler) -> None:
        await self._journal.bind(consumer, types)
        task = asyncio.create_task(self._consume(consumer, handler), name=f"consume-{consumer}")
        self._tasks[consumer] = task

    async def leave(self, consumer: str) -> None:
        if task := self._tasks.pop(consumer, None):
            task.cancel()
            await asyncio.wait([task])

    async def depth(self, consumer: str) -> int:
        return await self._journal.depth(consumer)

    async def dead_count(self, consumer: str) -> int:
        return await self._journal.dead_count(consumer)

    async def dead_letters(self, consumer: str, *, limit: int = LISTED) -> Sequence[DeadLetter]:
        return await self._journal.dead_letters(consumer, limit)

    async def redrive(self, consumer: str, ids: Sequence[str] | None) -> int:
        return await self._journal.redrive(consumer, ids)

    async def discard(self, consumer: str, ids: Sequence[str] | None) -> int:
        return await self._journal.discard(consumer, ids)

    async def _consume(self, consumer: str, handler: Handler) -> None:
        arrived = self._journal.watch(consumer)
        while True:
            arrived.clear()
            try:
                pause = await self._handle_batch(consumer, handler)
            except Exception:  # noqa: BLE001 - a journal in trouble (a full disk) may get well; `ping` tells of it
                await asyncio.sleep(_TROUBLE_SECONDS)
                continue
            if pause is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(arrived.wait(), pause)

    async def _handle_batch(self, consumer: str, handler: Handler) -> float | None:
        """Handle what is due; the seconds until something may be, or none when there may be more now."""
        batch, next_due = await self._journal.take(consumer, _BATCH)
        if not batch:
            # Another process (a command line) may put something in without waking us, so never for ever.
            return _IDLE_SECONDS if next_due is None else max(0.01, min(next_due, _IDLE_SECONDS))
        if batch[0].attempts > DELIVERY_LIMIT:
            await self._journal.bury(batch[0], "delivery_limit", f"delivered {DELIVERY_LIMIT} times")
            return None
        verdicts: list[Verdict] = []
        try:
            await judge(handler, [delivery.body for delivery in batch], verdicts)
        except NotNow:
            await self._journal.release(batch[len(verdicts) :])
            await asyncio.sleep(_TROUBLE_SECONDS)
        finally:
            await self._settle(batch, verdicts)
        return None

    async def _settle(self, batch: Sequence[Delivery], verdicts: Sequence[Verdict]) -> None:
        settled = list(zip(batch, verdicts, strict=False))
        await self._journal.acknowledge([delivery for delivery, verdict in settled if verdict.done])
        for delivery, verdict in settled:
            if verdict.later:
                rung = min(delivery.attempts, len(RETRY_SECONDS)) - 1
                await self._journal.postpone(delivery, RETRY_SECONDS[rung])
            elif verdict.code:
                await self._journal.bury(delivery, verdict.code, verdict.detail)
