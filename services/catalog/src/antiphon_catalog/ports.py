"""What the inside of the catalog service needs from outside."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from antiphon_catalog.domain.credits import Credit
from antiphon_catalog.domain.music import Album, Artist, Counters, Face, Kind, Person, Tally, Track
from antiphon_common.clock import Clock
from antiphon_contracts.event import Event

if TYPE_CHECKING:
    from antiphon_common.db import Database


class Tracks(Protocol):
    """All tracks. With an `owner_id`, a find sees that person's things only; without, everybody's."""

    async def find(self, track_id: UUID, owner_id: UUID | None = None) -> Track | None:
        """The track, locked until the unit ends."""

    async def of_upload(self, upload_id: UUID, owner_id: UUID | None = None) -> Track | None:
        """The track of an upload, locked until the unit ends."""

    async def of_artist(self, artist_id: UUID) -> Sequence[Track]:
        """All tracks that credit the artist."""

    async def of_album(self, album_id: UUID) -> Sequence[Track]:
        """All tracks of an album."""

    async def of_owner(self, owner_id: UUID) -> Sequence[Track]:
        """All tracks somebody uploaded."""

    async def add(self, track: Track, waveform: str) -> None:
        """Store a new track. Raises `Unavailable` when its upload is becoming one elsewhere."""

    async def save(self, track: Track) -> None:
        """Store a changed track."""

    async def save_waveform(self, track_id: UUID, data: str) -> None:
        """Store another waveform of a track."""

    async def delete(self, track: Track) -> None:
        """Forget a track and everything that points to it."""


class Artists(Protocol):
    """All artists."""

    async def find(self, artist_id: UUID, owner_id: UUID | None = None) -> Artist | None:
        """The artist, locked until the unit ends."""

    async def find_or_create(self, owner_id: UUID, name: str, *, at: datetime) -> Artist:
        """The owner's artist of that name, made if there was none; locked until the unit ends."""

    async def of_owner(self, owner_id: UUID) -> Sequence[Artist]:
        """All artists of an owner."""

    async def add(self, artist: Artist) -> None:
        """Store a new artist. Raises `Conflict` when the owner has that name already."""

    async def save(self, artist: Artist) -> None:
        """Store a changed artist. Raises `Conflict` when the owner has that name already."""

    async def delete(self, artist_id: UUID) -> None:
        """Forget an artist that nothing credits."""

    async def tally(self, artist_id: UUID) -> Tally:
        """What credits the artist now."""


class Albums(Protocol):
    """All albums."""

    async def find(self, album_id: UUID, owner_id: UUID | None = None) -> Album | None:
        """The album, locked until the unit ends."""

    async def find_or_create(
        self, owner_id: UUID, title: str, credits_: tuple[Credit, ...], *, kind: Kind, at: datetime
    ) -> Album:
        """The owner's album of that title and first artist, made if there was none; locked."""

    async def of_artist(self, artist_id: UUID) -> Sequence[Album]:
        """All albums credited to the artist."""

    async def of_owner(self, owner_id: UUID) -> Sequence[Album]:
        """All albums of an owner."""

    async def add(self, album: Album) -> None:
        """Store a new album. Raises `Conflict` when the owner has one like it already."""

    async def save(self, album: Album) -> None:
        """Store a changed album. Raises `Conflict` when the owner has one like it already."""

    async def recount(self, album: Album) -> None:
        """Store what follows from an album's tracks: counts, flag, what it borrows."""

    async def delete(self, album_id: UUID) -> None:
        """Forget an album without tracks."""

    async def tally(self, album_id: UUID) -> tuple[Tally, Face]:
        """What the album holds now, and cover and date of its first track, of listed ones if there are."""


class CountersOfTracks(Protocol):
    """What library counted, also before the track is known."""

    async def of(self, track_id: UUID) -> Counters:
        """The counters, zero when nothing was heard yet."""

    async def save(self, counters: Counters) -> None:
        """Store the counters, and on the track if there is one."""


class People(Protocol):
    """Uploaders' names."""

    async def find(self, user_id: UUID) -> Person | None:
        """The person, tombstones included."""

    async def save(self, person: Person) -> None:
        """Store a new or changed person."""


class GoneUploads(Protocol):
    """Uploads that will never be a track (again)."""

    async def has(self, upload_id: UUID) -> bool:
        """Whether this upload is gone."""

    async def add(self, upload_id: UUID) -> None:
        """Remember that it is."""


class Unit(Protocol):
    """One transaction."""

    @property
    def tracks(self) -> Tracks: ...

    @property
    def artists(self) -> Artists: ...

    @property
    def albums(self) -> Albums: ...

    @property
    def counters(self) -> CountersOfTracks: ...

    @property
    def people(self) -> People: ...

    @property
    def gone_uploads(self) -> GoneUploads: ...

    async def announce(self, *events: Event) -> None:
        """Publish these after the commit, and only then."""

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        """Note events as handled by this consumer; those that were not yet."""


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything the routes hold."""

    database: "Database"
    open_unit: Callable[[], AbstractAsyncContextManager[Unit]]
    clock: Clock
