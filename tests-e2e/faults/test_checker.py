"""The checker finds what is wrong in histories made by hand, and nothing in those that are right."""

# ruff: noqa: FBT003 - tables of histories read best as short positional rows

import asyncio
import io
import time
from itertools import chain
from typing import Any
from uuid import UUID

import httpx
import pytest
from e2e_support.people import Person

from faults import checker, workload
from faults.history import Caller, History, Op
from faults.moments import SERVICES as ENDED
from faults.moments import Moments
from faults.nemesis import Fault, Nemesis


def history(*ops: Op) -> History:
    return History(io.StringIO(), ops=list(ops))


def like(value: bool, began: float, ended: float | None, outcome: bool | None = True) -> Op:
    return Op("ada", "like", ("ada", "t"), value, began, ended, outcome)


@pytest.mark.parametrize(
    ("ops", "present", "right"),
    [
        ([], False, True),
        ([], True, False),
        ([like(True, 0, 1)], True, True),
        ([like(True, 0, 1)], False, False),
        ([like(True, 0, 1), like(False, 2, 3)], False, True),
        ([like(True, 0, 1), like(False, 2, 3)], True, False),
        ([like(True, 0, 2), like(False, 1, 3)], True, True),
        ([like(True, 0, 2), like(False, 1, 3)], False, True),
        ([like(True, 0, 1, None)], True, True),
        ([like(True, 0, 1, None)], False, True),
        ([like(True, 0, 1, False)], True, False),
        ([like(True, 0, 1), like(False, 2, 3, None)], False, True),
        ([like(True, 0, 1), like(False, 2, 3, None)], True, True),
        ([like(True, 0, 1, None), like(False, 2, 3)], True, True),
    ],
)
def test_what_a_set_may_hold_follows_from_what_was_acknowledged(
    ops: list[Op],
    present: bool,
    right: bool,
) -> None:
    found = checker.check_kept(history(*ops), "like", {"ada": ["t"] * present})
    assert (not found) is right


def test_what_is_kept_is_listed_once_and_among_its_own() -> None:
    kept = history(like(True, 0, 1))
    assert checker.check_kept(kept, "like", {"ada": ["t", "t"]})
    assert checker.check_kept(kept, "save", {"ada": ["t"]})
    assert checker.check_kept(kept, "save", {"ada": []}) == []


def play(play_id: str, counted: bool | None, outcome: bool | None = True) -> Op:
    return Op("ada", "play", ("t", "ada"), play_id, 0, 1, outcome, answer={"counted": counted})


@pytest.mark.parametrize(
    ("ops", "count", "right"),
    [
        ([play("1", True), play("1", True)], 1, True),
        ([play("1", True), play("1", True)], 2, False),
        ([play("1", True), play("2", True)], 1, False),
        ([play("1", False)], 0, True),
        ([play("1", False)], 1, True),
        ([play("1", None, None)], 1, True),
        ([play("1", None, False)], 1, False),
    ],
)
def test_a_play_counts_once(ops: list[Op], count: int, right: bool) -> None:
    assert (not checker.check_plays(history(*ops), {"t": count})) is right


def make(playlist: str | None, outcome: bool | None = True) -> Op:
    return Op("ada", "make-playlist", ("ada",), None, 0, 1, outcome, answer=playlist)


def order(items: str) -> list[tuple[str, str]]:
    """Items by one letter each, which is of the track of the same letter: "ab" is a, then b."""
    return [(letter, letter.lower()) for letter in items]


def add(revision: int, seen: str, item: str, outcome: bool | None = True) -> Op:
    answer = {"revision": revision + 1, "items": [{"item_id": item, "track_id": item.lower()}]}
    value = {"track": item.lower(), "seen": order(seen)}
    return Op("ada", "add", ("p", str(revision)), value, 0, 1, outcome, answer=answer if outcome else None)


def remove(revision: int, seen: str, item: str, outcome: bool | None = True) -> Op:
    return Op("ada", "remove", ("p", str(revision)), {"item": item, "seen": order(seen)}, 0, 1, outcome)


def move(
    revision: int, seen: str, how: str, outcome: bool | None = True, *, became: int | None = None
) -> Op:  # fmt: skip
    """`how` is "b>a": b goes behind a; "b>": to the beginning."""
    item, after = how.split(">")
    value = {"item": item, "after": after or None, "seen": order(seen)}
    answer = {"revision": became or revision + 1} if outcome else None
    return Op("ada", "move", ("p", str(revision)), value, 0, 1, outcome, answer=answer)


_ABC = [add(1, "", "a"), add(2, "a", "b"), add(3, "ab", "c")]


