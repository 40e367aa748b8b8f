"""The file service's tables."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, String, Uuid, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from antiphon_common.db import Json, UtcDateTime
from antiphon_common.db.tables import inbox_table, outbox_table


class Base(DeclarativeBase):
    """This service's metadata."""


class UploadRow(Base):
    """One file somebody sent, whatever became of it."""

    __tablename__ = "upload"
    __table_args__ = (
        Index("ix_upload_owner_id_id", "owner_id", "id"),
        Index("ix_upload_owner_id_sha256", "owner_id", "sha256"),
        Index("ix_upload_state_lease_until", "state", "lease_until"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime] = mapped_column(UtcDateTime)
    size: Mapped[int] = mapped_column(BigInteger)
    filename: Mapped[str | None] = mapped_column(String(4000))
    sha256: Mapped[str | None] = mapped_column(String(64))
    form: Mapped[dict[str, Any]] = mapped_column(Json)
    reason: Mapped[str | None] = mapped_column(String(64))
    duplicate_of: Mapped[UUID | None] = mapped_column(Uuid)
    facts: Mapped[dict[str, Any] | None] = mapped_column(Json)
    said: Mapped[dict[str, Any] | None] = mapped_column(Json)
    cover_id: Mapped[UUID | None] = mapped_column(Uuid, index=True)
    dominant_color: Mapped[str | None] = mapped_column(String(7))
    track_id: Mapped[UUID | None] = mapped_column(Uuid)
    track_revision: Mapped[int]
    failures: Mapped[int]
    claims: Mapped[int]
    revision: Mapped[int]


class UsageRow(Base):
    """What one person keeps here, and when one of their files was last taken up for analysis.

    `erased` makes it the tombstone of a deleted account, for which there is no room any more.
    """

    __tablename__ = "usage"

    owner_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    files: Mapped[int]
    images: Mapped[int]
    served_at: Mapped[datetime] = mapped_column(UtcDateTime)
    erased: Mapped[bool] = mapped_column(default=False, server_default=false())


class ImageRow(Base):
    """A picture; `sizes` is empty while its renditions are being stored."""

    __tablename__ = "image"
    __table_args__ = (Index("ix_image_owner_id_source_sha256", "owner_id", "source_sha256"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    source_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    lease_until: Mapped[datetime] = mapped_column(UtcDateTime)
    width: Mapped[int]
    height: Mapped[int]
    dominant_color: Mapped[str] = mapped_column(String(7))
    sizes: Mapped[list[int]] = mapped_column(Json)


class ImageUseRow(Base):
    """Which image something outside shows (an album, a person, a playlist): a projection, so that none is
    lost.
    """

    __tablename__ = "image_use"

    subject: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    image_id: Mapped[UUID | None] = mapped_column(Uuid, index=True)
    revision: Mapped[int]


class DoomedRow(Base):
    """An object to be deleted: written in the transaction that took away its row."""

    __tablename__ = "doomed"

    key: Mapped[str] = mapped_column(String(100), primary_key=True)


OUTBOX = outbox_table(Base.metadata)
INBOX = inbox_table(Base.metadata)
