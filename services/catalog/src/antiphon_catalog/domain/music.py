"""Tracks, artists and albums, and what may be seen of them."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from antiphon_catalog.domain.credits import Credit
from antiphon_catalog.domain.folding import fold, sort_key
from antiphon_common.errors import Conflict
from antiphon_contracts.event import Visibility
from antiphon_contracts.file import Audio

Status = Literal["draft", "published", "withdrawn"]
Kind = Literal["album", "ep", "single", "compilation"]

MOST_DISCS = 999
MOST_TRACKS = 9_999
MOST_GENRES = 10

RELEASE_DATE = "^[12][0-9]{3}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?$"
"""`YYYY`, `YYYY-MM` or `YYYY-MM-DD`."""

_LAST = 99_999


@dataclass(frozen=True, slots=True)
class AlbumRef:
    """The album of a track, as far as a track shows it."""

    id: UUID
    title: str


@dataclass(frozen=True, slots=True)
class Track:
    """One recording that was uploaded. `upload_revision` is the newest revision of the upload applied."""

    id: UUID
    owner_id: UUID
    upload_id: UUID
    upload_revision: int
    status: Status
    visibility: Visibility
    title: str
    credits: tuple[Credit, ...]
    album: AlbumRef | None
    disc_number: int | None
    track_number: int | None
    genres: tuple[str, ...]
    explicit: bool
    release_date: str | None
    cover_id: UUID | None
    dominant_color: str | None
    audio: Audio
    created_at: datetime
    published_at: datetime | None = None
    like_count: int = 0
    play_count: int = 0
    revision: int = 0

    @property
    def listed(self) -> bool:
        """Whether everybody finds it in lists: the one rule of visibility that lists and counts follow."""
        return self.status == "published" and self.visibility == "public"

    @property
    def position(self) -> int:
        """Its place on an album: by disc, then number; without a number at the end of the disc."""
        return (self.disc_number or 1) * (_LAST + 1) + (self.track_number or _LAST)

    @property
    def release_year(self) -> int | None:
        return int(self.release_date[:4]) if self.release_date else None

    @property
    def album_id(self) -> UUID | None:
        return self.album.id if self.album else None

    @property
    def artist_ids(self) -> set[UUID]:
        return {credit.artist_id for credit in self.credits}

    @property
    def genre_names(self) -> dict[str, str]:
        """Genres by their key, as written."""
        return {fold(genre): genre for genre in self.genres if fold(genre)}


@dataclass(frozen=True, slots=True)
class Artist:
    """Somebody who is credited. One owner has each name once.

    `automatic` artists were made of an upload and go with their last track. `listed`, `track_count` and
    `play_count` speak of publicly listed tracks only. Revision 0 means that nobody was told yet.
    """

    id: UUID
    owner_id: UUID
    name: str
    automatic: bool
    created_at: datetime
    image_id: UUID | None = None
    listed: bool = False
    listed_at: datetime | None = None
    track_count: int = 0
    play_count: int = 0
    revision: int = 0

    @property
    def name_key(self) -> str:
        return fold(self.name)


@dataclass(frozen=True, slots=True)
class Album:
    """Tracks that were released together. One owner has each title by the same first artist once.

    `own_cover` is false while the cover is borrowed from its tracks. The counts are as an artist's.
    """

    id: UUID
    owner_id: UUID
    title: str
    kind: Kind
    credits: tuple[Credit, ...]
    automatic: bool
    created_at: datetime
    release_date: str | None = None
    own_release_date: bool = False
    cover_id: UUID | None = None
    dominant_color: str | None = None
    own_cover: bool = False
    listed: bool = False
    listed_at: datetime | None = None
    track_count: int = 0
    play_count: int = 0
    revision: int = 0

    @property
    def title_key(self) -> str:
        return sort_key(self.title)

    @property
    def identity(self) -> str:
        """What makes it the same album to an upload: its folded title and its first artist."""
        return album_identity(self.title, self.credits)

    @property
    def artist_ids(self) -> set[UUID]:
        return {credit.artist_id for credit in self.credits}


@dataclass(frozen=True, slots=True)
class Tally:
    """What an artist or album has. Everything after `albums` is of publicly listed tracks only."""

    tracks: int
    albums: int
    listed_tracks: int
    play_count: int


@dataclass(frozen=True, slots=True)
class Face:
    """What an album borrows from its tracks."""

    cover_id: UUID | None
    dominant_color: str | None
    release_date: str | None


@dataclass(frozen=True, slots=True)
class Counters:
    """What library counted for a track, each with the revision that said so."""

    track_id: UUID
    like_count: int = 0
    like_revision: int = 0
    play_count: int = 0
    play_revision: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """An uploader's public name; `deleted` is the tombstone of an account."""

    user_id: UUID
    name: str
    revision: int
    deleted: bool = False


def album_identity(title: str, credits_: Sequence[Credit]) -> str:
    """A key of fixed length for an album of one owner."""
    first = str(credits_[0].artist_id) if credits_ else ""
    return hashlib.blake2b(f"{fold(title)}\x1f{first}".encode(), digest_size=16).hexdigest()


def is_date(text: str | None) -> bool:
    """Whether the text is a release date."""
    return text is not None and re.match(RELEASE_DATE, text) is not None and not text.endswith("\n")


def check_publishable(track: Track) -> None:
    """Raise `Conflict` unless the track says what it is and who made it."""
    if not track.title or not track.credits:
        raise Conflict("track_incomplete", "A track needs a title and an artist before it is published.")
