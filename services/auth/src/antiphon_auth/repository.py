"""Remembers accounts, sessions, attempts and revocations: rows in, dataclasses out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_auth.domain.accounts import Account, Role, Status
from antiphon_auth.domain.bootstrap import Bootstrap
from antiphon_auth.domain.guessing import FORGOTTEN_AFTER, Attempts
from antiphon_auth.domain.sessions import ABSOLUTE, Session
from antiphon_auth.tables import (
    OUTBOX,
    AccountRow,
    AttemptsRow,
    BootstrapRow,
    CounterRow,
    RefreshTokenRow,
    RevocationRow,
    SessionRow,
)
from antiphon_common.clock import Clock
from antiphon_common.db import Database, get_locked, insert_for, is_conflict, outbox
from antiphon_common.errors import Conflict
from antiphon_contracts.event import Event

REVOCATIONS_KEPT = timedelta(minutes=20)
"""The life of an access token and fifteen minutes more: after that nothing is left to refuse."""


class SqlAccounts:
    """`Accounts` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, user_id: UUID) -> Account | None:
        row = await self._session.get(AccountRow, user_id, with_for_update=True)
        return _account(row) if row else None

    async def look_at(self, user_id: UUID) -> Account | None:
        row = await self._session.get(AccountRow, user_id)
        return _account(row) if row else None

    async def find_by_email(self, email: str) -> Account | None:
        query = select(AccountRow).where(AccountRow.email == email)
        row = (await self._session.scalars(query)).first()
        return _account(row) if row else None

    async def any_admin(self) -> bool:
        query = select(AccountRow.id).where(AccountRow.is_admin).limit(1)
        return (await self._session.execute(query)).first() is not None

    async def add(self, account: Account) -> None:
        self._session.add(_account_row(account))
        try:
            await self._session.flush()
        except IntegrityError as error:
            if is_conflict(error, "email"):
                raise Conflict("email_taken", "There is an account with this address already.") from error
            raise

    async def save(self, account: Account) -> None:
        await self._session.merge(_account_row(account))


class SqlSessions:
    """`Sessions` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, session_id: UUID) -> Session | None:
        row = await self._session.get(SessionRow, session_id, with_for_update=True)
        return _session(row) if row else None

    async def find_by_token(self, token_hash: str) -> tuple[Session, int] | None:
        token = await self._session.get(RefreshTokenRow, token_hash)
        session = await self.find(token.session_id) if token else None
        return (session, token.generation) if token and session else None

    async def start(self, session: Session, token_hash: str) -> None:
        self._session.add(SessionRow(**asdict(session)))
        await self._session.flush()
        await self._remember(session, token_hash)

    async def advance(self, session: Session, token_hash: str) -> bool:
        head_before = (
            SessionRow.id == session.id,
            SessionRow.generation == session.generation - 1,
            SessionRow.revoked_at.is_(None),
        )
        values = {name: value for name, value in asdict(session).items() if name != "id"}
        moved = await self._session.execute(update(SessionRow).where(*head_before).values(values))
        if cast("CursorResult[object]", moved).rowcount != 1:
            return False
        await self._remember(session, token_hash)
        return True

    async def revoke(self, session_id: UUID, at: datetime) -> None:
        alive = (SessionRow.id == session_id, SessionRow.revoked_at.is_(None))
        await self._session.execute(update(SessionRow).where(*alive).values(revoked_at=at))

    async def revoke_all(self, user_id: UUID, at: datetime) -> None:
        alive = (SessionRow.user_id == user_id, SessionRow.revoked_at.is_(None))
        await self._session.execute(update(SessionRow).where(*alive).values(revoked_at=at))

    async def _remember(self, session: Session, token_hash: str) -> None:
        self._session.add(
            RefreshTokenRow(token_hash=token_hash, session_id=session.id, generation=session.generation)
        )
        await self._session.flush()


class SqlGuesses:
    """`Guesses` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, key: str, now: datetime) -> Attempts:
        # Inserting gives parallel attempts one row to queue for; touching it locks it before a login that
        # succeeds can take it away.
        first = insert_for(self._session, AttemptsRow).values(
            key=key, count=0, closed_until=None, last_at=now
        )
        touched = first.on_conflict_do_update(index_elements=["key"], set_={"key": first.excluded.key})
        await self._session.execute(touched)
        row = await self._session.get_one(AttemptsRow, key, with_for_update=True)
        return Attempts(key=row.key, count=row.count, closed_until=row.closed_until, last_at=row.last_at)

    async def save(self, attempts: Attempts) -> None:
        await self._session.merge(AttemptsRow(**asdict(attempts)))

    async def forget(self, key: str) -> None:
        await self._session.execute(delete(AttemptsRow).where(AttemptsRow.key == key))


