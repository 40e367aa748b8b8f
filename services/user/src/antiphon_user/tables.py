"""The user service's tables."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import String, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from antiphon_common.db import Json, UtcDateTime
from antiphon_common.db.tables import inbox_table, outbox_table


class Base(DeclarativeBase):
    """This service's metadata."""


class ProfileRow(Base):
    """One person, or the tombstone of one."""

    __tablename__ = "profile"

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    email: Mapped[str] = mapped_column(String(320))
    roles: Mapped[list[str]] = mapped_column(Json)
    email_verified: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    name: Mapped[str] = mapped_column(String(300))
    username: Mapped[str | None] = mapped_column(String(30), unique=True)
    bio: Mapped[str | None] = mapped_column(String(4000))
    country: Mapped[str | None] = mapped_column(String(2))
    avatar_id: Mapped[UUID | None] = mapped_column(Uuid)
    preferences: Mapped[dict[str, Any]] = mapped_column(Json)
    revision: Mapped[int]
    account_revision: Mapped[int]
    deleted: Mapped[bool]


class PlaylistRow(Base):
    """A playlist somebody owns, as far as a profile counts it."""

    __tablename__ = "playlist"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(Uuid, index=True)
    public: Mapped[bool]
    revision: Mapped[int]


OUTBOX = outbox_table(Base.metadata)
INBOX = inbox_table(Base.metadata)
