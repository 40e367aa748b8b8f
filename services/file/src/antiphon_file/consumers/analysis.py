"""The analysts: they take waiting uploads one after the other and see each through to its end.

An upload that was answered 202 ends in `ready` or `rejected` whatever is killed: its row says that it waits,
whoever works on it holds a short lease, and a lease that runs out makes it wait again.
"""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from antiphon_common.errors import NotFound, Unavailable
from antiphon_common.lifecycle import Loop
from antiphon_common.telemetry import Telemetry
from antiphon_file import queries, usecases
from antiphon_file.adapters.leases import kept_alive
from antiphon_file.consumers.watching import Watch
from antiphon_file.domain import Analysis, Image, ReaderFailed, Refused, Upload, audio_key
from antiphon_file.ports import Deps

_SWEEP_SECONDS = 1.0
_OUTAGE_PAUSE = timedelta(seconds=5)


class Analysts:
    """As many as there are readers; all are woken when an upload arrives."""

    def __init__(self, *, count: int, log: FilteringBoundLogger, telemetry: Telemetry) -> None:
        self._log = log
        self._watch = Watch(telemetry)
        self._count = count
        self._loops: list[Loop] = []
        self._deps: Deps | None = None

    def work_for(self, deps: Deps) -> None:
        """Say what to work with; deps hold `wake`, so they are made after this."""
        self._deps = deps

    async def start(self) -> None:
        for number in range(self._count):
            name = f"analyst-{number}"
            loop = Loop(name, self._work, interval=_SWEEP_SECONDS, log=self._log, grace=0.0)
            self._loops.append(loop)
            await loop.start()

    async def stop(self) -> None:
        await asyncio.gather(*(loop.stop() for loop in self._loops))

    def wake(self, upload_id: UUID) -> None:
        """An upload waits."""
        self._watch.arrived(upload_id)
        for loop in self._loops:
            loop.wake()

    async def _work(self) -> None:
        if self._deps is not None:
            while await analyse_next(self._deps, self._log, self._watch):
                pass


async def analyse_next(deps: Deps, log: FilteringBoundLogger, watch: Watch) -> bool:
    """Take one waiting upload and see it through; false when none waits."""
    if not await queries.has_waiting(deps.database, deps.clock.now()):
        return False
    async with deps.open_unit() as unit:
        upload = await usecases.claim_upload(unit, deps.clock.now())
    if upload is None:
        return False
    with watch.over(upload.id):
        watch.ended(await _see_through(deps, log, upload))
    return True


async def _see_through(deps: Deps, log: FilteringBoundLogger, upload: Upload) -> str:
    """Analyse it; the state it ends in, or waits in for another try."""
    try:
        async with kept_alive(deps, upload.id):
            analysis, cover = await _read(deps, upload)
    except Refused as refusal:
        log.info("upload_rejected", upload=str(upload.id), reason=refusal.reason)
        async with deps.open_unit() as unit:
            await usecases.reject_upload(unit, upload.id, refusal.reason)
        return "rejected"
    except (ReaderFailed, NotFound) as error:
        log.warning("analysis_failed", upload=str(upload.id), error=type(error).__name__)
        async with deps.open_unit() as unit:
            await usecases.note_failure(unit, upload.id, deps.clock.now())
        return "failed"
    except asyncio.CancelledError:
        await asyncio.shield(_put_back(deps, upload, deps.clock.now()))
        raise
    except Unavailable:
        await _put_back(deps, upload, deps.clock.now() + _OUTAGE_PAUSE)
        raise
    else:
        async with deps.open_unit() as unit:
            await usecases.complete_upload(unit, upload.id, analysis, cover)
        return "ready"


async def _read(deps: Deps, upload: Upload) -> tuple[Analysis, Image | None]:
    async with deps.blobs.local_copy(audio_key(upload.id)) as path:
        analysis = await deps.reader.analyse(path)
        cover = None
        if analysis.cover_sha256 is not None and upload.cover_id is None:
            cover = await deps.gallery.keep_cover(upload.owner_id, analysis.cover_sha256, path)
        return analysis, cover


async def _put_back(deps: Deps, upload: Upload, free_at: datetime) -> None:
    async with deps.open_unit() as unit:
        await usecases.put_back_upload(unit, upload.id, free_at)
