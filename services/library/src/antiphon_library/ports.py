"""What the inside of the library service needs from outside."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from antiphon_common.clock import Clock
from antiphon_contracts.event import Event
from antiphon_library.domain import Count, CounterName, Credit, Item, Keep, Kind, Play

if TYPE_CHECKING:
    from antiphon_common.db import Database


Pair = tuple[UUID, UUID]  # listener and track
Step = tuple[CounterName, UUID]


class Items(Protocol):
    """What catalog and playlist said of their things: a projection."""

    async def find(self, kind: Kind, item_id: UUID) -> Item | None:
        """The item, tombstones included, or none when it is unknown."""

    async def hold(self, kind: Kind, item_id: UUID) -> Item | None:
        """The same, and nobody else changes or makes it until the unit ends."""

    async def save(self, item: Item) -> None:
        """Store what an event said."""


class Keeps(Protocol):
    """All likes and saves."""

    async def add(self, keep: Keep) -> bool:
        """Store a new one; false when it is there already."""

    async def remove(self, user_id: UUID, kind: Kind, item_id: UUID) -> bool:
        """Remove it; false when it was not there."""

    async def find(self, user_id: UUID, kind: Kind, item_id: UUID) -> Keep | None:
        """The like or save, or none."""

    async def clear(self, user_id: UUID) -> Sequence[UUID]:
        """Remove everything of a listener; the tracks among it."""


class Plays(Protocol):
    """All reported plays."""

    async def find(self, play_id: UUID) -> Play | None:
        """The play, or none."""

    async def hold(self, pairs: Collection[Pair]) -> None:
        """Nobody else matches plays and credits of these until the unit ends."""

    async def waiting(self, pairs: Collection[Pair]) -> Sequence[Play]:
        """The plays that were long enough and have no credit yet, the oldest first."""

    async def add(self, play: Play) -> bool:
        """Store a new play; false when its id was used already."""

    async def back(self, credits_: Mapping[UUID, UUID]) -> None:
        """Note which credit backs which play."""

    async def note_recent(self, user_id: UUID, track_id: UUID, played_at: datetime) -> None:
        """Remember when a track was last played; an older time changes nothing."""

    async def clear(self, user_id: UUID) -> Mapping[UUID, int]:
        """Remove all of a listener; how many counted plays each track loses."""


class Credits(Protocol):
    """Proofs of streaming."""

    async def unspent(self, pairs: Collection[Pair]) -> Sequence[Credit]:
        """The credits that back no play yet, the oldest first."""

    async def add(self, credits_: Sequence[Credit]) -> set[UUID]:
        """Store those that were never seen before; their ids."""

    async def spend(self, credit_ids: Collection[UUID]) -> None:
        """Note that these back a play."""

    async def erase(self, user_id: UUID) -> None:
        """Make the credits of a listener useless and nameless."""


class Counters(Protocol):
    """The counters of the tracks."""

    async def add(self, steps: Mapping[Step, int]) -> Sequence[tuple[CounterName, Count]]:
        """Add to each of these counters; what they are now. Nobody else changes them until the unit ends."""


class Listeners(Protocol):
    """The accounts. Many units may be at work for one, but only one that empties it, and then no other."""

    async def enter(self, user_ids: Collection[UUID]) -> set[UUID]:
        """Those of them that still exist; nobody empties or deletes them until the unit ends."""

    async def hold(self, user_id: UUID) -> None:
        """Be the only unit that is at work for this listener."""

    async def bury(self, user_id: UUID) -> None:
        """Leave the tombstone of a deleted account."""


class Unit(Protocol):
    """One transaction. `served` and `steps` are what `usecases.finish` does to credits and counters."""

    served: list[Credit]
    steps: Counter[Step]

    @property
    def items(self) -> Items: ...

    @property
    def keeps(self) -> Keeps: ...

    @property
    def plays(self) -> Plays: ...

    @property
    def credits(self) -> Credits: ...

    @property
    def counters(self) -> Counters: ...

    @property
    def listeners(self) -> Listeners: ...

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
