"""Refresh families, as a state machine: whatever clients and thieves do, the promises hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from antiphon_auth.domain.accounts import Account
from antiphon_auth.domain.sessions import ABSOLUTE, GRACE, IDLE, Session, Use, use_of
from antiphon_auth.usecases import Visit, digest, refresh
from antiphon_common.clock import FixedClock
from antiphon_common.errors import Unauthenticated
from antiphon_common.ids import new_id

VISIT = Visit(device="test", ip="127.0.0.1")


def session_at(clock: FixedClock, **changes: Any) -> Session:
    now = clock.now()
    session = Session(
        id=new_id(), user_id=new_id(), device="test", ip="127.0.0.1", cookie=False, created_at=now,
        last_used_at=now, rotated_at=now,
    )  # fmt: skip
    return replace(session, **changes)


@pytest.mark.parametrize(
    ("head", "presented", "seconds", "use"),
    [
        (0, 0, 0, Use.NEXT),
        (3, 3, 0, Use.NEXT),
        (3, 2, 0, Use.AGAIN),
        (3, 2, 10, Use.AGAIN),
        (3, 2, 10.001, Use.REUSED),
        (3, 1, 0, Use.REUSED),
        (3, 0, 0, Use.REUSED),
        (3, 3, IDLE.total_seconds() - 1, Use.NEXT),
        (3, 3, IDLE.total_seconds(), Use.OVER),
        (3, 1, IDLE.total_seconds(), Use.OVER),
    ],
)
def test_what_a_generation_means_depends_on_the_head_and_the_time(
    clock: FixedClock, head: int, presented: int, seconds: float, use: Use
) -> None:
    session = session_at(clock, generation=head)
    assert use_of(session, presented, clock.now() + timedelta(seconds=seconds)) is use


def test_a_session_ends_after_thirty_days_however_busy(clock: FixedClock) -> None:
    late = clock.now() + ABSOLUTE
    busy = session_at(clock, last_used_at=late, rotated_at=late)
    assert use_of(busy, 0, late - timedelta(seconds=1)) is Use.NEXT
    assert use_of(busy, 0, late) is Use.OVER


@dataclass
class MemorySessions:
    """`Sessions` in two dictionaries."""

    rows: dict[UUID, Session] = field(default_factory=dict)
    hashes: dict[str, tuple[UUID, int]] = field(default_factory=dict)

    async def find_by_token(self, token_hash: str) -> tuple[Session, int] | None:
        found = self.hashes.get(token_hash)
        return (self.rows[found[0]], found[1]) if found else None

    async def advance(self, session: Session, token_hash: str) -> bool:
        assert token_hash not in self.hashes
        self.rows[session.id] = session
        self.hashes[token_hash] = (session.id, session.generation)
        return True

    async def revoke(self, session_id: UUID, at: datetime) -> None:
        self.rows[session_id] = replace(self.rows[session_id], revoked_at=at)


class Silent:
    """Takes whatever is announced, revoked or noted."""

    async def add(self, **_: object) -> None:
        """Nobody reads it here."""

    def note(self, *_: object, **__: object) -> None:
        """Nobody reads it here."""


class RefreshFamily(RuleBasedStateMachine):
    """One family, a clock, and anybody who has ever seen one of its tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FixedClock()
        self.sessions = MemorySessions()
        first = session_at(self.clock)
        self.account = Account(
            id=first.user_id, email="a@b.de", name="A", password_hash="x", roles=("listener",),
            email_verified=True, created_at=self.clock.now(),
        )  # fmt: skip
        self.session_id = first.id
        self.sessions.rows[first.id] = first
        self.tokens = ["token"]
        self.sessions.hashes[digest("token")] = (first.id, 0)
        self.made_at = [self.clock.now()]
        self.started = self.clock.now()
        self.dead = False
        issuer = SimpleNamespace(successor=lambda token: f"after({digest(token)})")
        self.deps: Any = SimpleNamespace(
            open_unit=self.unit, clock=self.clock, issuer=issuer, security_log=Silent()
        )

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Any]:
        async def find(_: UUID) -> Account:
            return self.account

        yield SimpleNamespace(
            sessions=self.sessions, accounts=SimpleNamespace(look_at=find), revocations=Silent()
        )

    def use(self, token: str) -> str | None:
        try:
            return asyncio.run(refresh(self.deps, token, VISIT)).refresh_token
        except Unauthenticated:
            return None

    @property
    def expired(self) -> bool:
        now = self.clock.now()
        return now - self.made_at[-1] >= IDLE or now - self.started >= ABSOLUTE

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.0, 10.0, 11.0, 3600.0, 86400.0 * 3, 86400.0 * 13]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    @rule()
    def use_the_head(self) -> None:
        answer = self.use(self.tokens[-1])
        if self.dead or self.expired:
            assert answer is None
            return
        assert answer is not None
        assert answer not in self.tokens
        self.tokens.append(answer)
        self.made_at.append(self.clock.now())

    @precondition(lambda self: len(self.tokens) > 1)
    @rule()
    def use_the_predecessor(self) -> None:
        answer = self.use(self.tokens[-2])
        if self.dead or self.expired:
            assert answer is None
        elif self.clock.now() - self.made_at[-1] <= GRACE:
            assert answer == self.tokens[-1]
        else:
            assert answer is None
            self.dead = True

    @precondition(lambda self: len(self.tokens) > 2)
    @rule(data=st.data())
    def use_an_older_one(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(self.tokens[:-2]))
        assert self.use(token) is None
        if not self.expired:
            self.dead = True

    @rule()
    def guess(self) -> None:
        assert self.use("a token that nobody was given") is None

    @invariant()
    def one_head_and_no_plain_token(self) -> None:
        assert self.sessions.rows[self.session_id].generation == len(self.tokens) - 1
        assert len(self.sessions.hashes) == len(self.tokens)
        assert not set(self.tokens) & set(self.sessions.hashes)


TestRefreshFamily = RefreshFamily.TestCase
TestRefreshFamily.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
