"""Remembers tracks: rows in, dataclasses out."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.clock import Clock
from antiphon_common.db import Database, get_locked, inbox, outbox
from antiphon_contracts.event import Event
from antiphon_stream.domain import Track
from antiphon_stream.tables import INBOX, OUTBOX, TrackRow


class SqlTracks:
    """`Tracks` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self.changed: set[UUID] = set()

    async def revision(self, track_id: UUID) -> int:
        row = await get_locked(self._session, TrackRow, track_id)
        return row.revision if row else 0

    async def save(self, track: Track) -> None:
        self.changed.add(track.id)
        await self._session.merge(TrackRow(**asdict(track)))

    async def bury(self, track_id: UUID, *, owner_id: UUID, revision: int) -> None:
        await self.save(
            Track(
                id=track_id, revision=revision, owner_id=owner_id, status="withdrawn", visibility="private",
                blob_key="", mime="", bytes=0, sha256="", bitrate=0, duration_ms=0, gain_db=None,
                deleted=True,
            )
        )  # fmt: skip


class SqlUnit:
    """One transaction of this service."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self.tracks = SqlTracks(session)
        self.announced = False

    async def announce(self, *events: Event) -> None:
        self.announced = True
        await outbox.announce(self._session, OUTBOX, events, self._clock)

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        return await inbox.first_time(self._session, INBOX, consumer, event_ids, self._clock)


@asynccontextmanager
async def unit_of_work(
    database: Database, clock: Clock, relay: outbox.Relay, forget: Callable[[UUID], None]
) -> AsyncIterator[SqlUnit]:
    """Open a unit; it is committed when the block ends, and then relay and cache are told."""
    async with database.write() as session:
        unit = SqlUnit(session, clock)
        yield unit
    for track_id in unit.tracks.changed:
        forget(track_id)
    if unit.announced:
        relay.wake()
