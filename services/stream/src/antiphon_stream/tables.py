"""The stream service's tables."""

from uuid import UUID

from sqlalchemy import BigInteger, String, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from antiphon_common.db.tables import inbox_table, outbox_table


class Base(DeclarativeBase):
    """This service's metadata."""


class TrackRow(Base):
    """The audio of one track, or the tombstone of one."""

    __tablename__ = "track"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    revision: Mapped[int]
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    status: Mapped[str] = mapped_column(String(16))
    visibility: Mapped[str] = mapped_column(String(16))
    blob_key: Mapped[str] = mapped_column(String(300))
    mime: Mapped[str] = mapped_column(String(100))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    bitrate: Mapped[int]
    duration_ms: Mapped[int]
    gain_db: Mapped[float | None]
    deleted: Mapped[bool]


OUTBOX = outbox_table(Base.metadata)
INBOX = inbox_table(Base.metadata)
