"""Published by auth: accounts."""

from typing import ClassVar, Literal

from antiphon_contracts.event import Event, Timestamp


class AccountChanged(Event):
    """An account exists and looks like this. `subject` is the user id."""

    type: ClassVar[str] = "auth.account_changed"

    email: str
    name: str
    roles: tuple[str, ...]
    email_verified: bool
    status: Literal["active", "suspended"] = "active"
    created_at: Timestamp


class AccountDeleted(Event):
    """An account is gone; every service forgets the user."""

    type: ClassVar[str] = "auth.account_deleted"
