"""The edits of one playlist, replayed in the order of their revisions: what it may hold, and in which order (I7).

Each edit names the revision it was made for (`If-Match`), so acknowledged ones have one order only, and what an
editor had read just before is exactly what that revision held. Edits without an answer happened or did not: all
that may have come of them is kept until somebody read which it was.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from faults.history import Op

EDITS = ("add", "remove", "move")
FIRST = 1

Item = tuple[str, str]
"""Item id and track id."""
Order = tuple[Item, ...]


def check_edits(playlist: str, edits: Iterable[Op], revision: int, final: Sequence[Item]) -> list[str]:
    """Everything that is not explained by these edits, up to the first that is not; `final` is held at `revision`."""
    happened = [op for op in edits if op.outcome is not False]
    at: dict[int, list[Op]] = defaultdict(list)
    for op in happened:
        at[seen(op)].append(op)
    lost = [number for number, ops in at.items() if number >= revision and any(map(won, ops))]
    if lost:
        return [f"I7 {playlist} is at revision {revision}; edits of {sorted(lost)} were acknowledged"]
    strays = _strays(happened, final)
    orders: set[Order] = {()}
    for number in range(FIRST, revision + 1):
        orders, found = _read(playlist, number, at[number], orders)
        if found or number == revision:
            break
        orders, found = _changed(playlist, number, at[number], orders=orders, strays=strays)
        if found:
            break
    if not found and tuple(final) not in orders:
        found = [f"I7 {playlist} at revision {revision} holds {list(final)}; its edits make {sorted(orders)}"]
    return found


def seen(op: Op) -> int:
    """The revision that an edit was made for."""
    return int(op.key[1])


def won(op: Op) -> bool:
    """Whether the edit is known to have changed the playlist; to move an item to where it is changes nothing."""
    return bool(op.outcome) and (op.kind != "move" or op.answer["revision"] != seen(op))


def _strays(edits: Sequence[Op], final: Sequence[Item]) -> list[Item]:
    """Items that were read and that no acknowledged edit added."""
    added = {
        item["item_id"] for op in edits if op.kind == "add" and op.outcome for item in op.answer["items"]
    }
    read = {*final, *((item, track) for op in edits for item, track in op.value["seen"])}
    return sorted(item for item in read if item[0] not in added)


def _read(playlist: str, number: int, ops: Sequence[Op], orders: set[Order]) -> tuple[set[Order], list[str]]:
    """What is left when one looks at what those read whose edit of this very revision was accepted."""
    for op in (one for one in ops if one.outcome):
        read = tuple((item, track) for item, track in op.value["seen"])
        if read not in orders:
            return orders, [
                f"I7 {op.client} read {read} at revision {number} of {playlist}, made was {sorted(orders)}"
            ]
        orders = {read}
        if not won(op) and _outcomes(op, read, []) != [read]:
            return orders, [
                f"I7 {op.client} moved {op.value['item']} in {playlist}, and revision {number} stayed"
            ]
    return orders, []


def _changed(
    playlist: str, number: int, ops: Sequence[Op], *, orders: set[Order], strays: Sequence[Item]
) -> tuple[set[Order], list[str]]:
    """What the next revision may hold."""
    winners = [op for op in ops if won(op)]
    if len(winners) > 1:
        return orders, [f"I7 {len(winners)} edits won on revision {number} of {playlist}"]
    found = [
        f"I7 revision {number} of {playlist} became {op.answer['revision']}"
        for op in winners
        if op.kind != "remove" and op.answer["revision"] != number + 1
    ]
    tried = winners or [op for op in ops if op.outcome is None]
    after = {new for old in orders for op in tried for new in _outcomes(op, old, strays) if new != old}
    if not after:
        found.append(f"I7 nobody's edit makes revision {number + 1} of {playlist} of {sorted(orders)}")
    return after, found


def _outcomes(op: Op, order: Order, strays: Sequence[Item]) -> list[Order]:
    """What may be there after the edit, if it happens; none when it cannot happen."""
    if op.kind == "add":
        track = op.value["track"]
        new = [(item["item_id"], item["track_id"]) for item in op.answer["items"]] if op.outcome else []
        possible = [new] if op.outcome else [[stray] for stray in strays if stray[1] == track]
        return [(*order, *items) for items in possible if [one for _, one in items] == [track]]
    item = op.value["item"]
    rest = tuple(one for one in order if one[0] != item)
    if len(rest) == len(order):
        return []
    if op.kind == "remove":
        return [rest]
    moved = next(one for one in order if one[0] == item)
    before = [one[0] for one in rest]
    if op.value["after"] is None:
        return [(moved, *rest)]
    if op.value["after"] not in before:
        return []
    spot = before.index(op.value["after"]) + 1
    return [(*rest[:spot], moved, *rest[spot:])]
