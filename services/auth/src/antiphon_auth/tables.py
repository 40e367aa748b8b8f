"""The auth service's tables."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from antiphon_common.db import Json, UtcDateTime
from antiphon_common.db.tables import outbox_table


class Base(DeclarativeBase):
    """This service's metadata."""


class AccountRow(Base):
    """One account."""

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(300))
    password_hash: Mapped[str] = mapped_column(String(200))
    roles: Mapped[list[str]] = mapped_column(Json)
    is_admin: Mapped[bool] = mapped_column(index=True)
    email_verified: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[str] = mapped_column(String(16))
    tokens_after: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int]


class SessionRow(Base):
    """One session, the head of its family of refresh tokens."""

    __tablename__ = "session"
    __table_args__ = (Index("ix_session_user_id_id", "user_id", "id"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("account.id", ondelete="CASCADE"))
    device: Mapped[str] = mapped_column(String(200))
    ip: Mapped[str] = mapped_column(String(45))
    cookie: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rotated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    generation: Mapped[int]
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RefreshTokenRow(Base):
    """The SHA-256 of a refresh token that was given out, of whatever generation."""

    __tablename__ = "refresh_token"

    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey("session.id", ondelete="CASCADE"), index=True)
    generation: Mapped[int]


class AttemptsRow(Base):
    """An attempt counter. `key` is a digest: addresses that somebody merely tried are not kept."""

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int]
    closed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class RevocationRow(Base):
    """One line of the list that the gateway reads; without a session it means the whole user."""

    __tablename__ = "revocation"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    session_id: Mapped[UUID | None] = mapped_column(Uuid)
    user_id: Mapped[UUID] = mapped_column(Uuid)
    before: Mapped[int] = mapped_column(BigInteger)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class CounterRow(Base):
    """A number that only grows. Its row lock makes later numbers commit later, and pruning resets nothing."""

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class BootstrapRow(Base):
    """The one offer to make the first administrator."""

    __tablename__ = "bootstrap"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    secret_hash: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


OUTBOX = outbox_table(Base.metadata)
