"""What the inside of the library service needs from outside."""

from collections.abc import Callable, Mapping, Sequence
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

    async def add(self, keep: Keep) -> None:
        """Store a new one."""

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

    async def waiting(self, user_id: UUID, track_id: UUID) -> Play | None:
        """The oldest play that was long enough and has no credit yet."""

    async def add(self, play: Play) -> None:
        """Store a new play. Raises `Conflict` when somebody else has just used its id."""

    async def back(self, play_id: UUID, credit_id: UUID) -> None:
        """Note that a credit backs this play."""

    async def note_recent(self, user_id: UUID, track_id: UUID, played_at: datetime) -> None:
        """Remember when a track was last played; an older time changes nothing."""

    async def clear(self, user_id: UUID) -> Mapping[UUID, int]:
        """Remove all of a listener; how many counted plays each track loses."""


class Credits(Protocol):
    """Proofs of streaming."""

    async def known(self, credit_id: UUID) -> bool:
        """Whether this credit was seen before."""

    async def unspent(self, user_id: UUID, track_id: UUID) -> Credit | None:
        """The oldest credit that backs no play yet."""

    async def add(self, credit: Credit) -> None:
        """Store a new credit."""

    async def spend(self, credit_id: UUID) -> None:
        """Note that it backs a play."""

    async def erase(self, user_id: UUID) -> None:
        """Make the credits of a listener useless and nameless."""


class Counters(Protocol):
    """The counters of the tracks."""

    async def add(self, name: CounterName, steps: Mapping[UUID, int]) -> Sequence[Count]:
        """Add a step to each track's counter; what they are now."""


class Listeners(Protocol):
    """The accounts. Holding one serialises everything that one listener does."""

    async def hold(self, user_id: UUID) -> bool:
        """Lock the account's row; whether the account still exists."""

    async def bury(self, user_id: UUID) -> None:
        """Leave the tombstone of a deleted account."""


class Unit(Protocol):
    """One transaction."""

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
