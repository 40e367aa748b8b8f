"""Reads: SQL to views."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast
from uuid import UUID

from sqlalchemy import select

from antiphon_auth.domain.sessions import ABSOLUTE, IDLE
from antiphon_auth.repository import REVOCATIONS_KEPT
from antiphon_auth.tables import AccountRow, CounterRow, RevocationRow, SessionRow
from antiphon_common.db import Database
from antiphon_common.errors import Invalid, Unauthenticated
from antiphon_common.pages import Page, decode_cursor, page_of
from antiphon_common.principal import Principal
from antiphon_contracts.auth import AccountChanged

REVOCATIONS_PAGE = 1000


@dataclass(frozen=True, slots=True)
class SessionView:
    """One of my sessions; `current` is the one that asks."""

    id: UUID
    device: str
    ip: str
    created_at: datetime
    last_used_at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class RevocationView:
    """A dead session, or without one all tokens of the user issued at or before `before` (Unix seconds)."""

    session: UUID | None
    user: UUID
    before: int


@dataclass(frozen=True, slots=True)
class RevocationsView:
    """What was revoked after a cursor, and the cursor to come back with."""

    cursor: str
    items: list[RevocationView]


async def require_live(database: Database, principal: Principal) -> None:
    """Raise `Unauthenticated` when the token's session was revoked: here we need not wait for the gateway."""
    query = select(SessionRow.id).where(
        SessionRow.id == principal.session,
        SessionRow.user_id == principal.user_id,
        SessionRow.revoked_at.is_(None),
    )
    async with database.read() as connection:
        alive = (await connection.execute(query)).first()
    if alive is None:
        raise Unauthenticated("session_revoked", "This session has ended; log in again.")


async def my_sessions(
    database: Database, me: Principal, *, now: datetime, limit: int, cursor: str | None
) -> Page[SessionView]:
    """My sessions that can still be refreshed, newest login first."""
    columns = (
        SessionRow.id, SessionRow.device, SessionRow.ip, SessionRow.created_at, SessionRow.last_used_at
    )  # fmt: skip
    query = select(*columns).where(
        SessionRow.user_id == me.user_id,
        SessionRow.revoked_at.is_(None),
        SessionRow.created_at > now - ABSOLUTE,
        SessionRow.last_used_at > now - IDLE,
    )
    if cursor:
        query = query.where(SessionRow.id < _id_of(cursor))
    async with database.read() as connection:
        rows = (await connection.execute(query.order_by(SessionRow.id.desc()).limit(limit + 1))).all()
    views = [SessionView(*row, current=row.id == me.session) for row in rows]
    return page_of(views, limit, scope="my_sessions", key=lambda view: (str(view.id),))


async def revocations(
    database: Database, after: str | None, now: datetime, *, limit: int = REVOCATIONS_PAGE
) -> RevocationsView:
    """What was revoked after `after`, oldest first, at most `limit`; without it, all that still matters.

    A cursor from beyond our counter comes from another database: it is answered like none.
    """
    counter = select(CounterRow.value).where(CounterRow.name == "revocation")
    async with database.read() as connection:
        newest = (await connection.execute(counter)).scalar() or 0
        start = int(after or 0)
        if start > newest:
            start = 0
        query = (
            select(RevocationRow.seq, RevocationRow.session_id, RevocationRow.user_id, RevocationRow.before)
            .where(RevocationRow.seq > start, RevocationRow.seq <= newest)
            .where(RevocationRow.added_at >= now - REVOCATIONS_KEPT)
            .order_by(RevocationRow.seq)
            .limit(limit)
        )
        rows = (await connection.execute(query)).all()
    last = rows[-1].seq if len(rows) == limit else newest
    items = [RevocationView(session=row.session_id, user=row.user_id, before=row.before) for row in rows]
    return RevocationsView(cursor=str(last), items=items)


async def current_events(database: Database) -> AsyncIterator[AccountChanged]:
    """The state of every account as events, to refill a consumer's projection."""
    columns = (
        AccountRow.id, AccountRow.revision, AccountRow.email, AccountRow.name, AccountRow.roles,
        AccountRow.email_verified, AccountRow.status, AccountRow.created_at,
    )  # fmt: skip
    async with database.read() as connection:
        for row in await connection.execute(select(*columns).order_by(AccountRow.id)):
            yield AccountChanged(
                subject=row.id, revision=row.revision, email=row.email, name=row.name, roles=tuple(row.roles),
                email_verified=row.email_verified, created_at=row.created_at,
                status=cast("Literal['active', 'suspended']", row.status),
            )  # fmt: skip


def _id_of(cursor: str) -> UUID:
    (value,) = decode_cursor("my_sessions", cursor, str)
    try:
        return UUID(str(value))
    except ValueError as error:
        raise Invalid("invalid_cursor", "The cursor is not valid.") from error
