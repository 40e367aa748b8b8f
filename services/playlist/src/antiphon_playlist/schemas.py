"""Requests and answers of the playlist service."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from antiphon_common.web.fields import STRICT, Id, Line, Prose
from antiphon_playlist.domain import Visibility

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_EXAMPLE_ID = "01920000-0000-7000-8000-000000000001"


class PlaylistIn(BaseModel):
    """A new playlist."""

    model_config = STRICT

    title: Line = Field(examples=["Rainy Sunday"])
    description: Prose | None = Field(default=None, examples=["Slow and warm."])
    cover: Id | None = Field(default=None, description="An image of the file service")
    visibility: Visibility = "private"


class PlaylistPatch(BaseModel):
    """The fields to change; what is not sent stays. `null` clears what may be empty."""

    model_config = STRICT

    title: Line = Field(default="", examples=["Rainy Sunday"])
    description: Prose | None = None
    cover: Id | None = None
    visibility: Visibility = "private"


class TracksIn(BaseModel):
    """Tracks to add. Without `after_item_id` they go to the end, with `null` to the beginning."""

    model_config = STRICT

    track_ids: Annotated[list[Id], Field(min_length=1, max_length=100, examples=[[_EXAMPLE_ID]])]
    after_item_id: Id | None = Field(default=None, examples=[_EXAMPLE_ID])


class MoveIn(BaseModel):
    """Where the item goes: after this one, or with `null` to the beginning."""

    model_config = STRICT

    after_item_id: Id | None = Field(examples=[_EXAMPLE_ID])


class OwnerOut(BaseModel):
    """Whose playlist it is; `name` is null for a moment after registration."""

    id: UUID
    name: str | None


class PlaylistOut(BaseModel):
    """One playlist without its items."""

    id: UUID
    title: str
    description: str | None
    cover: UUID | None
    visibility: Visibility
    owner: OwnerOut
    item_count: int
    revision: int
    created_at: Time
    updated_at: Time


class PlaylistPage(BaseModel):
    """Some playlists."""

    items: list[PlaylistOut]
    next_cursor: str | None


class ArtistOut(BaseModel):
    """One of a track's artists; `join_phrase` is printed after the name."""

    id: UUID
    name: str
    role: str
    join_phrase: str


class AlbumOut(BaseModel):
    """The album a track is on."""

    id: UUID
    title: str | None


class TrackOut(BaseModel):
    """A track that the caller may see."""

    id: UUID
    available: Literal[True]
    title: str
    artists: list[ArtistOut]
    album: AlbumOut | None
    duration_ms: int
    explicit: bool
    cover: UUID | None
    dominant_color: str | None


class TombstoneOut(BaseModel):
    """A track that is gone, or that the caller may not see: both look the same."""

    id: UUID
    available: Literal[False]


class ItemOut(BaseModel):
    """One item of a playlist."""

    item_id: UUID
    track: TrackOut | TombstoneOut
    added_by: UUID
    added_at: Time


class ItemPage(BaseModel):
    """Some items, in the playlist's order."""

    items: list[ItemOut]
    next_cursor: str | None


class AddedItemOut(BaseModel):
    """One new item."""

    item_id: UUID
    track_id: UUID


class AddedOut(BaseModel):
    """What was added, in order, and what the playlist is now."""

    items: list[AddedItemOut]
    item_count: int
    revision: int


class RevisionOut(BaseModel):
    """The playlist's present revision."""

    revision: int
