"""Remembers profiles: rows in, dataclasses out."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.clock import Clock
from antiphon_common.db import Database, get_locked, inbox, is_conflict, outbox
from antiphon_common.errors import Conflict
from antiphon_contracts.event import Event
from antiphon_user.domain import Preferences, Profile
from antiphon_user.tables import INBOX, OUTBOX, PlaylistRow, ProfileRow


class SqlProfiles:
    """`Profiles` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, user_id: UUID) -> Profile | None:
        row = await get_locked(self._session, ProfileRow, user_id)
        return _profile(row) if row else None

    async def save(self, profile: Profile) -> None:
        try:
            await self._session.merge(_row(profile))
            await self._session.flush()
        except IntegrityError as error:
            if is_conflict(error, "username"):
                raise Conflict("username_taken", "Somebody else has this username.") from error
            raise


class SqlPlaylists:
    """`Playlists` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def revision(self, playlist_id: UUID) -> int:
        row = await get_locked(self._session, PlaylistRow, playlist_id)
        return row.revision if row else 0

    async def save(self, playlist_id: UUID, *, owner_id: UUID, public: bool, revision: int) -> None:
        row = PlaylistRow(id=playlist_id, owner_id=owner_id, public=public, revision=revision)
        await self._session.merge(row)


class SqlUnit:
    """One transaction of this service."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self.profiles = SqlProfiles(session)
        self.playlists = SqlPlaylists(session)
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
    if unit.announced:
        relay.wake()


def _profile(row: ProfileRow) -> Profile:
    return Profile(
        user_id=row.user_id,
        email=row.email,
        roles=tuple(row.roles),
        email_verified=row.email_verified,
        created_at=row.created_at,
        name=row.name,
        username=row.username,
        bio=row.bio,
        country=row.country,
        avatar_id=row.avatar_id,
        preferences=Preferences(**row.preferences),
        revision=row.revision,
        account_revision=row.account_revision,
        deleted=row.deleted,
    )


def _row(profile: Profile) -> ProfileRow:
    values = {name: getattr(profile, name) for name in ProfileRow.__table__.columns.keys()}  # noqa: SIM118
    return ProfileRow(**{**values, "roles": list(profile.roles), "preferences": asdict(profile.preferences)})
