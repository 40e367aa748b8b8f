"""The library service's tables."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, String, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from antiphon_common.db import Json, UtcDateTime
from antiphon_common.db.tables import inbox_table, outbox_table


class Base(DeclarativeBase):
    """This service's metadata."""


class ItemRow(Base):
    """A track, album or playlist as its owner's service described it, or the tombstone of one."""

    __tablename__ = "item"

    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner_id: Mapped[UUID | None] = mapped_column(Uuid)
    reachable: Mapped[bool]
    card: Mapped[dict[str, Any]] = mapped_column(Json)
    revision: Mapped[int]
    duration_ms: Mapped[int | None]
    deleted: Mapped[bool]


class KeepRow(Base):
    """One thing that a listener liked or saved."""

    __tablename__ = "keep"

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    item_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kept_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_keep_newest", "user_id", "kind", "kept_at", "item_id"),)


class PlayRow(Base):
    """One reported play. `credit_id` is what made it count; one credit backs at most one play."""

    __tablename__ = "play"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Uuid)
    track_id: Mapped[UUID] = mapped_column(Uuid)
    listened_ms: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    context_type: Mapped[str | None] = mapped_column(String(10))
    context_id: Mapped[UUID | None] = mapped_column(Uuid)
    enough: Mapped[bool]
    reported_at: Mapped[datetime] = mapped_column(UtcDateTime)
    credit_id: Mapped[UUID | None] = mapped_column(Uuid, unique=True)

    __table_args__ = (
        Index("ix_play_history", "user_id", "started_at", "id"),
        Index("ix_play_track", "user_id", "track_id"),
    )


class RecentRow(Base):
    """When a listener last played a track: the newest of the plays that were long enough."""

    __tablename__ = "recent"

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    track_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    played_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_recent_newest", "user_id", "played_at", "track_id"),)


class CreditRow(Base):
    """Proof that audio was streamed. Of a listener who was forgotten only the id stays, as a tombstone."""

    __tablename__ = "credit"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(Uuid)
    track_id: Mapped[UUID | None] = mapped_column(Uuid)
    served_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    spent: Mapped[bool]

    __table_args__ = (Index("ix_credit_unspent", "user_id", "track_id", "spent"),)


class CounterRow(Base):
    """How many likes or counted plays a track has: always the size of that set."""

    __tablename__ = "counter"

    track_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(String(10), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(BigInteger)


class ListenerRow(Base):
    """The tombstone of an account (`deleted`; older versions had a row for the others, too)."""

    __tablename__ = "listener"

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    deleted: Mapped[bool]


OUTBOX = outbox_table(Base.metadata)
INBOX = inbox_table(Base.metadata)
