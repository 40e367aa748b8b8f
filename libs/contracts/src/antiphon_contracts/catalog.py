"""Published by catalog: tracks, artists and albums."""

from typing import ClassVar, Literal
from uuid import UUID

from antiphon_contracts.event import Event, Timestamp, Value, Visibility
from antiphon_contracts.file import Audio


class Credit(Value):
    """An artist on a track or album; `join_phrase` is the text printed after the name (" feat. ", " & ")."""

    artist_id: UUID
    name: str
    role: Literal["main", "featured", "remixer", "producer", "composer"] = "main"
    join_phrase: str = ""


class TrackChanged(Event):
    """A track exists and looks like this. `subject` is the track id.

    Listed publicly if and only if `status == "published"` and `visibility == "public"`; playable by anyone
    if published and not private; a draft, withdrawn or private track exists for its owner and admins only.
    """

    type: ClassVar[str] = "catalog.track_changed"

    owner_id: UUID
    upload_id: UUID
    status: Literal["draft", "published", "withdrawn"]
    visibility: Visibility
    title: str
    artists: tuple[Credit, ...]
    album_id: UUID | None = None
    album_title: str | None = None
    disc_number: int | None = None
    track_number: int | None = None
    genres: tuple[str, ...] = ()
    explicit: bool = False
    release_date: str | None = None
    cover_id: UUID | None = None
    dominant_color: str | None = None
    audio: Audio
    created_at: Timestamp


class TrackDeleted(Event):
    """A track is gone. `subject` is the track id."""

    type: ClassVar[str] = "catalog.track_deleted"

    owner_id: UUID
    upload_id: UUID


class ArtistChanged(Event):
    """An artist exists. `listed` is true while at least one publicly listed track credits the artist."""

    type: ClassVar[str] = "catalog.artist_changed"

    owner_id: UUID
    name: str
    listed: bool
    image_id: UUID | None = None


class ArtistDeleted(Event):
    """An artist is gone."""

    type: ClassVar[str] = "catalog.artist_deleted"


class AlbumChanged(Event):
    """An album exists. `listed` is true while it holds at least one publicly listed track."""

    type: ClassVar[str] = "catalog.album_changed"

    owner_id: UUID
    title: str
    kind: Literal["album", "ep", "single", "compilation"]
    artists: tuple[Credit, ...]
    listed: bool
    release_date: str | None = None
    cover_id: UUID | None = None
    dominant_color: str | None = None


class AlbumDeleted(Event):
    """An album is gone."""

    type: ClassVar[str] = "catalog.album_deleted"
