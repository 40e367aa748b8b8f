"""Sessions: one family of refresh tokens each, of which only the newest is good.

A refresh makes the next generation and the one before worthless, but for a grace of ten seconds in which it
yields the same successor again (two tabs, a lost answer). Any other use of an older generation means that
somebody has a copy: the family dies (RFC 9700, section 4.14).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

GRACE = timedelta(seconds=10)
IDLE = timedelta(days=14)
ABSOLUTE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Session:
    """One login on one device. `generation` is the head of its family, made at `rotated_at`."""

    id: UUID
    user_id: UUID
    device: str
    ip: str
    cookie: bool
    created_at: datetime
    last_used_at: datetime
    rotated_at: datetime
    generation: int = 0
    revoked_at: datetime | None = None


class Use(Enum):
    """What presenting a refresh token means."""

    NEXT = "it is the head: make its successor"
    AGAIN = "its successor was made a moment ago: give the same one"
    REUSED = "somebody has a copy: revoke the family"
    OVER = "the session has ended"


def is_over(session: Session, now: datetime) -> bool:
    """Whether it was revoked, left alone for too long, or is too old."""
    idle, age = now - session.last_used_at, now - session.created_at
    return session.revoked_at is not None or idle >= IDLE or age >= ABSOLUTE


def use_of(session: Session, generation: int, now: datetime) -> Use:
    """What it means that this generation is presented now."""
    if is_over(session, now):
        return Use.OVER
    if generation == session.generation:
        return Use.NEXT
    if generation == session.generation - 1 and now - session.rotated_at <= GRACE:
        return Use.AGAIN
    return Use.REUSED


def advanced(session: Session, now: datetime, *, device: str, ip: str) -> Session:
    """The session after its head was used."""
    return replace(
        session, generation=session.generation + 1, rotated_at=now, last_used_at=now, device=device, ip=ip
    )
