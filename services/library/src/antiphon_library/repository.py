"""Remembers libraries: rows in, dataclasses out."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.clock import Clock
from antiphon_common.db import Database, get_locked, inbox, insert_for, is_conflict, outbox
from antiphon_common.errors import Conflict
from antiphon_contracts.event import Event
from antiphon_library.domain import Context, Count, CounterName, Credit, Item, Keep, Kind, Play, Report
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

_AT_ONCE = 500


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

    async def add(self, keep: Keep) -> None:
        row = KeepRow(user_id=keep.user_id, kind=keep.kind, item_id=keep.item_id, kept_at=keep.kept_at)
        self._session.add(row)
        await self._session.flush()

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

    async def waiting(self, user_id: UUID, track_id: UUID) -> Play | None:
        query = (
            select(PlayRow)
            .where(PlayRow.user_id == user_id, PlayRow.track_id == track_id)
            .where(PlayRow.enough, PlayRow.credit_id.is_(None))
            .order_by(PlayRow.started_at, PlayRow.id)
            .limit(1)
        )
        row = await self._session.scalar(query)
        return _play(row) if row else None

    async def add(self, play: Play) -> None:
        report, context = play.report, play.report.context
        row = PlayRow(
            id=report.play_id, user_id=play.user_id, track_id=report.track_id, listened_ms=report.listened_ms,
            started_at=report.started_at, context_type=context.type if context else None,
            context_id=context.id if context else None, enough=play.enough, reported_at=play.reported_at,
            credit_id=play.credit_id,
        )  # fmt: skip
        self._session.add(row)
        try:
            await self._session.flush()
        except IntegrityError as error:
            # Two listeners, who do not wait for each other, at the same moment.
            if is_conflict(error, "play.id", "play_pkey"):
                raise Conflict("play_id_taken", "This play id was used for another play.") from error
            raise

    async def back(self, play_id: UUID, credit_id: UUID) -> None:
        await self._session.execute(update(PlayRow).where(PlayRow.id == play_id).values(credit_id=credit_id))

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

    async def known(self, credit_id: UUID) -> bool:
        return await self._session.get(CreditRow, credit_id) is not None

    async def unspent(self, user_id: UUID, track_id: UUID) -> Credit | None:
        query = (
            select(CreditRow)
            .where(CreditRow.user_id == user_id, CreditRow.track_id == track_id, ~CreditRow.spent)
            .order_by(CreditRow.served_at, CreditRow.id)
            .limit(1)
        )
        row = await self._session.scalar(query)
        if row is None or row.served_at is None:
            return None
        return Credit(row.id, user_id, track_id, row.served_at, row.spent)

    async def add(self, credit: Credit) -> None:
        row = CreditRow(
            id=credit.id, user_id=credit.user_id, track_id=credit.track_id, served_at=credit.served_at,
            spent=credit.spent,
        )  # fmt: skip
        self._session.add(row)
        await self._session.flush()

    async def spend(self, credit_id: UUID) -> None:
        await self._session.execute(update(CreditRow).where(CreditRow.id == credit_id).values(spent=True))

    async def erase(self, user_id: UUID) -> None:
        nameless = {"user_id": None, "track_id": None, "served_at": None, "spent": True}
        await self._session.execute(update(CreditRow).where(CreditRow.user_id == user_id).values(nameless))


class SqlCounters:
    """`Counters` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, name: CounterName, steps: Mapping[UUID, int]) -> Sequence[Count]:
        if not steps:
            return []
        new = insert_for(self._session, CounterRow)
        summed = new.on_conflict_do_update(
            index_elements=["track_id", "name"],
            set_={
                "value": CounterRow.value + new.excluded.value,
                "revision": CounterRow.revision + 1,
            },
        )
        # In one order always, so that two units that change the same counters cannot wait for each other.
        track_ids = sorted(steps)
        rows = [{"track_id": key, "name": name, "value": steps[key], "revision": 1} for key in track_ids]
        await self._session.execute(summed, rows)
        counts: list[Count] = []
        for start in range(0, len(track_ids), _AT_ONCE):
            query = select(CounterRow.track_id, CounterRow.value, CounterRow.revision).where(
                CounterRow.name == name, CounterRow.track_id.in_(track_ids[start : start + _AT_ONCE])
            )
            counts += [Count(*row) for row in await self._session.execute(query)]
        return counts


class SqlListeners:
    """`Listeners` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def hold(self, user_id: UUID) -> bool:
        # Only a row that exists can be locked.
        new = insert_for(self._session, ListenerRow).values(user_id=user_id, deleted=False)
        await self._session.execute(new.on_conflict_do_nothing())
        row = await self._session.get_one(ListenerRow, user_id, with_for_update=True)
        return not row.deleted

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
        self.announced = False

    async def announce(self, *events: Event) -> None:
        self.announced = True
        await outbox.announce(self._session, OUTBOX, events, self._clock)

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        return await inbox.first_time(self._session, INBOX, consumer, event_ids, self._clock)


@asynccontextmanager
async def unit_of_work(database: Database, clock: Clock, relay: outbox.Relay) -> AsyncIterator[SqlUnit]:
    """Open a unit; it is committed when the block ends, and then the relay is told."""
    async with database.write() as session:
        unit = SqlUnit(session, clock)
        yield unit
    if unit.announced:
        relay.wake()


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
