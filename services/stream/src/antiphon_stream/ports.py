"""What the inside of the stream service needs from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from antiphon_common.clock import Clock
from antiphon_contracts.event import Event
from antiphon_stream.domain import Heard, KeyRing, Track

if TYPE_CHECKING:
    from antiphon_stream.queries import Tickets, TrackCache


class Tracks(Protocol):
    """All tracks, tombstones included."""

    async def revision(self, track_id: UUID) -> int:
        """The newest revision applied, 0 when unknown."""

    async def save(self, track: Track) -> None:
        """Store a new or changed track."""

    async def bury(self, track_id: UUID, *, owner_id: UUID, revision: int) -> None:
        """Leave only a tombstone."""


class Unit(Protocol):
    """One transaction."""

    @property
    def tracks(self) -> Tracks: ...

    async def announce(self, *events: Event) -> None:
        """Publish these after the commit, and only then."""

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        """Note events as handled by this consumer; those that were not yet."""


class Readable(Protocol):
    """A file, open for reading."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    async def read(self, offset: int, length: int) -> bytes:
        """These bytes or the first of them, none only behind the end. Raises `Unavailable`."""

    def close(self) -> None:
        """Let go of it."""


class Store(Protocol):
    """Where the files are."""

    async def open(self, key: str) -> Readable:
        """The file under a key. Raises `NotFound` or `Unavailable`."""


@dataclass(slots=True)
class Handle:
    """An open file on loan to `users` readers; once it is not `kept`, the last of them has it closed."""

    blob: Readable
    users: int = 0
    kept: bool = True
    used_at: float = 0.0


class OpenBlobs(Protocol):
    """Lends open blobs."""

    async def acquire(self, key: str) -> Handle:
        """The blob under a key, until it is released. Raises `NotFound` or `Unavailable`."""

    def release(self, handle: Handle) -> None:
        """Let go of what was acquired."""


class Books(Protocol):
    """Keeps account of what was served."""

    def served(self, heard: Heard, track: Track, start: int, end: int) -> None:
        """Note that bytes `start` up to `end` of a track went out."""


class Keys(Protocol):
    """The signing keys."""

    @property
    def ring(self) -> KeyRing: ...


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything the routes hold. A listener who takes no block for `stalled_seconds` is hung up on."""

    tracks: "TrackCache"
    tickets: "Tickets"
    blobs: OpenBlobs
    books: Books
    keys: Keys
    clock: Clock
    stalled_seconds: float
