"""What the inside of the auth service needs from outside."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from antiphon_auth.domain.accounts import Account, Role
from antiphon_auth.domain.bootstrap import Bootstrap
from antiphon_auth.domain.guessing import Attempts
from antiphon_auth.domain.sessions import Session
from antiphon_common.clock import Clock
from antiphon_contracts.event import Event

if TYPE_CHECKING:
    from antiphon_common.db import Database


class Accounts(Protocol):
    """All accounts."""

    async def find(self, user_id: UUID) -> Account | None:
        """The account, locked until the unit ends, or none."""

    async def look_at(self, user_id: UUID) -> Account | None:
        """The account as it was committed last, or none; waits for nobody."""

    async def find_by_email(self, email: str) -> Account | None:
        """The account with exactly this folded address, or none."""

    async def any_admin(self) -> bool:
        """Whether an administrator exists."""

    async def add(self, account: Account) -> None:
        """Store a new account. Raises `Conflict` when its address is taken."""

    async def save(self, account: Account) -> None:
        """Store a changed account."""


class Sessions(Protocol):
    """All sessions and the hashes of their refresh tokens."""

    async def find(self, session_id: UUID) -> Session | None:
        """The session, locked for this unit, or none."""

    async def find_by_token(self, token_hash: str) -> tuple[Session, int] | None:
        """The session that a refresh token of any generation belongs to, and that generation."""

    async def start(self, session: Session, token_hash: str) -> None:
        """Store a new session with its first refresh token."""

    async def advance(self, session: Session, token_hash: str) -> bool:
        """Make this the head, if the head is still the generation before; false when it is not."""

    async def revoke(self, session_id: UUID, at: datetime) -> None:
        """End one session."""

    async def revoke_all(self, user_id: UUID, at: datetime) -> None:
        """End every session of a user."""


class Guesses(Protocol):
    """The attempt counters, one a door."""

    async def find(self, key: str, now: datetime) -> Attempts:
        """The counter, locked for this unit; a new one when there was none."""

    async def save(self, attempts: Attempts) -> None:
        """Store a counter."""

    async def forget(self, key: str) -> None:
        """Begin at nothing again."""


class Revocations(Protocol):
    """The append-only list that the gateway reads."""

    async def add(self, *, user_id: UUID, session_id: UUID | None, at: datetime) -> None:
        """Say that a session is dead, or without one every token the user has so far."""


class Bootstraps(Protocol):
    """The offer to make the first administrator."""

    async def find(self) -> Bootstrap | None:
        """The offer, locked for this unit, or none."""

    async def save(self, offer: Bootstrap) -> None:
        """Store it in place of any other."""


class Unit(Protocol):
    """One transaction."""

    @property
    def accounts(self) -> Accounts: ...

    @property
    def sessions(self) -> Sessions: ...

    @property
    def guesses(self) -> Guesses: ...

    @property
    def revocations(self) -> Revocations: ...

    @property
    def bootstraps(self) -> Bootstraps: ...

    async def announce(self, *events: Event) -> None:
        """Publish these after the commit, and only then."""

    async def prune(self, now: datetime) -> None:
        """Drop sessions, counters and revocations that mean nothing any more."""


class Passwords(Protocol):
    """Hashes and judges passwords away from the event loop, a few at a time.

    `hash`, `verify` and `strength` raise `Unavailable` when too many already wait.
    """

    async def start(self) -> None:
        """Become useful."""

    async def stop(self) -> None:
        """Let go of the threads."""

    async def hash(self, password: str) -> str:
        """A salted hash that says how it was made."""

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether it is the password. Without a hash (no such account) it costs the same and is false."""

    def outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than today's."""

    async def strength(self, password: str, hints: tuple[str, ...]) -> int:
        """0 (guessed at once) to 4; `hints` are words a guesser would try for this person."""

    @property
    def common(self) -> frozenset[str]:
        """The most used passwords, in lower case."""


class Issuer(Protocol):
    """Signs access tokens and makes the secrets that clients keep."""

    def access_token(self, account: Account, session: Session, now: datetime) -> str:
        """A signed token for this session, good for `ACCESS_SECONDS`."""

    def first_refresh(self) -> str:
        """A new random refresh token."""

    def successor(self, token: str) -> str:
        """The refresh token that follows this one: always the same, not to be found without our secret."""

    def device_cookie(self, user_id: UUID, now: datetime) -> str:
        """Proof that somebody logged in to this account here."""

    def known_device(self, cookie: str, user_id: UUID, now: datetime) -> str | None:
        """The device's own name when the cookie is such a proof for this account, else none."""


class SecurityLog(Protocol):
    """Where an operator looks after something bad."""

    def note(self, event: str, *, user_id: UUID, session_id: UUID | None = None) -> None:
        """Write one line that names nobody but by id."""


class BootstrapFile(Protocol):
    """Where the operator finds the bootstrap secret."""

    def write(self, secret: str) -> None:
        """Leave it there, readable by its owner only."""

    def remove(self) -> None:
        """Take it away; nothing happens when it is gone."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator decides. `public_origin` is like `https://music.example.org`."""

    new_roles: tuple[Role, ...]
    public_origin: str

    @property
    def secure(self) -> bool:
        return self.public_origin.startswith("https:")


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything the routes hold."""

    database: "Database"
    open_unit: Callable[[], AbstractAsyncContextManager[Unit]]
    clock: Clock
    passwords: Passwords
    issuer: Issuer
    published_keys: Callable[[], list[dict[str, str]]]
    security_log: SecurityLog
    bootstrap_file: BootstrapFile
    rules: Rules
