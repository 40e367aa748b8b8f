"""What the inside of the user service needs from outside."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from antiphon_common.clock import Clock
from antiphon_contracts.event import Event
from antiphon_user.domain import Profile

if TYPE_CHECKING:
    from antiphon_common.db import Database


class Profiles(Protocol):
    """All profiles, tombstones included."""

    async def find(self, user_id: UUID) -> Profile | None:
        """The profile, or none when this account was never heard of."""

    async def save(self, profile: Profile) -> None:
        """Store a new or changed profile. Raises `Conflict` when its username is taken."""


class Playlists(Protocol):
    """Which playlists are public: a projection, for the count on a profile."""

    async def revision(self, playlist_id: UUID) -> int:
        """The newest revision applied, 0 when unknown."""

    async def save(self, playlist_id: UUID, *, owner_id: UUID, public: bool, revision: int) -> None:
        """Store what an event said."""


class Unit(Protocol):
    """One transaction."""

    @property
    def profiles(self) -> Profiles: ...

    @property
    def playlists(self) -> Playlists: ...

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
