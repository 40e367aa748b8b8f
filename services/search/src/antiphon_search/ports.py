"""What search needs from the outside."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from antiphon_search.domain import Document, Filters, Found, Hit, Kind, Query, SearchRequest


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
