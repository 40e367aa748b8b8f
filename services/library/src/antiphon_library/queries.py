"""Reads: SQL to views.

What became invisible to its listener (withdrawn, private, deleted) is left out of every list and stays in the
set, so it is back when it becomes visible again; nothing of it is told meanwhile.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, or_, select, true, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from antiphon_common.db import Database
from antiphon_common.errors import FieldError, Invalid
from antiphon_common.pages import Page, decode_cursor, page_of
from antiphon_common.principal import Principal
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted
from antiphon_library.domain import Count, CounterName, Kind
from antiphon_library.tables import CounterRow, ItemRow, KeepRow, PlayRow, RecentRow
from antiphon_library.usecases import counted

View = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ContainedView:
    """Whether one thing is in the library."""

    id: UUID
    contained: bool


@dataclass(frozen=True, slots=True)
class _Order:
    """How a list is sorted: by a moment, then by an id; `scope` names its cursors."""

    scope: str
    at: InstrumentedAttribute[datetime]
    key: InstrumentedAttribute[UUID]


async def kept(
    database: Database, kind: Kind, viewer: Principal, *, limit: int, cursor: str | None
) -> Page[View]:
    """What a listener liked or saved, the newest first."""
    query = (
        select(ItemRow.card)
        .join_from(KeepRow, ItemRow, and_(ItemRow.kind == KeepRow.kind, ItemRow.id == KeepRow.item_id))
        .where(KeepRow.user_id == viewer.user_id, KeepRow.kind == kind, _visible(viewer))
    )
    newest = _Order(f"kept-{kind}", KeepRow.kept_at, KeepRow.item_id)
    page = await _latest(database, query, newest, limit=limit, cursor=cursor)
    views = [{"added_at": row.at, kind: {"id": row.key, **row.card}} for row in page.items]
    return Page(views, page.next_cursor)


async def contained(
    database: Database, kind: Kind, user_id: UUID, ids: Sequence[UUID]
) -> Sequence[ContainedView]:
    """Which of these a listener liked or saved, each once and in their order."""
    query = select(KeepRow.item_id).where(
        KeepRow.user_id == user_id, KeepRow.kind == kind, KeepRow.item_id.in_(ids)
    )
    async with database.read() as connection:
        found = set((await connection.execute(query)).scalars())
    return [ContainedView(item_id, item_id in found) for item_id in dict.fromkeys(ids)]


async def recently_played(
    database: Database, viewer: Principal, *, limit: int, cursor: str | None
) -> Page[View]:
    """The tracks a listener played long enough to count, each once, the latest first."""
    query = (
        select(ItemRow.card)
        .join_from(RecentRow, ItemRow, and_(ItemRow.kind == "track", ItemRow.id == RecentRow.track_id))
        .where(RecentRow.user_id == viewer.user_id, _visible(viewer))
    )
    latest = _Order("recently-played", RecentRow.played_at, RecentRow.track_id)
    page = await _latest(database, query, latest, limit=limit, cursor=cursor)
    views = [{"played_at": row.at, "track": {"id": row.key, **row.card}} for row in page.items]
    return Page(views, page.next_cursor)


async def history(
    database: Database, viewer: Principal, *, since: datetime | None, until: datetime | None, limit: int,
    cursor: str | None,
) -> Page[View]:  # fmt: skip
    """Every reported play that started in `[since, until)`, the latest first."""
    query = (
        select(
            ItemRow.card, PlayRow.track_id, PlayRow.listened_ms, PlayRow.credit_id, PlayRow.context_type,
            PlayRow.context_id,
        )
        .join_from(PlayRow, ItemRow, and_(ItemRow.kind == "track", ItemRow.id == PlayRow.track_id))
        .where(PlayRow.user_id == viewer.user_id, _visible(viewer))
        .where(PlayRow.started_at >= since if since else true())
        .where(PlayRow.started_at < until if until else true())
    )  # fmt: skip
    latest = _Order("history", PlayRow.started_at, PlayRow.id)
    page = await _latest(database, query, latest, limit=limit, cursor=cursor)
    return Page([_play_view(row) for row in page.items], page.next_cursor)


async def current_events(database: Database) -> AsyncIterator[TrackLikesCounted | TrackPlaysCounted]:
    """Every counter as an event, to refill a consumer's projection."""
    columns = (CounterRow.name, CounterRow.track_id, CounterRow.value, CounterRow.revision)
    async with database.read(snapshot=True) as connection:
        async for row in await connection.stream(select(*columns)):
            count = Count(row.track_id, row.value, row.revision)
            yield counted(cast(CounterName, row.name), count)


def _visible(viewer: Principal) -> ColumnElement[bool]:
    """The rule of `domain.may_see`, for lists."""
    allowed = true() if viewer.is_admin else or_(ItemRow.reachable, ItemRow.owner_id == viewer.user_id)
    return and_(~ItemRow.deleted, allowed)


async def _latest(
    database: Database, query: Select[Any], order: _Order, *, limit: int, cursor: str | None
) -> Page[Row[Any]]:
    """One page in that order, latest first; its rows have `at` and `key` besides their own columns."""
    if cursor is not None:
        query = query.where(tuple_(order.at, order.key) < tuple_(*_moment_and_id(order.scope, cursor)))
    query = query.add_columns(order.at.label("at"), order.key.label("key"))
    query = query.order_by(order.at.desc(), order.key.desc()).limit(limit + 1)
    async with database.read() as connection:
        rows = (await connection.execute(query)).all()
    return page_of(rows, limit, scope=order.scope, key=lambda row: (row.at.isoformat(), str(row.key)))


def _moment_and_id(scope: str, cursor: str) -> tuple[datetime, UUID]:
    moment, item_id = decode_cursor(scope, cursor, str, str)
    try:
        return datetime.fromisoformat(str(moment)).astimezone(UTC), UUID(str(item_id))
    except (ValueError, OverflowError) as error:
        field = FieldError("query.cursor", "invalid_cursor", "This cursor was not made by this list.")
        raise Invalid("invalid_cursor", "The cursor is not valid.", errors=[field]) from error


def _play_view(row: Row[Any]) -> View:
    context = {"type": row.context_type, "id": row.context_id} if row.context_type else None
    return {
        "play_id": row.key,
        "track": {"id": row.track_id, **row.card},
        "started_at": row.at,
        "listened_ms": row.listened_ms,
        "counted": row.credit_id is not None,
        "context": context,
    }
