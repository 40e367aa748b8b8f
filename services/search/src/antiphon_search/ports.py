"""What the inside of the search service needs from outside."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar
from uuid import UUID

from antiphon_search.domain import Counts, Document, Entry, Filters, Found, Hit, Kind, Query, SearchRequest

if TYPE_CHECKING:
    from antiphon_common.db import Database


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a document: how it is at this version, or (without one) that it is gone.

    Versions of an id only ever grow, also when it is gone.
    """

    id: UUID
    version: int
    document: Document | None


class SearchIndex(Protocol):
    """The index port. `Unavailable` from any method means that the engine is of no use now; it says why.

    The index is a copy: everything in it is in our database too and can be put here again at any time. Its
    stamp tells how far it has come, and whether it is a copy of our database at all.
    """

    async def start(self) -> None:
        """Open what there is. An engine that is away is no reason to fail."""

    async def stop(self) -> None:
        """Let go of everything."""

    async def ping(self) -> None:
        """Raise unless the engine answers and its index is of our format."""

    async def stamp(self) -> int | None:
        """The highest stamp that was applied; none for a missing or unusable index."""

    async def apply(self, changes: Sequence[Change], *, stamp: int, more: bool = False) -> Mapping[UUID, str]:
        """Put and remove documents and note the stamp: on disk when this returns.

        Found by searches when this returns too, or within a second when `more` follows at once. Applying a
        change again does nothing, and an engine with several writers ignores one that is older than what it
        has. Returns those that the engine refuses for what is in them, with the reason; the others are in.
        """

    async def wipe(self, *, stamp: int) -> None:
        """Begin anew with an empty index that has this stamp."""

    async def search(self, request: SearchRequest) -> Found:
        """The best hits of each kind, and exact totals of what the viewer may find."""

    async def suggest(self, query: Query, filters: Filters, *, limit: int) -> tuple[Hit, ...]:
        """The best hits of all kinds together, by their names alone."""

    async def count(self, kind: Kind | None = None) -> int:
        """Documents in the index, whoever may find them."""


class Guard(Protocol):
    """Stands between the questions of people and the index."""

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer in time. Raises `Unavailable` otherwise, at once while the index is known to fail."""


class Documents(Protocol):
    """Everything that can be found, tombstones included."""

    async def revision(self, document_id: UUID) -> int:
        """The newest revision applied, 0 when unknown."""

    async def put(self, entry: Entry) -> None:
        """Store a new or changed document; the index is behind until it was given it."""

    async def bury(self, document_id: UUID, kind: Kind, *, revision: int) -> None:
        """Leave only a tombstone."""

    async def set_popularity(self, document_id: UUID, popularity: int) -> None:
        """Change how popular a document is, if it is known and this differs."""


class AllCounts(Protocol):
    """Counts of tracks."""

    async def find(self, track_id: UUID) -> Counts:
        """The counts, zero when unknown."""

    async def save(self, track_id: UUID, counts: Counts) -> None:
        """Store new counts."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What to give the index next.

    `stamp` is that of the last batch that was done, none before the first. While the index is filled anew,
    `walking`, every document is visited in the order of ids, and `walked_to` is how far this batch comes:
    none at the end. `more` says that another batch is likely to follow at once.
    """

    stamp: int | None
    waiting: tuple[Change, ...]
    walked: tuple[Change, ...]
    walking: bool
    walked_to: UUID | None
    more: bool

    @property
    def changes(self) -> tuple[Change, ...]:
        return (*self.waiting, *self.walked)


class Backlog(Protocol):
    """What the index does not hold yet, and how far it has come."""

    async def next_batch(self, limit: int) -> Batch:
        """Some changes that wait, in no order, and the next documents of the walk."""

    async def done(self, batch: Batch, refused: Mapping[UUID, str]) -> bool:
        """The index holds these now. A document that changed meanwhile stays in the backlog.

        Nothing is noted, and false returned, when another instance was done with a batch meanwhile.
        """

    async def locked_stamp(self) -> int:
        """The stamp of the last batch; until this unit ends nobody changes it."""

    async def begin_anew(self, *, stamp: int) -> None:
        """The index is empty and has this stamp: the walk begins."""

    async def walk(self, after: UUID | None, limit: int) -> Sequence[Change]:
        """The next documents in the order of ids, from the beginning without `after`; buried ones too."""


class Unit(Protocol):
    """One transaction."""

    @property
    def documents(self) -> Documents: ...

    @property
    def counts(self) -> AllCounts: ...

    @property
    def backlog(self) -> Backlog: ...

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        """Note events as handled by this consumer; those that were not yet."""


Completeness = Literal["whole", "behind", "partial"]
"""Whether the index holds all documents as they are, lacks the newest changes, or may lack anything."""


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything the routes hold."""

    database: "Database"
    index: SearchIndex
    guard: Guard
    completeness: Callable[[], Completeness]
