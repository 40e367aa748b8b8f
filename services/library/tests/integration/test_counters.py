"""Counters against their sets: whatever happens, in any order and twice, they are equal."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Select, func, insert, select

from antiphon_common.bus import open_bus
from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.db.outbox import Relay
from antiphon_common.ids import new_id
from antiphon_common.logs import open_log
from antiphon_common.principal import Principal
from antiphon_common.testing.databases import Migrated, idle_relay
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.stream import AudioServed
from antiphon_library import queries, usecases
from antiphon_library.domain import Item, Report
from antiphon_library.ports import Unit
from antiphon_library.repository import unit_of_work
from antiphon_library.tables import OUTBOX, CounterRow, CreditRow, KeepRow, PlayRow, RecentRow

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
NOW = FixedClock().now()
TRACKS = [new_id() for _ in range(2)]
COUNTERS = ("likes", "plays")


def person() -> Principal:
    return Principal(
        user_id=new_id(), roles=frozenset(), session=new_id(), verified=True, issued_at=NOW,
        authenticated_at=NOW,
    )  # fmt: skip


PEOPLE = [person() for _ in range(3)]

WHO, WHAT = st.integers(0, 2), st.integers(0, 1)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("like"), WHO, WHAT),
        st.tuples(st.just("unlike"), WHO, WHAT),
        st.tuples(st.just("play"), WHO, WHAT, st.sampled_from([1_000, 30_000]), st.integers(0, 3)),
        st.tuples(st.just("play"), WHO, WHAT, st.just(30_000), st.integers(0, 3)),
        st.tuples(st.just("repeat_play"), st.integers(0, 20)),
        st.tuples(st.just("serve"), WHO, WHAT),
        st.tuples(st.just("serve"), WHO, WHAT),
        st.tuples(st.just("repeat_serve"), st.integers(0, 20)),
        st.tuples(st.just("clear"), WHO),
        st.tuples(st.just("delete_account"), st.just(2)),
    ),
    max_size=25,
)


async def prepare(open_unit: OpenUnit) -> None:
    """Two tracks that everybody can see."""
    async with open_unit() as unit:
        for track_id in TRACKS:
            item = Item("track", track_id, new_id(), reachable=True, card={}, revision=1, duration_ms=60_000)
            await unit.items.save(item)


class Model:
    """What should be there, beside the service doing it."""

    def __init__(self, open_unit: OpenUnit) -> None:
        self.open_unit = open_unit
        self.liked: set[tuple[UUID, UUID]] = set()
        self.plays: list[tuple[UUID, Report]] = []
        self.credits: list[AudioServed] = []
        self.enough: Counter[tuple[UUID, UUID]] = Counter()
        self.served: Counter[tuple[UUID, UUID]] = Counter()
        self.recent: dict[tuple[UUID, UUID], Any] = {}
        self.gone: set[UUID] = set()

    async def apply(self, operation: tuple[Any, ...]) -> None:
        name, *arguments = operation
        await getattr(self, name)(*arguments)

    async def like(self, who: int, what: int) -> None:
        user, track_id = PEOPLE[who], TRACKS[what]
        if user.user_id in self.gone:
            return
        async with self.open_unit() as unit:
            await usecases.keep_item(unit, user, "track", item_id=track_id, now=NOW)
        self.liked.add((user.user_id, track_id))

    async def unlike(self, who: int, what: int) -> None:
        user, track_id = PEOPLE[who], TRACKS[what]
        if user.user_id in self.gone:
            return
        async with self.open_unit() as unit:
            await usecases.drop_item(unit, user, "track", item_id=track_id)
        self.liked.discard((user.user_id, track_id))

    async def play(self, who: int, what: int, listened_ms: int, minutes: int) -> None:
        user, track_id = PEOPLE[who], TRACKS[what]
        if user.user_id in self.gone:
            return
        report = Report(new_id(), track_id, listened_ms, NOW - timedelta(minutes=minutes))
        async with self.open_unit() as unit:
            await usecases.report_play(unit, user, report, now=NOW)
        self.plays.append((user.user_id, report))
        if listened_ms >= 30_000:
            key = (user.user_id, track_id)
            self.enough[key] += 1
            self.recent[key] = max(self.recent.get(key, report.started_at), report.started_at)

    async def repeat_play(self, index: int) -> None:
        if not self.plays:
            return
        user_id, report = self.plays[index % len(self.plays)]
        user = next(person for person in PEOPLE if person.user_id == user_id)
        async with self.open_unit() as unit:
            await usecases.report_play(unit, user, report, now=NOW)

    async def serve(self, who: int, what: int) -> None:
        event = AudioServed(
            subject=new_id(), revision=1, user_id=PEOPLE[who].user_id, track_id=TRACKS[what], served_ms=30_000,
            started_at=NOW, served_at=NOW,
        )  # fmt: skip
        await self._served(event)
        self.credits.append(event)
        if event.user_id not in self.gone:
            self.served[event.user_id, event.track_id] += 1

    async def repeat_serve(self, index: int) -> None:
        if self.credits:
            await self._served(self.credits[index % len(self.credits)])

    async def clear(self, who: int) -> None:
        user = PEOPLE[who]
        if user.user_id in self.gone:
            return
        async with self.open_unit() as unit:
            await usecases.clear_history(unit, user)
        self._forget(user.user_id)

    async def delete_account(self, who: int) -> None:
        user_id = PEOPLE[who].user_id
        async with self.open_unit() as unit:
            await usecases.erase_account(unit, AccountDeleted(subject=user_id, revision=2))
        self._forget(user_id)
        self.liked = {pair for pair in self.liked if pair[0] != user_id}
        self.gone.add(user_id)

    async def _served(self, event: AudioServed) -> None:
        async with self.open_unit() as unit:
            await usecases.apply_credit(unit, event)

    def _forget(self, user_id: UUID) -> None:
        self.plays = [play for play in self.plays if play[0] != user_id]
        for table in (self.enough, self.served, self.recent):
            for key in [key for key in table if key[0] == user_id]:
                del table[key]

    def expected(self) -> dict[tuple[str, UUID], int]:
        """The counters that there should be: a play counts if a credit is there for it, whoever came first."""
        counts: dict[tuple[str, UUID], int] = defaultdict(int)
        for _, track_id in self.liked:
            counts["likes", track_id] += 1
        for (user_id, track_id), number in self.enough.items():
            counts["plays", track_id] += min(number, self.served[user_id, track_id])
        return counts


async def rows(database: Database, query: Select[Any]) -> list[Any]:
    async with database.read() as connection:
        return list((await connection.execute(query)).all())


async def check(database: Database, model: Model) -> None:
    """Sets, counters and announcements all say the same."""
    expected = model.expected()
    stored = await rows(database, select(CounterRow.name, CounterRow.track_id, CounterRow.value))
    counters = {(row.name, row.track_id): row.value for row in stored}
    likes = select(KeepRow.item_id, func.count()).where(KeepRow.kind == "track").group_by(KeepRow.item_id)
    backed = select(PlayRow.track_id, func.count()).where(PlayRow.credit_id.is_not(None))
    sets = {("likes", row[0]): row[1] for row in await rows(database, likes)}
    sets |= {("plays", row[0]): row[1] for row in await rows(database, backed.group_by(PlayRow.track_id))}
    for key in [(name, track_id) for name in COUNTERS for track_id in TRACKS]:
        assert counters.get(key, 0) == sets.get(key, 0) == expected[key]
    played = [row[0] for row in await rows(database, select(PlayRow.id))]
    assert sorted(played) == sorted(report.play_id for _, report in model.plays)
    proofs = await rows(database, select(CreditRow.user_id, CreditRow.spent))
    spent = sum(row.spent for row in proofs if row.user_id)
    assert spent == sum(value for key, value in expected.items() if key[0] == "plays")
    assert not model.gone & {row.user_id for row in proofs}
    recent = await rows(database, select(RecentRow.user_id, RecentRow.track_id, RecentRow.played_at))
    assert {(row[0], row[1]): row[2] for row in recent} == model.recent
    envelopes = await rows(database, select(OUTBOX.c.envelope).order_by(OUTBOX.c.seq))
    check_announcements([row.envelope for row in envelopes], counters)


def check_announcements(envelopes: list[dict[str, Any]], counters: dict[tuple[str, UUID], int]) -> None:
    """Revisions count up by one for each counter, and the last value is the present one."""
    said: dict[tuple[str, UUID], list[tuple[int, int]]] = defaultdict(list)
    for envelope in envelopes:
        name = "likes" if envelope["type"] == "library.track_likes_counted" else "plays"
        value = envelope["data"]["like_count" if name == "likes" else "play_count"]
        said[name, UUID(envelope["subject"])].append((envelope["revision"], value))
    assert said.keys() == counters.keys()
    for key, values in said.items():
        assert [revision for revision, _ in values] == list(range(1, len(values) + 1))
        assert values[-1][1] == counters[key]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
@example(operations=[("serve", 2, 0), ("delete_account", 2), ("serve", 2, 1), ("repeat_serve", 0)])
@example(
    operations=[
        ("serve", 0, 0),
        ("play", 0, 0, 30_000, 1),
        ("clear", 0),
        ("repeat_serve", 0),
        ("play", 0, 0, 30_000, 0),
    ]
)
def test_counters_equal_their_sets_after_any_sequence(
    operations: list[tuple[Any, ...]], migrated: Migrated
) -> None:
    url = migrated("antiphon_library")

    async def run() -> None:
        database = Database(url)
        await database.start()
        relay = idle_relay(database, OUTBOX)
        open_unit: OpenUnit = lambda: unit_of_work(database, FixedClock(), relay)  # noqa: E731
        await prepare(open_unit)
        model = Model(open_unit)
        for operation in operations:
            await model.apply(operation)
        await check(database, model)
        await database.stop()

    asyncio.run(run())


async def test_everybody_at_once_is_counted_once_each(
    database: Database, open_unit: OpenUnit, clock: FixedClock
) -> None:
    await prepare(open_unit)
    other = Database(database.url)
    relay = Relay(other, OUTBOX, open_bus("inproc:"), log=open_log("test", level="error"))
    people = [person() for _ in range(6)]

    def open_other() -> AbstractAsyncContextManager[Unit]:
        return unit_of_work(other, clock, relay)

    async def like(opener: OpenUnit, user: Principal) -> None:
        async with opener() as unit:
            await usecases.keep_item(unit, user, "track", item_id=TRACKS[0], now=NOW)

    async def serve_and_play(opener: OpenUnit, user: Principal) -> None:
        report = Report(new_id(), TRACKS[0], 30_000, NOW)
        event = AudioServed(
            subject=new_id(), revision=1, user_id=user.user_id, track_id=TRACKS[0], served_ms=30_000,
            started_at=NOW, served_at=NOW,
        )  # fmt: skip
        async with opener() as unit:
            await usecases.apply_credit(unit, event)
        async with opener() as unit:
            await usecases.report_play(unit, user, report, now=NOW)

    openers: list[OpenUnit] = [open_unit, open_other]
    await asyncio.gather(
        *(work(opener, user) for work in (like, serve_and_play) for opener in openers for user in people)
    )
    await other.stop()
    events = {
        (event.type, event.model_dump().get("like_count", event.model_dump().get("play_count")))
        async for event in queries.current_events(database)
    }
    assert events == {("library.track_likes_counted", 6), ("library.track_plays_counted", 12)}


async def test_current_events_repeat_the_last_announcement_of_each_counter(
    database: Database, open_unit: OpenUnit
) -> None:
    await prepare(open_unit)
    model = Model(open_unit)
    for operation in [
        ("like", 0, 0),
        ("like", 1, 0),
        ("unlike", 0, 0),
        ("serve", 0, 1),
        ("play", 0, 1, 30_000, 0),
    ]:
        await model.apply(operation)
    events = {event.subject: event async for event in queries.current_events(database)}
    assert (events[TRACKS[0]].revision, events[TRACKS[0]].model_dump()["like_count"]) == (3, 1)
    assert (events[TRACKS[1]].revision, events[TRACKS[1]].model_dump()["play_count"]) == (1, 1)


async def test_a_change_that_fails_leaves_neither_a_like_nor_a_count_nor_an_event(
    database: Database, open_unit: OpenUnit
) -> None:
    await prepare(open_unit)

    async def fail_at_the_end() -> None:
        async with open_unit() as unit:
            await usecases.keep_item(unit, PEOPLE[0], "track", item_id=TRACKS[0], now=NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_at_the_end()
    await check(database, Model(open_unit))


async def test_a_listener_who_kept_very_much_can_be_forgotten(
    database: Database, open_unit: OpenUnit
) -> None:
    track_ids = [new_id() for _ in range(1_200)]
    like = {"user_id": PEOPLE[0].user_id, "kind": "track", "kept_at": NOW}
    async with database.write() as session:
        await session.execute(insert(KeepRow), [{**like, "item_id": track_id} for track_id in track_ids])
    async with open_unit() as unit:
        unit.steps.update({("likes", track_id): 1 for track_id in track_ids})
    async with open_unit() as unit:
        await usecases.erase_account(unit, AccountDeleted(subject=PEOPLE[0].user_id, revision=2))
    async with database.read() as connection:
        values = (await connection.execute(select(CounterRow.value, CounterRow.revision).distinct())).all()
    assert [tuple(row) for row in values] == [(0, 2)]


def test_a_report_is_compared_by_all_of_its_fields() -> None:
    report = Report(new_id(), new_id(), 1, NOW)
    assert report != replace(report, listened_ms=2)
