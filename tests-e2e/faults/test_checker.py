"""The checker finds what is wrong in histories made by hand, and nothing in those that are right."""

# ruff: noqa: FBT003 - tables of histories read best as short positional rows

import io
from typing import Any
from uuid import UUID

import pytest

from faults import checker
from faults.history import History, Op
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
    final = {"ada": {"t"} if present else set[str]()}
    found = checker.check_likes(history(*ops), final)
    assert (not found) is right


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


def add(revision: int, item: str, outcome: bool | None = True) -> Op:
    answer: Any = {"revision": revision + 1, "items": [{"item_id": item}]} if outcome else None
    return Op("ada", "add", ("p", str(revision)), "t", 0, 1, outcome, answer=answer)


def remove(revision: int, item: str, outcome: bool | None = True) -> Op:
    return Op("ada", "remove", ("p", str(revision)), item, 0, 1, outcome)


@pytest.mark.parametrize(
    ("ops", "items", "right"),
    [
        ([add(1, "a")], [("a", "t")], True),
        ([add(1, "a")], [], False),
        ([add(1, "a")], [("a", "t"), ("a", "t")], False),
        ([add(1, "a"), add(1, "b")], [("a", "t"), ("b", "t")], False),
        ([add(1, "a"), remove(2, "a")], [], True),
        ([add(1, "a"), remove(2, "a")], [("a", "t")], False),
        ([add(1, "a"), remove(2, "a", None)], [("a", "t")], True),
        ([add(1, "a"), remove(2, "a", None)], [], True),
        ([add(1, "a"), remove(2, "a", False)], [], False),
        ([add(1, "a", None)], [("z", "t")], True),
        ([add(1, "a", None)], [("z", "other")], False),
        ([], [("z", "t")], False),
    ],
)
def test_a_playlist_holds_what_was_added_and_not_removed(
    ops: list[Op],
    items: list[tuple[str, str]],
    right: bool,
) -> None:
    assert (not checker.check_playlists(history(make("p"), *ops), {"p": items})) is right


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
    assert (not checker.check_playlists(history(*ops), dict.fromkeys(there, ()))) is right


def test_what_nobody_succeeded_to_do_is_not_taken_for_proved() -> None:
    ops = [Op("ada", kind, ("k",), None, 0, 1, True) for kind in checker.TRIED]
    assert checker.check_tried(history(*ops)) == []
    for op in ops:
        others = [one for one in ops if one is not op]
        refused = Op("ada", op.kind, ("k",), None, 0, 1, None)
        assert checker.check_tried(history(*others, refused)) == [f"nobody succeeded to {op.kind}"]


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
        self._documents, self._objects, self._tables = documents or {}, objects or {}, tables

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
        ({"a": ("track", 7)}, [("a", 3, 7)], True),
        ({}, [("a", 3, 7)], False),
        ({"a": ("track", 7), "b": ("track", 1)}, [("a", 3, 7)], False),
        ({"a": ("track", 7)}, [("a", 2, 7)], False),
        ({"a": ("track", 6)}, [("a", 3, 7)], False),
    ],
)
async def test_the_index_holds_the_newest_of_what_is_listed(documents: Any, known: Any, right: bool) -> None:
    stores = Shelf(documents=documents, track=[("a", 3)], document=known)
    assert (not await checker.check_index(stores)) is right


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
