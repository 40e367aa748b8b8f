"""What the inside of the search service needs from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol
from uuid import UUID

from antiphon_search.domain import Counts, Document, Entry, Filters, Found, Hit, Kind, Query, SearchRequest

if TYPE_CHECKING:
    from antiphon_common.db import Database


class SearchIndex(Protocol):
    """The index port. `Unavailable` from any method means the engine does not answer.

    The index is a copy: everything in it is in our database too and can be put here again at any time.
    """

    async def start(self) -> None:
        """Open, or begin empty where there is nothing usable."""

    async def stop(self) -> None:
        """Let go of everything."""

    async def ping(self) -> None:
        """Raise unless the engine answers."""

    async def stamp(self) -> int | None:
        """The stamp of the last applied batch; none for an empty or unusable index."""

    async def apply(self, puts: Sequence[Document], deletes: Sequence[UUID], *, stamp: int) -> None:
        """Put and delete documents and note the stamp, all or nothing; found by searches when this returns.

        A put replaces the document with the same id; deleting what is not there is no error.
        """

    async def wipe(self) -> None:
        """Begin anew with an empty index without a stamp."""

    async def search(self, request: SearchRequest) -> Found:
        """The best hits of each kind, and exact totals of what the viewer may find."""

    async def suggest(self, query: Query, filters: Filters, *, limit: int) -> tuple[Hit, ...]:
        """The best hits of all kinds together, by their names alone."""

    async def count(self, kind: Kind | None = None) -> int:
        """Documents in the index, whoever may find them."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the index does not hold yet: a document at a version, or (without one) that it is gone."""

    id: UUID
    version: int
    document: Document | None


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


class Backlog(Protocol):
    """What the index does not hold yet, and how far it has come."""

    async def stamp(self) -> int:
        """The stamp of the last batch, 0 before the first."""

    async def next_changes(self, limit: int) -> Sequence[Change]:
        """Some changes, in no order."""

    async def done(self, changes: Sequence[Change], *, stamp: int) -> None:
        """The index holds these now. A document that changed meanwhile stays in the backlog."""

    async def begin_anew(self) -> None:
        """The index is empty: everything that is not buried is in the backlog again, and the stamp is 0."""


class Unit(Protocol):
    """One transaction."""

    @property
    def documents(self) -> Documents: ...

    @property
    def counts(self) -> AllCounts: ...

    @property
    def backlog(self) -> Backlog: ...

    async def first_time(self, consumer: str, event_id: UUID) -> bool:
        """Note the event as handled by this consumer; false when it already was."""


Completeness = Literal["whole", "behind", "partial"]
"""Whether the index holds all documents as they are, lacks the newest changes, or may lack anything."""


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything the routes hold."""

    database: "Database"
    index: SearchIndex
    index_timeout_s: float
    completeness: Callable[[], Completeness]
