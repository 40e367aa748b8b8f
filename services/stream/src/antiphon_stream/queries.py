"""Reads: which tracks there are, who may hear them, and the addresses to hear them at."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select

from antiphon_common.clock import Clock
from antiphon_common.db import Database
from antiphon_common.errors import NotFound, Unavailable
from antiphon_common.ids import new_id
from antiphon_common.principal import Principal
from antiphon_contracts.event import Event
from antiphon_stream.domain import Ticket, Track, Variant, expiry, may_hear, opens, sign, verify
from antiphon_stream.ports import Deps, Keys
from antiphon_stream.tables import TrackRow

_MOST_CACHED = 2048
_FRESH_SECONDS = 2.0
CONFIRM_SECONDS = 2.0
"""How often it is seen to that nothing older is believed than was true so long ago."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A track as it was read at a moment; `until` says how long to believe it (monotonic seconds)."""

    track: Track
    until: float


class TrackCache:
    """Tracks in memory for two seconds, and no longer than until an event of theirs is committed here.

    Many who ask for the same track at once wait for one reading of it. While the database is away a track
    that was read before is believed, so that what is played plays on: nobody can withdraw it then either, and
    what was withdrawn before, in whichever process, was forgotten in time (`confirm`).
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: OrderedDict[UUID, Seen] = OrderedDict()
        self._reading: dict[UUID, asyncio.Task[Track | None]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    async def find(self, track_id: UUID) -> Track | None:
        """The track, tombstones included, or none when it is unknown."""
        seen = self._seen.get(track_id)
        if seen is not None and time.monotonic() < seen.until:
            return seen.track
        reading = self._reading.get(track_id)
        if reading is None:
            reading = self._reading[track_id] = asyncio.create_task(self._refresh(track_id))
        # Somebody who leaves must not take the reading from the others.
        return await asyncio.shield(reading)

    def forget(self, track_id: UUID) -> None:
        """Read it again next time; a reading that has begun is not believed by who asks from now on."""
        self._seen.pop(track_id, None)
        self._reading.pop(track_id, None)

    async def confirm(self) -> None:
        """Forget what has changed since it was read. Raises `Unavailable`.

        Events that another process handles are heard of nowhere else; without this an old reading would be
        believed when the database goes away, however long ago the track was withdrawn.
        """
        remembered = [*self._seen]
        if not remembered:
            return
        query = select(TrackRow.id, TrackRow.revision).where(TrackRow.id.in_(remembered))
        async with self._database.read() as connection:
            revisions = {row.id: row.revision for row in await connection.execute(query)}
        for track_id in remembered:
            seen = self._seen.get(track_id)
            if seen is not None and seen.track.revision != revisions.get(track_id):
                self.forget(track_id)

    async def _refresh(self, track_id: UUID) -> Track | None:
        me = asyncio.current_task()
        try:
            track = await self._read_or_remember(track_id)
            # If a change was committed meanwhile, this task was forgotten, and what it read may be older.
            if track is not None and self._reading.get(track_id) is me:
                self._seen[track_id] = Seen(track, time.monotonic() + _FRESH_SECONDS)
                self._seen.move_to_end(track_id)
                if len(self._seen) > _MOST_CACHED:
                    self._seen.popitem(last=False)
            return track
        finally:
            if self._reading.get(track_id) is me:
                del self._reading[track_id]

    async def _read_or_remember(self, track_id: UUID) -> Track | None:
        try:
            return await self._read(track_id)
        except Unavailable:
            if known := self._seen.get(track_id):
                return known.track
            raise

    async def _read(self, track_id: UUID) -> Track | None:
        query = select(*TrackRow.__table__.columns).where(TrackRow.id == track_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        return Track(**row) if row else None


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens: by a ticket, or by a token whose session is then the listen."""

    user_id: UUID
    listen: UUID
    is_admin: bool = False
    ticket: Ticket | None = None

    def may_hear(self, track: Track) -> bool:
        if self.ticket is not None:
            return opens(self.ticket, track)
        return may_hear(track, user_id=self.user_id, is_admin=self.is_admin)


class Tickets:
    """Tickets that were found good, so that the next range of the same address is decided faster."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._good: OrderedDict[str, Listener] = OrderedDict()

    def listener(self, text: str, *, track_id: UUID, variant: Variant) -> Listener:
        """The listener whom a ticket names. Raises `Forbidden`."""
        known = self._good.get(text)
        ticket = known.ticket if known else None
        now = self._clock.now()
        if (
            known
            and ticket
            and ticket.track_id == track_id
            and ticket.variant == variant
            and now < ticket.expires_at
        ):
            return known
        ticket = verify(text, self._keys.ring, track_id=track_id, variant=variant, now=now)
        listener = self._good[text] = Listener(ticket.user_id, ticket.listen, ticket=ticket)
        if len(self._good) > _MOST_CACHED:
            self._good.popitem(last=False)
        return listener


def by_token(principal: Principal) -> Listener:
    """The listener whom an access token names."""
    return Listener(principal.user_id, principal.session, is_admin=principal.is_admin)


async def playable(deps: Deps, track_id: UUID, listener: Listener) -> Track:
    """The track, if this listener may hear it. Raises `NotFound`, the same for hidden and unknown ones."""
    track = await deps.tracks.find(track_id)
    if track is None or not listener.may_hear(track):
        raise NotFound("track_not_found", "There is no such track.")
    return track


async def resolve(
    deps: Deps, principal: Principal, track_ids: Sequence[UUID], variant: Variant
) -> list[dict[str, Any]]:
    """A signed address for each track, in the order asked for. Raises `NotFound` unless all may be heard."""
    listener = by_token(principal)
    tracks = [await playable(deps, track_id, listener) for track_id in track_ids]
    return [_address(deps, track, principal.user_id, variant) for track in tracks]


async def current_events(_: Database) -> AsyncIterator[Event]:
    """Credits are said once and not kept, so there is nothing to publish again."""
    nothing: tuple[Event, ...] = ()
    for event in nothing:
        yield event


def _address(deps: Deps, track: Track, user_id: UUID, variant: Variant) -> dict[str, Any]:
    expires_at = expiry(deps.clock.now(), track.duration_ms)
    ticket = Ticket(track.id, variant, user_id, new_id(), expires_at, track.state)
    return {
        "track_id": track.id,
        "url": f"/api/stream/{track.id}?variant={variant}&ticket={sign(ticket, deps.keys.ring)}",
        "mime": track.mime,
        "bytes": track.bytes,
        "bitrate": track.bitrate,
        "duration_ms": track.duration_ms,
        "gain_db": track.gain_db,
        "expires_at": expires_at,
    }
