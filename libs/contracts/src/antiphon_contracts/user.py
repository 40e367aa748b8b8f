"""Published by user: public profiles."""

from typing import ClassVar
from uuid import UUID

from antiphon_contracts.event import Event


class ProfileChanged(Event):
    """A public profile looks like this. `subject` is the user id."""

    type: ClassVar[str] = "user.profile_changed"

    name: str
    username: str | None = None
    avatar_id: UUID | None = None
