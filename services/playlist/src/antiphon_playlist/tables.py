"""The playlist service's tables."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from antiphon_common.db import Json, SortKey, UtcDateTime
from antiphon_common.db.tables import inbox_table, outbox_table


class Base(DeclarativeBase):
    """This service's metadata."""


class PlaylistRow(Base):
    """One playlist. `title_key` is the title as it is sorted."""

    __tablename__ = "playlist"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    title: Mapped[str] = mapped_column(String(300))
    title_key: Mapped[str] = mapped_column(SortKey(300))
    description: Mapped[str | None] = mapped_column(String(4000))
    cover_id: Mapped[UUID | None] = mapped_column(Uuid)
    visibility: Mapped[str] = mapped_column(String(10))
    item_count: Mapped[int]
    revision: Mapped[int]
    layout: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_playlist_owner", "owner_id", "id"),
        Index("ix_playlist_recent", "visibility", "id"),
        Index("ix_playlist_title", "visibility", "title_key", "id"),
    )


class ItemRow(Base):
    """One track at one place of a playlist."""

    __tablename__ = "item"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    playlist_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("playlist.id", ondelete="CASCADE"))
    track_id: Mapped[UUID] = mapped_column(Uuid)
    position: Mapped[int] = mapped_column(BigInteger)
    added_by: Mapped[UUID] = mapped_column(Uuid)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("playlist_id", "position", name="uq_item_position"),
        Index("ix_item_track", "playlist_id", "track_id"),
    )


class TrackRow(Base):
    """A track as catalog described it, or the tombstone of one."""

    __tablename__ = "track"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    reachable: Mapped[bool]
    card: Mapped[dict[str, Any]] = mapped_column(Json)
    revision: Mapped[int]
    deleted: Mapped[bool]


class PersonRow(Base):
    """A person's name, or the tombstone of an account."""

    __tablename__ = "person"

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str | None] = mapped_column(String(300))
    revision: Mapped[int]
    deleted: Mapped[bool]


OUTBOX = outbox_table(Base.metadata)
INBOX = inbox_table(Base.metadata)