@pytest.mark.parametrize(
    ("ops", "revision", "items", "right"),
    [
        ([add(1, "", "a")], 2, "a", True),
        ([add(1, "", "a")], 2, "", False),  # gone
        ([add(1, "", "a")], 1, "", False),  # gone with its revision
        ([add(1, "", "a")], 2, "aa", False),  # there twice
        ([add(1, "", "a")], 3, "a", False),  # a change that nobody made
        ([add(1, "", "a"), add(1, "", "b")], 2, "a", False),  # two won
        ([add(1, "", "a"), add(1, "", "b", False)], 2, "a", True),
        ([add(1, "", "a"), add(1, "", "b", False)], 2, "ab", False),  # a refusal with an effect
        ([add(1, "", "a"), add(1, "", "b", None)], 2, "a", True),
        ([add(1, "", "a"), add(1, "", "b", None)], 2, "ab", False),  # an effect without a revision
        ([add(1, "", "a"), add(1, "", "b", None)], 2, "b", False),  # in place of the acknowledged one
        ([add(1, "", "a"), remove(2, "a", "a")], 3, "", True),
        ([add(1, "", "a"), remove(2, "a", "a")], 3, "a", False),  # back again
        ([add(1, "", "a"), remove(2, "a", "a", None)], 2, "a", True),
        ([add(1, "", "a"), remove(2, "a", "a", None)], 3, "", True),
        ([add(1, "", "a"), remove(2, "a", "a", None)], 3, "a", False),
        ([add(1, "", "a"), remove(2, "a", "a", False)], 3, "", False),
        ([add(1, "", "z", None)], 2, "z", True),
        ([add(1, "", "z", None)], 1, "", True),
        ([add(1, "", "z", None)], 2, "y", False),
        ([], 2, "z", False),
        (_ABC, 4, "abc", True),
        (_ABC, 4, "acb", False),  # another order
        ([*_ABC, move(4, "abc", "c>a")], 5, "acb", True),
        ([*_ABC, move(4, "abc", "c>a")], 5, "abc", False),  # the move was lost
        ([*_ABC, move(4, "abc", "c>")], 5, "cab", True),
        ([*_ABC, move(4, "abc", "a>c")], 5, "bca", True),
        ([*_ABC, move(4, "abc", "c>a"), move(4, "abc", "b>")], 5, "acb", False),  # two won
        ([*_ABC, move(4, "abc", "c>a"), remove(4, "abc", "a")], 5, "acb", False),  # of two kinds
        ([*_ABC, move(4, "abc", "c>a"), move(4, "abc", "b>", False)], 5, "acb", True),
        ([*_ABC, move(4, "abc", "c>b", became=4)], 4, "abc", True),  # it stands there already
        ([*_ABC, move(4, "abc", "c>b")], 5, "abc", False),  # and that is no change
        ([*_ABC, move(4, "abc", "c>a", became=4)], 4, "abc", False),  # a change, and not done
        ([*_ABC, move(4, "abc", "c>a", became=6)], 6, "acb", False),  # one revision for one change
        ([*_ABC, move(4, "abc", "c>a", became=6)], 5, "acb", False),  # another revision than was said
        ([*_ABC, move(4, "abc", "c>a", None)], 5, "acb", True),
        ([*_ABC, move(4, "abc", "c>a", None)], 4, "abc", True),
        ([*_ABC, move(4, "abc", "c>a", None)], 5, "abc", False),
        ([*_ABC, move(4, "acb", "c>")], 5, "cab", False),  # read otherwise than it was
        ([add(1, "", "a"), add(2, "a", "B", None), add(3, "aB", "c")], 4, "aBc", True),
        ([add(1, "", "a"), add(2, "a", "B", None), add(3, "aB", "c")], 4, "acB", False),
        (
            [add(1, "", "a"), add(2, "a", "B", None), add(2, "a", "c", None), add(3, "ac", "d")],
            4,
            "acd",
            True,
        ),
        (
            [add(1, "", "a"), add(2, "a", "B", None), remove(3, "aB", "B", None), add(4, "a", "c")],
            5,
            "ac",
            True,
        ),
        (
            [add(1, "", "a"), add(2, "a", "B", None), remove(3, "aB", "a", None), add(4, "B", "c")],
            5,
            "aBc",
            False,
        ),
    ],
)
def test_a_playlist_holds_what_its_edits_make_in_the_order_of_their_revisions(
    ops: list[Op], revision: int, items: str, right: bool
) -> None:
    final = {"p": (revision, order(items))}
    assert (not checker.check_playlists(history(make("p"), *ops), final)) is right


