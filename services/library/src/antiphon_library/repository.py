"""Remembers libraries: rows in, dataclasses out."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, func, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.clock import Clock
from antiphon_common.db import Database, get_locked, hold, hold_all, inbox, insert_for, outbox
from antiphon_contracts.event import Event
from antiphon_library.domain import Context, Count, CounterName, Credit, Item, Keep, Kind, Play, Report
from antiphon_library.ports import Pair, Step
from antiphon_library.tables import (
    INBOX,
    OUTBOX,
    CounterRow,
    CreditRow,
    ItemRow,
    KeepRow,
    ListenerRow,
    PlayRow,
    RecentRow,
)
from antiphon_library.usecases import finish


class SqlItems:
    """`Items` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, kind: Kind, item_id: UUID) -> Item | None:
        row = await self._session.get(ItemRow, (kind, item_id))
        return _item(row) if row else None

    async def hold(self, kind: Kind, item_id: UUID) -> Item | None:
        row = await get_locked(self._session, ItemRow, (kind, item_id))
        return _item(row) if row else None

    async def save(self, item: Item) -> None:
        row = ItemRow(
            kind=item.kind, id=item.id, owner_id=item.owner_id, reachable=item.reachable,
            card=dict(item.card), revision=item.revision, duration_ms=item.duration_ms, deleted=item.deleted,
        )  # fmt: skip
        await self._session.merge(row)


class SqlKeeps:
    """`Keeps` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, keep: Keep) -> bool:
        new = insert_for(self._session, KeepRow).values(
            user_id=keep.user_id, kind=keep.kind, item_id=keep.item_id, kept_at=keep.kept_at
        )
        return await _is_new(self._session, new)

    async def remove(self, user_id: UUID, kind: Kind, item_id: UUID) -> bool:
        statement = delete(KeepRow).where(
            KeepRow.user_id == user_id, KeepRow.kind == kind, KeepRow.item_id == item_id
        )
        return cast("CursorResult[object]", await self._session.execute(statement)).rowcount > 0

    async def find(self, user_id: UUID, kind: Kind, item_id: UUID) -> Keep | None:
        query = select(KeepRow.kept_at).where(
            KeepRow.user_id == user_id, KeepRow.kind == kind, KeepRow.item_id == item_id
        )
        kept_at = await self._session.scalar(query)
        return Keep(user_id, kind, item_id, kept_at) if kept_at else None

    async def clear(self, user_id: UUID) -> Sequence[UUID]:
        mine = KeepRow.user_id == user_id
        tracks = list(
            await self._session.scalars(select(KeepRow.item_id).where(mine, KeepRow.kind == "track"))
        )
        await self._session.execute(delete(KeepRow).where(mine))
        return tracks


class SqlPlays:
    """`Plays` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, play_id: UUID) -> Play | None:
        row = await self._session.get(PlayRow, play_id)
        return _play(row) if row else None

    async def hold(self, pairs: Collection[Pair]) -> None:
        await hold_all(self._session, [("play", *pair) for pair in pairs])

    async def waiting(self, pairs: Collection[Pair]) -> Sequence[Play]:
        query = (
            select(PlayRow)
            .where(tuple_(PlayRow.user_id, PlayRow.track_id).in_(pairs))
            .where(PlayRow.enough, PlayRow.credit_id.is_(None))
            .order_by(PlayRow.started_at, PlayRow.id)
        )
        return [_play(row) for row in await self._session.scalars(query)]

    async def add(self, play: Play) -> bool:
        report, context = play.report, play.report.context
        new = insert_for(self._session, PlayRow).values(
            id=report.play_id, user_id=play.user_id, track_id=report.track_id, listened_ms=report.listened_ms,
            started_at=report.started_at, context_type=context.type if context else None,
            context_id=context.id if context else None, enough=play.enough, reported_at=play.reported_at,
            credit_id=play.credit_id,
        )  # fmt: skip
        return await _is_new(self._session, new)

    async def back(self, credits_: Mapping[UUID, UUID]) -> None:
        for play_id, credit_id in credits_.items():
            backed = update(PlayRow).where(PlayRow.id == play_id).values(credit_id=credit_id)
            await self._session.execute(backed)

    async def note_recent(self, user_id: UUID, track_id: UUID, played_at: datetime) -> None:
        new = insert_for(self._session, RecentRow).values(
            user_id=user_id, track_id=track_id, played_at=played_at
        )
        newer = new.on_conflict_do_update(
            index_elements=["user_id", "track_id"],
            set_={"played_at": new.excluded.played_at},
            where=RecentRow.played_at < new.excluded.played_at,
        )
        await self._session.execute(newer)

    async def clear(self, user_id: UUID) -> Mapping[UUID, int]:
        mine = PlayRow.user_id == user_id
        query = select(PlayRow.track_id, func.count()).where(mine, PlayRow.credit_id.is_not(None))
        lost = {row[0]: row[1] for row in await self._session.execute(query.group_by(PlayRow.track_id))}
        await self._session.execute(delete(PlayRow).where(mine))
        await self._session.execute(delete(RecentRow).where(RecentRow.user_id == user_id))
        return lost


