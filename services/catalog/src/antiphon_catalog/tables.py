"""The catalog service's tables.

A track row holds all that a list shows, its credits included, so that a page is one query. `track_artist` and
`track_genre` exist to find tracks: they repeat the columns that lists are sorted by, because a page by artist
or genre must cost the same at any depth.
"""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Table, Text, UniqueConstraint, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from antiphon_common.db import Json, SortKey, UtcDateTime
from antiphon_common.db.tables import inbox_table, outbox_table


class Base(DeclarativeBase):
    """This service's metadata."""


class ArtistRow(Base):
    """An artist of one owner."""

    __tablename__ = "artist"
    __table_args__ = (
        UniqueConstraint("owner_id", "name_key", name="uq_artist_name"),
        Index("ix_artist_recent", "listed", "listed_at", "id"),
        Index("ix_artist_popular", "listed", "play_count", "id"),
        Index("ix_artist_name", "listed", "name_key", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    name: Mapped[str] = mapped_column(String(300))
    name_key: Mapped[str] = mapped_column(SortKey(300))
    automatic: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    image_id: Mapped[UUID | None] = mapped_column(Uuid)
    listed: Mapped[bool]
    listed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    track_count: Mapped[int]
    play_count: Mapped[int]
    revision: Mapped[int]


class AlbumRow(Base):
    """An album of one owner."""

    __tablename__ = "album"
    __table_args__ = (
        UniqueConstraint("owner_id", "identity", name="uq_album_identity"),
        Index("ix_album_recent", "listed", "listed_at", "id"),
        Index("ix_album_popular", "listed", "play_count", "id"),
        Index("ix_album_title", "listed", "title_key", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    identity: Mapped[str] = mapped_column(String(32))
    title: Mapped[str] = mapped_column(String(300))
    title_key: Mapped[str] = mapped_column(SortKey(100))
    kind: Mapped[str] = mapped_column(String(16))
    credits: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    automatic: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    release_date: Mapped[str | None] = mapped_column(String(10))
    own_release_date: Mapped[bool]
    cover_id: Mapped[UUID | None] = mapped_column(Uuid)
    dominant_color: Mapped[str | None] = mapped_column(String(16))
    own_cover: Mapped[bool]
    listed: Mapped[bool]
    listed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    track_count: Mapped[int]
    play_count: Mapped[int]
    revision: Mapped[int]


class AlbumArtistRow(Base):
    """Which artists an album is credited to."""

    __tablename__ = "album_artist"

    artist_id: Mapped[UUID] = mapped_column(ForeignKey("artist.id"), primary_key=True)
    album_id: Mapped[UUID] = mapped_column(ForeignKey("album.id"), primary_key=True, index=True)


class TrackRow(Base):
    """A track, of one upload."""

    __tablename__ = "track"
    __table_args__ = (
        UniqueConstraint("upload_id", name="uq_track_upload"),
        Index("ix_track_recent", "listed", "published_at", "id"),
        Index("ix_track_popular", "listed", "play_count", "id"),
        Index("ix_track_liked", "listed", "like_count", "id"),
        Index("ix_track_title", "listed", "title_key", "id"),
        Index("ix_track_album", "album_id", "position", "id"),
        Index("ix_track_owner", "owner_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(Uuid)
    upload_id: Mapped[UUID] = mapped_column(Uuid)
    upload_revision: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    visibility: Mapped[str] = mapped_column(String(16))
    listed: Mapped[bool]
    title: Mapped[str] = mapped_column(String(300))
    title_key: Mapped[str] = mapped_column(SortKey(100))
    credits: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    album_id: Mapped[UUID | None] = mapped_column(ForeignKey("album.id"))
    album_title: Mapped[str | None] = mapped_column(String(300))
    disc_number: Mapped[int | None]
    track_number: Mapped[int | None]
    position: Mapped[int]
    genres: Mapped[list[str]] = mapped_column(Json)
    explicit: Mapped[bool]
    release_date: Mapped[str | None] = mapped_column(String(10))
    release_year: Mapped[int | None]
    cover_id: Mapped[UUID | None] = mapped_column(Uuid)
    dominant_color: Mapped[str | None] = mapped_column(String(16))
    duration_ms: Mapped[int]
    gain_db: Mapped[float | None]
    peak: Mapped[float | None]
    audio: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    like_count: Mapped[int]
    play_count: Mapped[int]
    revision: Mapped[int]


class WaveformRow(Base):
    """The waveform of a track, apart, so that a list never reads over it."""

    __tablename__ = "waveform"

    track_id: Mapped[UUID] = mapped_column(ForeignKey("track.id"), primary_key=True)
    data: Mapped[str] = mapped_column(Text)


class TrackArtistRow(Base):
    """Which artists a track is credited to, each once."""

    __tablename__ = "track_artist"
    __table_args__ = (
        Index("ix_track_artist_popular", "artist_id", "listed", "play_count", "track_id"),
        Index("ix_track_artist_track", "track_id"),
    )

    artist_id: Mapped[UUID] = mapped_column(ForeignKey("artist.id"), primary_key=True)
    track_id: Mapped[UUID] = mapped_column(ForeignKey("track.id"), primary_key=True)
    listed: Mapped[bool]
    play_count: Mapped[int]


class TrackGenreRow(Base):
    """The genres of a track, each once."""

    __tablename__ = "track_genre"
    __table_args__ = (
        Index("ix_track_genre_recent", "genre_key", "listed", "published_at", "track_id"),
        Index("ix_track_genre_popular", "genre_key", "listed", "play_count", "track_id"),
        Index("ix_track_genre_liked", "genre_key", "listed", "like_count", "track_id"),
        Index("ix_track_genre_title", "genre_key", "listed", "title_key", "track_id"),
        Index("ix_track_genre_track", "track_id"),
    )

    genre_key: Mapped[str] = mapped_column(SortKey(300), primary_key=True)
    track_id: Mapped[UUID] = mapped_column(ForeignKey("track.id"), primary_key=True)
    listed: Mapped[bool]
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    play_count: Mapped[int]
    like_count: Mapped[int]
    title_key: Mapped[str] = mapped_column(SortKey(100))


class GenreRow(Base):
    """A genre and how many publicly listed tracks it has."""

    __tablename__ = "genre"
    __table_args__ = (Index("ix_genre_popular", "track_count", "key"),)

    key: Mapped[str] = mapped_column(SortKey(300), primary_key=True)
    name: Mapped[str] = mapped_column(String(300))
    track_count: Mapped[int]


class CounterRow(Base):
    """What library counted, also for tracks we do not have (yet)."""

    __tablename__ = "counter"

    track_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    like_count: Mapped[int]
    like_revision: Mapped[int]
    play_count: Mapped[int]
    play_revision: Mapped[int]


class PersonRow(Base):
    """An uploader's public name, or the tombstone of an account."""

    __tablename__ = "person"

    user_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(String(300))
    revision: Mapped[int]
    deleted: Mapped[bool]


class GoneUploadRow(Base):
    """An upload that will never be a track (again)."""

    __tablename__ = "gone_upload"

    upload_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)


ARTIST = cast(Table, ArtistRow.__table__)
ALBUM = cast(Table, AlbumRow.__table__)
ALBUM_ARTIST = cast(Table, AlbumArtistRow.__table__)
TRACK = cast(Table, TrackRow.__table__)
WAVEFORM = cast(Table, WaveformRow.__table__)
TRACK_ARTIST = cast(Table, TrackArtistRow.__table__)
TRACK_GENRE = cast(Table, TrackGenreRow.__table__)
GENRE = cast(Table, GenreRow.__table__)
COUNTER = cast(Table, CounterRow.__table__)
PERSON = cast(Table, PersonRow.__table__)
GONE_UPLOAD = cast(Table, GoneUploadRow.__table__)
OUTBOX = outbox_table(Base.metadata)
INBOX = inbox_table(Base.metadata)
