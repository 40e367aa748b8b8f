"""Questions to and answers of the search service."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from antiphon_search.domain import MAX_QUERY_CHARACTERS

_Q = Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARACTERS, examples=["bohemian rapsody"])]
_Genre = Annotated[str, Field(min_length=1, max_length=100, examples=["rock"])]
_Year = Annotated[int, Field(ge=0, le=9999, examples=[1975])]
_KINDS = "^(tracks?|artists?|albums?|playlists?)(,(tracks?|artists?|albums?|playlists?))*$"


class SuggestIn(BaseModel):
    """What was typed so far."""

    model_config = ConfigDict(extra="forbid")

    q: _Q
    limit: Annotated[int, Field(ge=1, le=8)] = 8


class KindSearchIn(BaseModel):
    """A question about one kind of thing."""

    model_config = ConfigDict(extra="forbid")

    q: _Q
    genre: _Genre | None = Field(default=None, description="Only with this genre, however it is spelt")
    year_from: _Year | None = None
    year_to: _Year | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="Of the page before; pages end after 1,000 hits"
    )


class SearchIn(BaseModel):
    """A question about everything."""

    model_config = ConfigDict(extra="forbid")

    q: _Q
    types: Annotated[str, Field(pattern=_KINDS, max_length=80)] | None = Field(
        default=None, description="Only these kinds, with commas between", examples=["track,artist"]
    )
    genre: _Genre | None = Field(default=None, description="Only with this genre, however it is spelt")
    year_from: _Year | None = None
    year_to: _Year | None = None
    limit: Annotated[int, Field(ge=1, le=50, description="Hits of each kind")] = 10


class Highlight(BaseModel):
    """Where a word of the query is: code points `start` up to `end` of the text at `field`."""

    field: str = Field(examples=["title", "artists.0.name", "album.title"])
    start: int
    end: int


class CreditOut(BaseModel):
    """An artist on a track or album."""

    id: UUID
    name: str
    role: str
    join_phrase: str


class AlbumRef(BaseModel):
    """The album of a track."""

    id: UUID
    title: str | None


class TrackHit(BaseModel):
    """A found track."""

    kind: Literal["track"]
    id: UUID
    title: str
    artists: list[CreditOut]
    album: AlbumRef | None
    duration_ms: int
    genres: list[str]
    explicit: bool
    release_date: str | None
    cover: UUID | None
    dominant_color: str | None
    status: Literal["draft", "published", "withdrawn"]
    visibility: Literal["public", "unlisted", "private"]
    highlights: list[Highlight]


class ArtistHit(BaseModel):
    """A found artist."""

    kind: Literal["artist"]
    id: UUID
    name: str
    image: UUID | None
    highlights: list[Highlight]


class AlbumHit(BaseModel):
    """A found album."""

    kind: Literal["album"]
    id: UUID
    title: str
    type: Literal["album", "ep", "single", "compilation"]
    artists: list[CreditOut]
    release_date: str | None
    cover: UUID | None
    dominant_color: str | None
    highlights: list[Highlight]


class PlaylistHit(BaseModel):
    """A found playlist."""

    kind: Literal["playlist"]
    id: UUID
    title: str
    description: str | None
    owner_id: UUID
    item_count: int
    cover: UUID | None
    visibility: Literal["public", "unlisted", "private"]
    highlights: list[Highlight]


class TracksOut(BaseModel):
    """Found tracks, best first, and how many there are in all."""

    items: list[TrackHit]
    total: int


class ArtistsOut(BaseModel):
    """Found artists, best first, and how many there are in all."""

    items: list[ArtistHit]
    total: int


class AlbumsOut(BaseModel):
    """Found albums, best first, and how many there are in all."""

    items: list[AlbumHit]
    total: int


class PlaylistsOut(BaseModel):
    """Found playlists, best first, and how many there are in all."""

    items: list[PlaylistHit]
    total: int


class _Read(BaseModel):
    did_you_mean: str | None = Field(
        description="The query as the best hit would spell it, if it was misspelt"
    )
    degraded: bool = Field(description="The index is behind: something may be missing")


class SearchOut(_Read):
    """What was found. `top` is the best of all kinds; a kind that was not asked for is empty."""

    top: TrackHit | ArtistHit | AlbumHit | PlaylistHit | None
    tracks: TracksOut
    artists: ArtistsOut
    albums: AlbumsOut
    playlists: PlaylistsOut


class TrackPage(_Read, TracksOut):
    """One page of tracks."""

    next_cursor: str | None


class ArtistPage(_Read, ArtistsOut):
    """One page of artists."""

    next_cursor: str | None


class AlbumPage(_Read, AlbumsOut):
    """One page of albums."""

    next_cursor: str | None


class PlaylistPage(_Read, PlaylistsOut):
    """One page of playlists."""

    next_cursor: str | None


class Suggestion(BaseModel):
    """Something whose name begins like what was typed."""

    text: str
    kind: Literal["track", "artist", "album", "playlist"]
    id: UUID
    highlights: list[Highlight]


class SuggestOut(BaseModel):
    """Up to eight suggestions, best first, no name twice."""

    items: list[Suggestion]
    degraded: bool
