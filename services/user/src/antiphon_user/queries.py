"""Reads: SQL to views."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from antiphon_common.db import Database
from antiphon_common.errors import NotFound, Unavailable
from antiphon_contracts.user import ProfileChanged
from antiphon_user.tables import PlaylistRow, ProfileRow


@dataclass(frozen=True, slots=True)
class MeView:
    """A person's own profile."""

    id: UUID
    email: str
    name: str
    username: str | None
    bio: str | None
    country: str | None
    avatar: UUID | None
    roles: tuple[str, ...]
    email_verified: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ProfileView:
    """What everybody may see of a person."""

    id: UUID
    name: str
    username: str | None
    avatar: UUID | None
    public_playlist_count: int


async def my_profile(database: Database, user_id: UUID) -> MeView:
    """One's own profile. Raises `Unavailable` while auth's event is still on its way."""
    row = await _row(database, user_id)
    return MeView(
        id=row["user_id"],
        avatar=row["avatar_id"],
        roles=tuple(row["roles"]),
        **{name: row[name] for name in ("email", "name", "username", "bio", "country")},
        email_verified=row["email_verified"],
        created_at=row["created_at"],
    )


async def my_preferences(database: Database, user_id: UUID) -> dict[str, Any]:
    """One's own preferences by name."""
    return dict((await _row(database, user_id))["preferences"])


async def public_profile(database: Database, user_id: UUID) -> ProfileView:
    """Anybody's public profile. Raises `NotFound`."""
    count = select(func.count()).where(PlaylistRow.owner_id == user_id, PlaylistRow.public).scalar_subquery()
    query = select(
        ProfileRow.user_id, ProfileRow.name, ProfileRow.username, ProfileRow.avatar_id, count
    ).where(ProfileRow.user_id == user_id, ~ProfileRow.deleted)
    async with database.read() as connection:
        row = (await connection.execute(query)).first()
    if row is None:
        raise NotFound("user_not_found", "There is no such user.")
    return ProfileView(*row)


async def current_events(database: Database) -> AsyncIterator[ProfileChanged]:
    """The state of every profile as events, to refill a consumer's projection."""
    columns = (
        ProfileRow.user_id,
        ProfileRow.revision,
        ProfileRow.name,
        ProfileRow.username,
        ProfileRow.avatar_id,
    )
    async with database.read() as connection:
        for row in await connection.execute(select(*columns).where(~ProfileRow.deleted)):
            yield ProfileChanged(
                subject=row.user_id, revision=row.revision, name=row.name, username=row.username,
                avatar_id=row.avatar_id,
            )  # fmt: skip


async def _row(database: Database, user_id: UUID) -> dict[str, Any]:
    query = select(*ProfileRow.__table__.columns).where(ProfileRow.user_id == user_id)
    async with database.read() as connection:
        row = (await connection.execute(query)).mappings().first()
    if row is None:
        # The token is good, so the account exists: auth's event is still on its way.
        raise Unavailable("profile_pending", "Your profile is being made.", retry_after=1)
    if row["deleted"]:
        raise NotFound("profile_not_found", "There is no such profile.")
    return dict(row)
