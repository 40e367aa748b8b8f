"""What a listener keeps and plays: values and their rules. Nothing here reads or writes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from antiphon_common.errors import FieldError, Invalid
from antiphon_common.principal import Principal

Kind = Literal["track", "album", "playlist"]
CounterName = Literal["likes", "plays"]

COUNTS_FROM_MS = 30_000
_COUNTS_FROM_PERCENT = 90
_OLDEST = timedelta(days=30)
_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Item:
    """A track, album or playlist as its owner's service described it, or the tombstone of one.

    `reachable` is true when anybody who has the id may see it; `card` is what a list shows of it;
    `duration_ms` is known for tracks only.
    """

    kind: Kind
    id: UUID
    owner_id: UUID | None
    reachable: bool
    card: Mapping[str, Any]
    revision: int
    duration_ms: int | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """One thing that a listener liked or saved."""

    user_id: UUID
    kind: Kind
    item_id: UUID
    kept_at: datetime


@dataclass(frozen=True, slots=True)
class Context:
    """Where a play was started from."""

    type: str
    id: UUID | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a client says of one play."""

    play_id: UUID
    track_id: UUID
    listened_ms: int
    started_at: datetime
    context: Context | None = None


@dataclass(frozen=True, slots=True)
class Play:
    """One reported play. `enough` says that it was long enough to count; it counts once a credit backs it."""

    user_id: UUID
    report: Report
    enough: bool
    reported_at: datetime
    credit_id: UUID | None = None

    @property
    def counted(self) -> bool:
        return self.credit_id is not None


@dataclass(frozen=True, slots=True)
class Credit:
    """Proof that enough of a track was streamed to a listener; it backs at most one play."""

    id: UUID
    user_id: UUID
    track_id: UUID
    served_at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """A counter of a track after a change; `revision` counts its changes."""

    track_id: UUID
    value: int
    revision: int


def may_see(item: Item, viewer: Principal) -> bool:
    """Whether the viewer may know anything of the item."""
    return not item.deleted and (item.reachable or viewer.user_id == item.owner_id or viewer.is_admin)


def is_enough(listened_ms: int, duration_ms: int) -> bool:
    """Whether a play was long enough to count: 30 s, or 90 % of a shorter track, and at least something.

    The same whole numbers as stream's, which vouches for as much.
    """
    if duration_ms >= COUNTS_FROM_MS:
        return listened_ms >= COUNTS_FROM_MS
    return listened_ms >= max(1, -(-duration_ms * _COUNTS_FROM_PERCENT // 100))  # rounded up


def pair_up(waiting: Iterable[Play], unspent: Iterable[Credit]) -> dict[UUID, UUID]:
    """Which credit backs which play: of one listener and track the oldest the oldest, as they are given."""
    proofs: defaultdict[tuple[UUID, UUID], list[UUID]] = defaultdict(list)
    for credit in unspent:
        proofs[credit.user_id, credit.track_id].append(credit.id)
    iterators = {pair: iter(ids) for pair, ids in proofs.items()}
    backed = {}
    for play in waiting:
        credit_id = next(iterators.get((play.user_id, play.report.track_id), iter(())), None)
        if credit_id:
            backed[play.report.play_id] = credit_id
    return backed


def check_started(started_at: datetime, now: datetime) -> None:
    """Refuse a play of the future or of long ago. Raises `Invalid`."""
    if now - _OLDEST <= started_at <= now + _AHEAD:
        return
    message = "A play may have started at most 30 days ago, and not in the future."
    field = FieldError("body.started_at", "out_of_bounds", message)
    raise Invalid("started_at_out_of_bounds", message, errors=[field])
