"""What the inside of the playlist service needs from outside."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from antiphon_common.clock import Clock
from antiphon_contracts.event import Event
from antiphon_playlist.domain import Item, Person, Playlist, Spot, Track

if TYPE_CHECKING:
    from antiphon_common.db import Database


class Playlists(Protocol):
    """All playlists. Whoever has found one holds it: other units wait until this one ends."""

    async def find(self, playlist_id: UUID) -> Playlist | None:
        """The playlist, locked, or none."""

    async def of_owner(self, owner_id: UUID) -> Sequence[Playlist]:
        """All of one owner, locked."""

    async def save(self, playlist: Playlist) -> None:
        """Store a new or changed playlist."""

    async def delete(self, playlist_id: UUID) -> None:
        """Remove a playlist and its items."""


class Items(Protocol):
    """What is in the playlists, in order. Its caller holds the playlist."""

    async def find(self, playlist_id: UUID, item_id: UUID) -> Item | None:
        """The item, or none when it is not in this playlist."""

    async def neighbours(
        self, playlist_id: UUID, spot: Spot, *, without: UUID | None = None
    ) -> tuple[int | None, int | None] | None:
        """The places around a spot, as if the item `without` were not there; none for an unknown item."""

    async def present(self, playlist_id: UUID, track_ids: Sequence[UUID]) -> frozenset[UUID]:
        """Those of the tracks that the playlist holds."""

    async def add(self, items: Sequence[Item]) -> None:
        """Store new items."""

    async def move(self, item_id: UUID, position: int) -> None:
        """Put an item at a free place."""

    async def remove(self, item_id: UUID) -> None:
        """Take one item out."""

    async def remove_track(self, playlist_id: UUID, track_id: UUID) -> int:
        """Take every occurrence of a track out; how many there were."""

    async def spread(self, playlist_id: UUID) -> None:
        """Move all items apart, in their order."""


class Tracks(Protocol):
    """What catalog said of tracks: a projection."""

    async def find(self, track_ids: Sequence[UUID]) -> Mapping[UUID, Track]:
        """Those that are known, tombstones included."""

    async def hold(self, track_id: UUID) -> Track | None:
        """One of them; nobody else changes or makes it until the unit ends."""

    async def save(self, track: Track) -> None:
        """Store what an event said."""


class People(Protocol):
    """The owners' names: a projection. It also serialises what concerns one account."""

    async def hold(self, user_id: UUID) -> Person:
        """The person, locked; one never heard of is an empty one."""

    async def save(self, person: Person) -> None:
        """Store what an event said."""


class Unit(Protocol):
    """One transaction."""

    @property
    def playlists(self) -> Playlists: ...

    @property
    def items(self) -> Items: ...

    @property
    def tracks(self) -> Tracks: ...

    @property
    def people(self) -> People: ...

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