@pytest.mark.parametrize(
    ("rows", "right"),
    [
        ([("p", "a", 10), ("p", "b", 20)], True),
        ([("p", "b", 20), ("p", "a", 10)], True),
        ([("p", "a", 20), ("p", "b", 10)], False),
        ([("p", "a", 10), ("p", "b", 10)], False),
        ([("p", "a", 10)], False),
        ([("p", "a", 10), ("p", "b", 20), ("q", "c", 10)], False),
    ],
)
async def test_items_stand_at_places_of_their_own_as_they_are_read(rows: Any, right: bool) -> None:
    assert (not await checker.check_places(Shelf(item=rows), {"p": (3, order("ab"))})) is right


@pytest.mark.parametrize(
    ("ops", "there", "right"),
    [
        ([make("p")], ["p"], True),
        ([make("p")], [], False),
        ([make("p"), make("q")], ["p"], False),
        ([make(None, None)], [], True),
        ([make(None, None)], ["p"], True),
        ([make(None, None)], ["p", "q"], False),
        ([make(None, False)], ["p"], False),
    ],
)
def test_an_acknowledged_playlist_is_there_and_no_other(ops: list[Op], there: list[str], right: bool) -> None:
    final: dict[str, tuple[int, list[tuple[str, str]]]] = {playlist: (1, []) for playlist in there}
    assert (not checker.check_playlists(history(*ops), final)) is right


def test_what_nobody_succeeded_to_do_is_not_taken_for_proved() -> None:
    ops = [Op("ada", kind, ("k",), None, 0, 1, True) for kind in checker.TRIED]
    late = Op("ada", "add", ("p", "1"), None, 0, 1, False, status=412)
    resumed = Op("ada", "hear-all", ("t",), None, 0, 1, True, answer=3)
    assert checker.check_tried(history(*ops, late, resumed)) == []
    assert checker.check_tried(history(*ops, resumed)) == ["no two edits of one revision met"]
    assert checker.check_tried(history(*ops, late)) == ["no stream saw a range fail and went on"]
    for op in ops:
        others = [one for one in ops if one is not op]
        refused = Op("ada", op.kind, ("k",), None, 0, 1, None)
        whole = [] if op.kind == "hear-all" else [resumed]
        assert (
            checker.check_tried(history(*others, refused, late, *whole))[0]
            == f"nobody succeeded to {op.kind}"
        )