class SqlRevocations:
    """`Revocations` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, *, user_id: UUID, session_id: UUID | None, at: datetime) -> None:
        first = insert_for(self._session, CounterRow).values(name="revocation", value=0)
        await self._session.execute(first.on_conflict_do_nothing())
        counted = update(CounterRow).where(CounterRow.name == "revocation").values(value=CounterRow.value + 1)
        seq = (await self._session.execute(counted.returning(CounterRow.value))).scalar_one()
        before = int(at.timestamp())
        self._session.add(
            RevocationRow(seq=seq, session_id=session_id, user_id=user_id, before=before, added_at=at)
        )


class SqlBootstraps:
    """`Bootstraps` in SQL: one row."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self) -> Bootstrap | None:
        row = await get_locked(self._session, BootstrapRow, 1)
        if row is None:
            return None
        return Bootstrap(secret_hash=row.secret_hash, expires_at=row.expires_at, used_at=row.used_at)

    async def save(self, offer: Bootstrap) -> None:
        await self._session.merge(BootstrapRow(id=1, **asdict(offer)))


class SqlUnit:
    """One transaction of this service."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self.accounts = SqlAccounts(session)
        self.sessions = SqlSessions(session)
        self.guesses = SqlGuesses(session)
        self.revocations = SqlRevocations(session)
        self.bootstraps = SqlBootstraps(session)
        self.announced = False

    async def announce(self, *events: Event) -> None:
        self.announced = True
        await outbox.announce(self._session, OUTBOX, events, self._clock)

    async def prune(self, now: datetime) -> None:
        for stale in (
            delete(SessionRow).where(SessionRow.created_at < now - ABSOLUTE),
            delete(AttemptsRow).where(AttemptsRow.last_at < now - FORGOTTEN_AFTER),
            delete(RevocationRow).where(RevocationRow.added_at < now - REVOCATIONS_KEPT),
        ):
            await self._session.execute(stale)


@asynccontextmanager
async def unit_of_work(database: Database, clock: Clock, relay: outbox.Relay) -> AsyncIterator[SqlUnit]:
    """Open a unit; it is committed when the block ends, and then the relay is told."""
    async with database.write() as session:
        unit = SqlUnit(session, clock)
        yield unit
    if unit.announced:
        relay.wake()


def _account(row: AccountRow) -> Account:
    return Account(
        id=row.id,
        email=row.email,
        name=row.name,
        password_hash=row.password_hash,
        roles=cast("tuple[Role, ...]", tuple(row.roles)),
        email_verified=row.email_verified,
        created_at=row.created_at,
        status=cast("Status", row.status),
        tokens_after=row.tokens_after,
        revision=row.revision,
    )


def _account_row(account: Account) -> AccountRow:
    values = {**asdict(account), "roles": list(account.roles)}
    return AccountRow(**values, is_admin="admin" in account.roles)


def _session(row: SessionRow) -> Session:
    values = {name: getattr(row, name) for name in SessionRow.__table__.columns.keys()}  # noqa: SIM118
    return Session(**values)
