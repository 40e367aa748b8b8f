"""Requests and answers of the library service."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from antiphon_common.web.fields import STRICT, Id, Moment
from antiphon_library.domain import Context, Report

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]

_EXAMPLE_ID = "01920000-0000-7000-8000-000000000001"
_DAY_MS = 86_400_000


class TrackIn(BaseModel):
    """A track to like."""

    model_config = STRICT

    track_id: Id = Field(examples=[_EXAMPLE_ID])


class AlbumIn(BaseModel):
    """An album to save."""

    model_config = STRICT

    album_id: Id = Field(examples=[_EXAMPLE_ID])


class PlaylistIn(BaseModel):
    """A playlist to save."""

    model_config = STRICT

    playlist_id: Id = Field(examples=[_EXAMPLE_ID])


class ContextIn(BaseModel):
    """Where the play was started from."""

    model_config = STRICT

    type: Literal["album", "artist", "playlist", "liked", "search", "queue", "home"]
    id: Id | None = None


class PlayIn(BaseModel):
    """One play. `listened_ms` is what was really heard; pauses and skipped parts are not in it."""

    model_config = STRICT

    play_id: Id = Field(description="Made by the client, a new one for every play", examples=[_EXAMPLE_ID])
    track_id: Id = Field(examples=[_EXAMPLE_ID])
    listened_ms: Annotated[int, Field(ge=0, le=_DAY_MS, examples=[61_000])]
    started_at: Moment = Field(description="At most 30 days ago, and not in the future")
    context: ContextIn | None = None

    def report(self) -> Report:
        """The same for the inside."""
        context = Context(self.context.type, self.context.id) if self.context else None
        return Report(self.play_id, self.track_id, self.listened_ms, self.started_at, context)


class KeptOut(BaseModel):
    """A like or save, and since when."""

    id: UUID
    added_at: Time


class ContainedOut(BaseModel):
    """Whether one thing is in my library."""

    id: UUID
    contained: bool


class ContainedList(BaseModel):
    """The answer for each id, once and in the order asked."""

    items: list[ContainedOut]


class ArtistOut(BaseModel):
    """One of the artists; `join_phrase` is printed after the name."""

    id: UUID
    name: str
    role: str
    join_phrase: str


class AlbumRef(BaseModel):
    """The album a track is on."""

    id: UUID
    title: str | None


class TrackOut(BaseModel):
    """A track."""

    id: UUID
    title: str
    artists: list[ArtistOut]
    album: AlbumRef | None
    duration_ms: int
    explicit: bool
    cover: UUID | None
    dominant_color: str | None


class AlbumOut(BaseModel):
    """An album."""

    id: UUID
    title: str
    type: Literal["album", "ep", "single", "compilation"]
    artists: list[ArtistOut]
    release_date: str | None
    cover: UUID | None
    dominant_color: str | None


class PlaylistOut(BaseModel):
    """A playlist."""

    id: UUID
    title: str
    description: str | None
    visibility: Literal["public", "unlisted", "private"]
    item_count: int
    cover: UUID | None
    owner_id: UUID


class KeptTrack(BaseModel):
    """A liked track."""

    added_at: Time
    track: TrackOut


class KeptAlbum(BaseModel):
    """A saved album."""

    added_at: Time
    album: AlbumOut


class KeptPlaylist(BaseModel):
    """A saved playlist."""

    added_at: Time
    playlist: PlaylistOut


class TrackPage(BaseModel):
    """Some liked tracks."""

    items: list[KeptTrack]
    next_cursor: str | None


class AlbumPage(BaseModel):
    """Some saved albums."""

    items: list[KeptAlbum]
    next_cursor: str | None


class PlaylistPage(BaseModel):
    """Some saved playlists."""

    items: list[KeptPlaylist]
    next_cursor: str | None


class PlayOut(BaseModel):
    """What became of a report; `counted` may turn true later, when stream has vouched for the play."""

    play_id: UUID
    counted: bool


class RecentOut(BaseModel):
    """A track and when it was last played."""

    played_at: Time
    track: TrackOut


class RecentPage(BaseModel):
    """Some recently played tracks."""

    items: list[RecentOut]
    next_cursor: str | None


class ContextOut(BaseModel):
    """Where a play was started from."""

    type: str
    id: UUID | None


class HistoryOut(BaseModel):
    """One play."""

    play_id: UUID
    track: TrackOut
    started_at: Time
    listened_ms: int
    counted: bool
    context: ContextOut | None


class HistoryPage(BaseModel):
    """Some plays."""

    items: list[HistoryOut]
    next_cursor: str | None