@pytest.mark.parametrize(("status", "right"), [(401, True), (200, False), (503, False), (None, False)])
async def test_a_dead_token_is_shown_again_and_must_be_refused(status: int | None, right: bool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if status is None:
            raise httpx.ConnectError("nobody there", request=request)
        return httpx.Response(status, json={"trace_id": "1"})

    now = time.monotonic()
    ended = [workload.Ended("a", "r", now), workload.Ended("old", "r", now - workload.ACCESS_SECONDS)]
    person = Person("http://platform", "Dee")
    person.http = httpx.AsyncClient(base_url=person.url, transport=httpx.MockTransport(answer))
    shown = await workload.show(Caller(person, history(), "Dee"), ended)
    assert [what for what, _ in shown] == ["refresh", "access", "refresh"]
    assert (checker.check_revoked(shown) == []) is right


def upload(digest: str, upload_id: str, outcome: bool | None = True) -> Op:
    return Op("ada", "upload", (digest,), "file", 0, 1, outcome, answer=upload_id)


@pytest.mark.parametrize(
    ("uploads", "right"),
    [
        ([{"id": "1", "sha256": "x", "state": "ready"}], True),
        ([{"id": "1", "sha256": "x", "state": "analysing"}], False),
        ([{"id": "1", "sha256": "x", "state": "rejected"}], False),
        ([], False),
        ([{"id": "1", "sha256": "x", "state": "ready"}, {"id": "2", "sha256": "x", "state": "ready"}], False),
        (
            [{"id": "1", "sha256": "x", "state": "duplicate"}, {"id": "2", "sha256": "x", "state": "ready"}],
            True,
        ),
        ([{"id": "1", "sha256": "x", "state": "ready"}, {"id": "2", "sha256": "y", "state": "ready"}], False),
    ],
)
def test_an_acknowledged_upload_is_there_and_ended(uploads: list[dict[str, Any]], right: bool) -> None:
    assert (not checker.check_uploads(history(upload("x", "1")), uploads)) is right


def test_a_name_is_the_last_acknowledged_one_or_a_later_try() -> None:
    ops = [
        Op("ada", "name", ("ada",), "one", 0, 1, True),
        Op("ada", "name", ("ada",), "two", 2, 3, True),
        Op("ada", "name", ("ada",), "three", 4, 5, None),
    ]
    for name, right in (("one", False), ("two", True), ("three", True), ("other", False)):
        assert (not checker.check_names(history(*ops), {"ada": name})) is right


class Shelf:
    """Stores that hold what a test says."""

    def __init__(self, *, documents: Any = None, objects: Any = None, **tables: Any) -> None:
        self._documents, self._objects, self._tables = documents or [], objects or {}, tables

    async def sql(self, _: str, query: str) -> Any:
        return self._tables.get(query.split("FROM ")[1].split(maxsplit=1)[0], [])

    async def documents(self) -> Any:
        return self._documents

    async def objects(self) -> Any:
        return self._objects

    async def waiting(self) -> Any:
        return []


@pytest.mark.parametrize(
    ("documents", "known", "right"),
    [
        ([("a", "track", 7)], [("a", 3, 7)], True),
        ([], [("a", 3, 7)], False),
        ([("a", "track", 7), ("a", "track", 7)], [("a", 3, 7)], False),
        ([("a", "track", 7), ("b", "track", 1)], [("a", 3, 7)], False),
        ([("a", "track", 7)], [("a", 2, 7)], False),
        ([("a", "track", 6)], [("a", 3, 7)], False),
    ],
)
async def test_the_index_holds_the_newest_of_what_is_listed(documents: Any, known: Any, right: bool) -> None:
    stores = Shelf(documents=documents, track=[("a", 3)], document=known)
    assert (not await checker.check_index(stores)) is right


@pytest.mark.parametrize(
    ("uploads", "tracks", "right"),
    [
        ([("u", "t")], [("u", "t")], True),
        ([("u", "t")], [], False),
        ([("u", None)], [("u", "t")], False),
        ([("u", "t")], [("u", "s")], False),
        ([("u", "t")], [("u", "t"), ("u", "s")], False),
        ([], [("u", "t")], False),
    ],
)
async def test_an_upload_that_is_ready_is_one_track(uploads: Any, tracks: Any, right: bool) -> None:
    assert (not await checker.check_tracks(Shelf(upload=uploads, track=tracks))) is right


@pytest.mark.parametrize(
    ("objects", "right"),
    [
        ({"audio/01/{0}": "x", "images/02/{1}/64": "y"}, True),
        ({"audio/01/{0}": "x"}, False),
        ({"audio/01/{0}": "z", "images/02/{1}/64": "y"}, False),
        ({"audio/01/{0}": "x", "images/02/{1}/64": "y", "images/02/{1}/300": "y"}, False),
        ({"images/02/{1}/64": "y"}, False),
    ],
)
async def test_objects_hold_what_rows_say(objects: dict[str, str], right: bool) -> None:
    ids = (str(UUID(int=1)), str(UUID(int=2)))
    stores = Shelf(
        objects={key.format(*ids): digest for key, digest in objects.items()},
        upload=[(ids[0], "x", "ready"), (str(UUID(int=3)), "w", "rejected")],
        image=[(ids[1], "[64]")],
    )
    assert (not await checker.check_objects(stores)) is right


async def test_the_same_seed_gives_the_same_faults() -> None:
    async def nothing() -> None:
        return None

    faults = [Fault(name, nothing) for name in "abcdef"]
    plans = [[(at, fault.name) for at, fault in Nemesis(faults, seed).schedule(10)] for seed in (7, 7, 8)]
    assert plans[0] == plans[1] != plans[2]
    nemesis = Nemesis(faults, 7)
    await nemesis.run(0.01)
    assert nemesis.table() == dict.fromkeys("abcdef", 2)


async def test_what_heals_slowly_holds_up_only_its_own_next_strike() -> None:
    struck, healed = asyncio.Semaphore(0), asyncio.Event()
    together: list[int] = [0]

    async def slow() -> None:
        together.append(together[-1] + 1)
        await healed.wait()
        together.append(together[-1] - 1)

    async def quick() -> None:
        struck.release()

    nemesis = Nemesis([Fault("slow", slow), Fault("quick", quick)], 7, times=3)
    running = asyncio.create_task(nemesis.run(0.01))
    for _ in range(3):
        await asyncio.wait_for(struck.acquire(), 5)
    healed.set()
    await asyncio.wait_for(running, 5)
    assert together == [0, 1, 0, 1, 0, 1, 0]


def test_the_same_seed_draws_the_same_worst_moments() -> None:
    def drawn(seed: int) -> list[tuple[str, int]]:
        with_nothing: Any = None
        moments = Moments(with_nothing, with_nothing, history=history(), music=workload.Music(), seed=seed)
        return [moments.draw(moment) for moment in ENDED for _ in range(30)]

    assert drawn(7) == drawn(7) != drawn(8)
    assert {service for service, _ in drawn(7)} == {*chain(*ENDED.values())}
    assert {batch for _, batch in drawn(7)} == {1, 2, 3}