class SqlCredits:
    """`Credits` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def unspent(self, pairs: Collection[Pair]) -> Sequence[Credit]:
        query = (
            select(CreditRow.id, CreditRow.user_id, CreditRow.track_id, CreditRow.served_at)
            .where(tuple_(CreditRow.user_id, CreditRow.track_id).in_(pairs), ~CreditRow.spent)
            .order_by(CreditRow.served_at, CreditRow.id)
        )
        return [Credit(*row) for row in await self._session.execute(query)]  # type: ignore[arg-type]

    async def add(self, credits_: Sequence[Credit]) -> set[UUID]:
        if not credits_:
            return set()
        rows = [{**asdict(credit), "spent": False} for credit in sorted(credits_, key=lambda each: each.id)]
        new = insert_for(self._session, CreditRow).on_conflict_do_nothing().returning(CreditRow.id)
        return set((await self._session.execute(new, rows)).scalars())

    async def spend(self, credit_ids: Collection[UUID]) -> None:
        if credit_ids:
            await self._session.execute(
                update(CreditRow).where(CreditRow.id.in_(credit_ids)).values(spent=True)
            )

    async def erase(self, user_id: UUID) -> None:
        nameless = {"user_id": None, "track_id": None, "served_at": None, "spent": True}
        await self._session.execute(update(CreditRow).where(CreditRow.user_id == user_id).values(nameless))


class SqlCounters:
    """`Counters` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, steps: Mapping[Step, int]) -> Sequence[tuple[CounterName, Count]]:
        if not steps:
            return []
        new = insert_for(self._session, CounterRow)
        summed = new.on_conflict_do_update(
            index_elements=["track_id", "name"],
            set_={
                "value": CounterRow.value + new.excluded.value,
                "revision": CounterRow.revision + 1,
            },
        ).returning(CounterRow.name, CounterRow.track_id, CounterRow.value, CounterRow.revision)
        # In one order always, so that two units that change the same counters cannot wait for each other.
        rows = [
            {"track_id": track_id, "name": name, "value": step, "revision": 1}
            for (name, track_id), step in sorted(steps.items())
        ]
        counted = await self._session.execute(summed, rows)
        return [(cast(CounterName, row[0]), Count(row[1], row[2], row[3])) for row in counted]


class SqlListeners:
    """`Listeners` in SQL. Only the deleted ones need a row."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def enter(self, user_ids: Collection[UUID]) -> set[UUID]:
        await hold_all(self._session, [("listener", user_id) for user_id in user_ids], shared=True)
        query = select(ListenerRow.user_id).where(ListenerRow.user_id.in_(user_ids), ListenerRow.deleted)
        return set(user_ids) - set(await self._session.scalars(query))

    async def hold(self, user_id: UUID) -> None:
        await hold(self._session, "listener", user_id)

    async def bury(self, user_id: UUID) -> None:
        await self._session.merge(ListenerRow(user_id=user_id, deleted=True))


class SqlUnit:
    """One transaction of this service."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self.items = SqlItems(session)
        self.keeps = SqlKeeps(session)
        self.plays = SqlPlays(session)
        self.credits = SqlCredits(session)
        self.counters = SqlCounters(session)
        self.listeners = SqlListeners(session)
        self.served: list[Credit] = []
        self.steps: Counter[Step] = Counter()
        self.announced = False

    async def announce(self, *events: Event) -> None:
        self.announced = self.announced or bool(events)
        await outbox.announce(self._session, OUTBOX, events, self._clock)

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        return await inbox.first_time(self._session, INBOX, consumer, event_ids, self._clock)


@asynccontextmanager
async def unit_of_work(database: Database, clock: Clock, relay: outbox.Relay) -> AsyncIterator[SqlUnit]:
    """Open a unit; it is committed when the block ends, and then the relay is told."""
    async with database.write() as session:
        unit = SqlUnit(session, clock)
        yield unit
        await finish(unit)
    if unit.announced:
        relay.wake()


async def _is_new(session: AsyncSession, insert: "postgresql.Insert | sqlite.Insert") -> bool:
    # Waits for whoever is about to insert the same, and sees what became of it.
    done = await session.execute(insert.on_conflict_do_nothing())
    return cast("CursorResult[object]", done).rowcount > 0


def _item(row: ItemRow) -> Item:
    return Item(
        kind=cast(Kind, row.kind),
        id=row.id,
        owner_id=row.owner_id,
        reachable=row.reachable,
        card=row.card,
        revision=row.revision,
        duration_ms=row.duration_ms,
        deleted=row.deleted,
    )


def _play(row: PlayRow) -> Play:
    context = Context(row.context_type, row.context_id) if row.context_type else None
    report = Report(row.id, row.track_id, row.listened_ms, row.started_at, context)
    return Play(row.user_id, report, row.enough, row.reported_at, row.credit_id)
