"""Remembers the catalogue: rows in, dataclasses out, one transaction a unit."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_catalog.repository.albums import SqlAlbums
from antiphon_catalog.repository.artists import SqlArtists
from antiphon_catalog.repository.owning import OwnerLock
from antiphon_catalog.repository.projections import SqlCounters, SqlGoneUploads, SqlPeople
from antiphon_catalog.repository.tracks import SqlTracks
from antiphon_catalog.tables import INBOX, OUTBOX
from antiphon_common.clock import Clock
from antiphon_common.db import Database, inbox, outbox
from antiphon_contracts.event import Event


class SqlUnit:
    """One transaction of this service."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        owner = OwnerLock(session)
        self.tracks = SqlTracks(session, owner)
        self.artists = SqlArtists(session, owner)
        self.albums = SqlAlbums(session, owner)
        self.counters = SqlCounters(session, owner)
        self.people = SqlPeople(session, owner)
        self.gone_uploads = SqlGoneUploads(session)
        self.announced = False

    async def announce(self, *events: Event) -> None:
        self.announced = True
        await outbox.announce(self._session, OUTBOX, events, self._clock)

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        return await inbox.first_time(self._session, INBOX, consumer, event_ids, self._clock)


@asynccontextmanager
async def unit_of_work(database: Database, clock: Clock, relay: outbox.Relay) -> AsyncIterator[SqlUnit]:
    """Open a unit; it is committed when the block ends, and then the relay is told."""
    async with database.write() as session:
        unit = SqlUnit(session, clock)
        yield unit
        await unit.tracks.count_genres()
    if unit.announced:
        relay.wake()
