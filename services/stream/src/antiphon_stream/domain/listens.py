"""Listens: which bytes of a track really went to a listener, and when they were enough to count as a play.

Only bytes that had not been served before in the same listen count, so repeating one range earns nothing.
After a credit, bytes that are served a second time belong to the next pass, which earns a credit of its own.
However many listens one user opens, the next credit for the same track comes at the earliest after as much
real time as a credit is worth: nobody can earn faster than one can listen.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

COUNTS_FROM_MS = 30_000
_COUNTS_FROM_PERCENT = 90
_MOST_GAPS = 128


@dataclass(frozen=True, slots=True)
class Heard:
    """What was listened to by whom. `listen` is a ticket's or a session's id."""

    user_id: UUID
    track_id: UUID
    listen: UUID

    @property
    def key(self) -> tuple[int, int]:
        """The place in the accumulators: a listen belongs to one user, and integers are hashed quickly."""
        return self.listen.int, self.track_id.int

    @property
    def earner(self) -> tuple[int, int]:
        """Who earns credits for what, in whichever listen."""
        return self.user_id.int, self.track_id.int


@dataclass(frozen=True, slots=True)
class Credit:
    """Enough of a track was served to count as one play."""

    heard: Heard
    served_ms: int
    started_at: datetime
    served_at: datetime


class Coverage:
    """A set of byte positions, as at most 128 sorted disjoint stretches; what does not fit is not counted."""

    __slots__ = ("_edges", "total")

    def __init__(self) -> None:
        # Even places begin a stretch, odd places end it.
        self._edges: list[int] = []
        self.total = 0

    def add(self, start: int, end: int) -> list[tuple[int, int]]:
        """Cover `start` up to `end`; the stretches of it that were covered before."""
        if start >= end:
            return []
        edges = self._edges
        first, last = bisect_left(edges, start), bisect_right(edges, end)
        known = self._overlaps(start, end, first, last)
        if len(edges) >= 2 * _MOST_GAPS and first == last and first % 2 == 0:
            return known
        new = ([start] if first % 2 == 0 else []) + ([end] if last % 2 == 0 else [])
        edges[first:last] = new
        self.total += (end - start) - sum(b - a for a, b in known)
        return known

    def _overlaps(self, start: int, end: int, first: int, last: int) -> list[tuple[int, int]]:
        inside = self._edges[first:last]
        if first % 2 == 1:
            inside = [start, *inside]
        if last % 2 == 1:
            inside = [*inside, end]
        return [(a, b) for a, b in zip(inside[::2], inside[1::2], strict=True) if a < b]


@dataclass(slots=True)
class _Listen:
    started_at: datetime
    served: Coverage = field(default_factory=Coverage)
    again: Coverage = field(default_factory=Coverage)
    again_since: datetime | None = None
    credited: bool = False


class Ledger:
    """The accumulators of all listens and the times of the last credits, at most `capacity` of each; the one
    unused for longest is forgotten first.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._listens: OrderedDict[tuple[int, int], _Listen] = OrderedDict()
        self._credited_at: OrderedDict[tuple[int, int], datetime] = OrderedDict()

    def __len__(self) -> int:
        return len(self._listens)

    @property
    def credited(self) -> int:
        """How many times of a last credit are remembered."""
        return len(self._credited_at)

    def served(
        self, heard: Heard, start: int, end: int, *, size: int, duration_ms: int, at: datetime
    ) -> Credit | None:
        """Note that bytes `start` up to `end` of `size` went out at `at`; a credit when they were enough."""
        key = heard.key
        listen = self._listens.get(key)
        if listen is None:
            listen = self._listens[key] = _Listen(started_at=at)
            if len(self._listens) > self._capacity:
                self._listens.popitem(last=False)
        self._listens.move_to_end(key)
        for repeated in listen.served.add(start, end):
            listen.again_since = listen.again_since or at
            listen.again.add(*repeated)
        needed = needed_ms(duration_ms)
        heard_ms = _milliseconds(listen.again if listen.credited else listen.served, size, duration_ms)
        if heard_ms < needed or not self._rested(heard, needed, at):
            return None
        if listen.credited:
            _begin_next_pass(listen, at)
        listen.credited = True
        self._note_credit(heard, at)
        return Credit(heard, heard_ms, listen.started_at, at)

    def _rested(self, heard: Heard, needed: int, at: datetime) -> bool:
        last = self._credited_at.get(heard.earner)
        return last is None or at - last >= timedelta(milliseconds=needed)

    def _note_credit(self, heard: Heard, at: datetime) -> None:
        self._credited_at[heard.earner] = at
        self._credited_at.move_to_end(heard.earner)
        if len(self._credited_at) > self._capacity:
            self._credited_at.popitem(last=False)


def needed_ms(duration_ms: int) -> int:
    """How much of a track must be served to count: 30 s, or 90 % of a shorter track, and at least something.

    The same whole numbers as library's: what earns a credit here is enough for a play there.
    """
    if duration_ms >= COUNTS_FROM_MS:
        return COUNTS_FROM_MS
    return max(1, -(-duration_ms * _COUNTS_FROM_PERCENT // 100))  # rounded up


def _begin_next_pass(listen: _Listen, at: datetime) -> None:
    listen.started_at, listen.again_since = listen.again_since or at, None
    listen.served, listen.again = listen.again, Coverage()


def _milliseconds(covered: Coverage, size: int, duration_ms: int) -> int:
    return covered.total * duration_ms // size if size else 0
