"""Answers of the catalog service."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from antiphon_catalog.domain.credits import Role
from antiphon_catalog.domain.music import Kind, Status
from antiphon_contracts.event import Visibility

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class CreditOut(BaseModel):
    """An artist as credited; joining `name + join_phrase` of all gives the printed credit."""

    id: UUID
    name: str = Field(examples=["Ada"])
    role: Role
    join_phrase: str = Field(examples=[" feat. "])


class AlbumRefOut(BaseModel):
    """The album of a track."""

    id: UUID
    title: str


class UploaderOut(BaseModel):
    """Who uploaded a track; the name is null until it is known here."""

    id: UUID
    name: str | None


class TrackOut(BaseModel):
    """A track. `cover` is an image of the file service, `gain_db` brings it to -18 LUFS."""

    id: UUID
    title: str
    artists: list[CreditOut]
    album: AlbumRefOut | None
    disc_number: int | None
    track_number: int | None
    duration_ms: int
    genres: list[str]
    explicit: bool
    release_date: str | None = Field(examples=["2024-05"])
    cover: UUID | None
    dominant_color: str | None
    gain_db: float | None
    peak: float | None
    play_count: int
    like_count: int
    uploader: UploaderOut
    status: Status
    visibility: Visibility
    created_at: Instant
    published_at: Instant | None
    revision: int


class TrackPageOut(BaseModel):
    """A page of tracks."""

    items: list[TrackOut]
    next_cursor: str | None


class WaveformOut(BaseModel):
    """The outline of a track: `points` pairs of smallest and largest sample, as int8, in base64."""

    points: Literal[1000] = 1000
    encoding: Literal["int8-min-max"] = "int8-min-max"
    data: str


class ArtistOut(BaseModel):
    """An artist; the counts are of public tracks. `image` is an image of the file service."""

    id: UUID
    name: str = Field(examples=["Ada"])
    image: UUID | None
    track_count: int
    play_count: int
    owner_id: UUID
    created_at: Instant
    revision: int


class ArtistPageOut(BaseModel):
    """A page of artists."""

    items: list[ArtistOut]
    next_cursor: str | None


class AlbumOut(BaseModel):
    """An album; the counts are of public tracks."""

    id: UUID
    title: str
    type: Kind
    artists: list[CreditOut]
    release_date: str | None = Field(examples=["2024-05"])
    cover: UUID | None
    dominant_color: str | None
    track_count: int
    play_count: int
    owner_id: UUID
    created_at: Instant
    revision: int


class AlbumPageOut(BaseModel):
    """A page of albums."""

    items: list[AlbumOut]
    next_cursor: str | None


class GenreOut(BaseModel):
    """A genre and how many public tracks it has."""

    name: str = Field(examples=["Jazz"])
    track_count: int


class GenrePageOut(BaseModel):
    """A page of genres."""

    items: list[GenreOut]
    next_cursor: str | None
