"""Sessions and users whose access tokens are dead before they expire, as auth tells it twice a second.

Auth's database is the authority. An entry is kept until every token it concerns has expired by itself. Until
the first answer of auth no token is accepted (authorization fails closed); after it, a silent auth changes
nothing, because nobody can be revoked while it is down.
"""

import time
from collections.abc import Awaitable, Callable
from urllib.parse import quote
from uuid import UUID

import orjson

from antiphon_common.principal import Principal
from antiphon_common.web.identity import LEEWAY_SECONDS, MAX_LIFETIME_SECONDS
from antiphon_gateway.problems import Refused

_KEPT_SECONDS = MAX_LIFETIME_SECONDS + LEEWAY_SECONDS

Fetch = Callable[[str], Awaitable[tuple[int, bytes]]]
"""Asks auth for a path: status and body. Raises `Refused` when it cannot."""


class Revocations:
    """What auth has revoked lately."""

    def __init__(self, fetch: Fetch, *, now: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._now = now
        self._cursor = ""
        self._sessions: dict[UUID, float] = {}
        self._users: dict[UUID, tuple[float, float]] = {}
        self.known = False

    async def start(self) -> None:
        """Ask once, so that whoever is sent requests as soon as he listens can judge them."""
        await self.poll()

    async def stop(self) -> None:
        """There is nothing to let go of."""

    async def poll(self) -> None:
        """Ask for what is new since the last time; leaves everything as it is when auth does not answer."""
        try:
            status, body = await self._fetch(f"/internal/revocations?after={quote(self._cursor)}")
        except Refused:
            return
        if status != 200:
            return
        feed = orjson.loads(body)
        forget_at = self._now() + _KEPT_SECONDS
        for item in feed["items"]:
            self._add(item, forget_at)
        self._cursor = str(feed["cursor"])
        self.known = True
        self._forget()

    def revoked(self, principal: Principal) -> bool:
        """Whether the token of this principal is dead."""
        if principal.session in self._sessions:
            return True
        user = self._users.get(principal.user_id)
        return user is not None and principal.issued_at.timestamp() <= user[0]

    def _add(self, item: dict[str, object], forget_at: float) -> None:
        session = item.get("session")
        if session is not None:
            self._sessions[UUID(str(session))] = forget_at
            return
        user, before = UUID(str(item["user"])), float(str(item["before"]))
        known = self._users.get(user)
        self._users[user] = (max(before, known[0] if known else before), forget_at)

    def _forget(self) -> None:
        now = self._now()
        self._sessions = {session: until for session, until in self._sessions.items() if until > now}
        self._users = {user: entry for user, entry in self._users.items() if entry[1] > now}
