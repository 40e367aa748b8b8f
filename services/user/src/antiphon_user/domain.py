"""Profiles and preferences: values and their rules. Nothing here reads or writes."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from antiphon_common.errors import FieldError, Invalid

Theme = Literal["system", "light", "dark"]
Quality = Literal["original", "high", "normal", "low"]

_USERNAME = re.compile(r"[a-z0-9][a-z0-9_.-]{1,29}")
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Preferences:
    """How a person wants to use the platform. `crossfade_ms` is in milliseconds."""

    language: str = "en"
    theme: Theme = "system"
    quality: Quality = "original"
    crossfade_ms: int = 0
    normalise: bool = True
    explicit: bool = True
    show_activity: bool = True
    show_playlists: bool = True


@dataclass(frozen=True, slots=True)
class Profile:
    """One person. The fields up to `created_at` are auth's; `revision` counts what other services may see.

    `account_revision` is the newest revision of the account that was applied; `deleted` is the tombstone
    that keeps a late event from reviving a deleted account.
    """

    user_id: UUID
    email: str
    roles: tuple[str, ...]
    email_verified: bool
    created_at: datetime
    name: str
    username: str | None = None
    bio: str | None = None
    country: str | None = None
    avatar_id: UUID | None = None
    preferences: Preferences = field(default_factory=Preferences)
    revision: int = 0
    account_revision: int = 0
    deleted: bool = False


def checked_username(username: str) -> str:
    """A username as it is stored. Raises `Invalid` when it has other characters or another length."""
    lowered = username.lower()
    if not _USERNAME.fullmatch(lowered):
        message = "2 to 30 of a-z, 0-9, '_', '.', '-', beginning with a letter or digit."
        raise Invalid("invalid_username", message, errors=[FieldError("body.username", "invalid", message)])
    return lowered


def unheard_of(user_id: UUID) -> Profile:
    """Somebody whose deletion is the first that is heard of them: made only to be erased."""
    return Profile(user_id=user_id, email="", roles=(), email_verified=False, created_at=_LONG_AGO, name="")


def erased(profile: Profile, account_revision: int) -> Profile:
    """What remains of a deleted account: its id, so that late events find the tombstone."""
    return replace(
        profile, email="", name="", username=None, bio=None, country=None, avatar_id=None, roles=(),
        preferences=Preferences(), revision=profile.revision + 1, account_revision=account_revision,
        deleted=True,
    )  # fmt: skip
