"""The instances of one service: whom to ask next, and who is left in peace for now.

Whoever refuses connections, fails five times in a row, says that it is ending (`Connection: close`) or is
not ready is set aside, and asked `/readyz` twice a second until it is well. Somebody set aside is still
asked when there is nobody else. Of a service with one instance the breaker alone decides.

Late answers set nobody aside: whoever gave five in a row is asked `/healthz` twice a second, which needs no
server behind it, and only one that does not answer within a second is taken for dead, until it does.
"""

from collections.abc import Callable, Collection, Sequence
from enum import StrEnum

from antiphon_gateway.resilience import Breaker, Bulkhead

_OWN_CALLS = 64


class Room(StrEnum):
    """Compartments of an instance: long streams never crowd out the rest, nor the rest our own questions."""

    CALLS = "calls"
    STREAMS = "streams"
    OWN = "own"


class Instance:
    """One address of a service. `busy` calls are under way; `resting` is whether it is set aside."""

    __slots__ = ("base", "breaker", "busy", "resting", "rooms")

    def __init__(self, base: str, *, now: Callable[[], float], calls: int, streams: int) -> None:
        self.base = base
        self.breaker = Breaker(now=now)
        self.busy = 0
        self.resting = False
        self.rooms = {
            Room.CALLS: Bulkhead(calls), Room.STREAMS: Bulkhead(streams), Room.OWN: Bulkhead(_OWN_CALLS)
        }  # fmt: skip

    def enter(self, room: Room) -> None:
        """Raises 503 while it is given time to recover, or when the room is full."""
        self.breaker.check()
        self.rooms[room].enter()
        self.busy += 1

    def leave(self, room: Room) -> None:
        self.rooms[room].leave()
        self.busy -= 1


class Instances:
    """All of them. The one with the least to do is next; of equals, each in its turn."""

    def __init__(self, every: Sequence[Instance]) -> None:
        self.every = tuple(every)
        self.are_several = len(self.every) > 1
        self._turn = 0

    def choose(self, tried: Collection[Instance]) -> Instance:
        """The next to ask; somebody who was tried only when all were."""
        every = self.every
        if not self.are_several:
            return every[0]
        self._turn = turn = (self._turn + 1) % len(every)
        return min(
            every[turn:] + every[:turn],
            key=lambda one: (one in tried, one.resting, one.breaker.is_open, one.busy),
        )

    def set_aside(self, instance: Instance) -> None:
        """Ask others until it is well again."""
        instance.resting = self.are_several

    def have_another(self, tried: Collection[Instance]) -> bool:
        """Whether there is one that was not tried."""
        return len(tried) < len(self.every)
