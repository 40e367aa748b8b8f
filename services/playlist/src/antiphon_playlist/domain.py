"""Playlists: values and their rules, above all where an item stands. Nothing here reads or writes.

An item's place is an integer, and neighbours are far apart, so that most insertions and moves touch one row.
When there is no room left between two neighbours, all items of that playlist are spread out again over
numbers that none of them had (`spread_from`), which keeps places unique at every moment of the change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from antiphon_common.principal import Principal

Visibility = Literal["public", "unlisted", "private"]
Spot = UUID | Literal["first", "last"]
"""Where to put items: after the item with this id, before all, or behind all."""

MAX_ITEMS = 10_000
GAP = 1 << 32
_FARTHEST = 1 << 61


@dataclass(frozen=True, slots=True)
class Playlist:
    """One playlist. `revision` counts its changes, `layout` how often its places were spread out again."""

    id: UUID
    owner_id: UUID
    title: str
    description: str | None
    cover_id: UUID | None
    visibility: Visibility
    item_count: int
    revision: int
    layout: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Item:
    """One track at one place of a playlist."""

    id: UUID
    playlist_id: UUID
    track_id: UUID
    position: int
    added_by: UUID
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Track:
    """A track as catalog described it, or the tombstone of one.

    `reachable` is true when anybody who has the id may see it (published and not private); `card` is what a
    playlist shows of it.
    """

    id: UUID
    owner_id: UUID
    reachable: bool
    card: Mapping[str, Any]
    revision: int
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """A playlist's owner: the name to show; `deleted` is the tombstone of the account."""

    user_id: UUID
    name: str | None = None
    revision: int = 0
    deleted: bool = False


def may_read(playlist: Playlist, viewer: Principal | None) -> bool:
    """Whether the viewer may know that the playlist exists."""
    if playlist.visibility != "private":
        return True
    return viewer is not None and (viewer.user_id == playlist.owner_id or viewer.is_admin)


def may_see(track: Track, viewer: Principal) -> bool:
    """Whether the viewer may know anything of the track."""
    return not track.deleted and (track.reachable or viewer.user_id == track.owner_id or viewer.is_admin)


def without_repeats(track_ids: Sequence[UUID], present: frozenset[UUID]) -> list[UUID]:
    """The tracks that are not there yet, each once, in their order."""
    return [track_id for track_id in dict.fromkeys(track_ids) if track_id not in present]


def places(low: int | None, high: int | None, count: int) -> list[int] | None:
    """`count` rising places between two neighbours (none: the end of the list), or none without room."""
    if low is None and high is None:
        first, step = GAP, GAP
    elif low is None:
        assert high is not None
        first, step = high - GAP * count, GAP
    elif high is None:
        first, step = low + GAP, GAP
    else:
        step = (high - low) // (count + 1)
        first = low + step
    last = first + step * (count - 1)
    if step < 1 or first < -_FARTHEST or last > _FARTHEST:
        return None
    return [first + step * index for index in range(count)]


def spread_from(lowest: int, highest: int, count: int) -> int:
    """The first of `count` new places, `GAP` apart, none of which lies between `lowest` and `highest`.

    It goes to the side of zero that is less used, so the numbers stay small however often it happens.
    """
    if lowest + highest <= 0:
        return highest + GAP
    return lowest - GAP * count
