"""Who is calling: pure, so that use cases may name it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a verified access token.

    `session` is the refresh family (`sid`), `verified` whether the account may upload, `issued_at` and
    `authenticated_at` when the token was made and when the person last proved who they are.
    """

    user_id: UUID
    roles: frozenset[str]
    session: UUID
    verified: bool
    issued_at: datetime
    authenticated_at: datetime

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles
