"""The search service's tables."""

from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, Text, Uuid, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from antiphon_common.db import Json
from antiphon_common.db.tables import inbox_table


class Base(DeclarativeBase):
    """This service's metadata."""


class DocumentRow(Base):
    """One findable thing, or the tombstone of one.

    `version` counts what happened to the row here; it is `dirty` until the index holds that version, or has
    `refused` it for the reason that is given.
    """

    __tablename__ = "document"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    revision: Mapped[int]
    deleted: Mapped[bool]
    owner_id: Mapped[UUID | None] = mapped_column(Uuid)
    public: Mapped[bool]
    title: Mapped[str] = mapped_column(Text)
    artists: Mapped[list[str]] = mapped_column(Json)
    extra: Mapped[str] = mapped_column(Text)
    genres: Mapped[list[str]] = mapped_column(Json)
    year: Mapped[int | None]
    popularity: Mapped[int]
    shown: Mapped[dict[str, Any]] = mapped_column(Json)
    version: Mapped[int]
    dirty: Mapped[bool]
    refused: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("ix_document_dirty", "id", sqlite_where=text("dirty"), postgresql_where=text("dirty")),
    )


class CountsRow(Base):
    """How popular a track is; its counts may arrive before the track does."""

    __tablename__ = "counts"

    track_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    plays: Mapped[int]
    plays_revision: Mapped[int]
    likes: Mapped[int]
    likes_revision: Mapped[int]


class IndexStateRow(Base):
    """One row: the stamp of the last batch that both the index and these tables know of.

    While the index is filled anew, `walked_to` is the last id of the walk through all documents.
    """

    __tablename__ = "index_state"

    id: Mapped[int] = mapped_column(primary_key=True)
    stamp: Mapped[int]
    walked_to: Mapped[UUID | None] = mapped_column(Uuid)


INBOX = inbox_table(Base.metadata)
