"""What changes a profile. Each function receives an open unit; the caller commits."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from antiphon_common.errors import NotFound, Unavailable
from antiphon_contracts.auth import AccountChanged, AccountDeleted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_contracts.user import ProfileChanged
from antiphon_user.domain import Profile, checked_username, erased, unheard_of
from antiphon_user.ports import Unit


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """The fields to set, by name; what is not named stays."""

    values: dict[str, Any]


async def change_profile(unit: Unit, user_id: UUID, change: ProfileChange) -> Profile:
    """Set fields of one's own profile. Raises `Conflict` when the username is taken."""
    profile = await _own(unit, user_id)
    values = dict(change.values)
    if values.get("username") is not None:
        values["username"] = checked_username(values["username"])
    changed = replace(profile, **values)
    if changed == profile:
        return profile
    changed = replace(changed, revision=profile.revision + 1)
    await unit.profiles.save(changed)
    await unit.announce(_announcement(changed))
    return changed


async def change_preferences(unit: Unit, user_id: UUID, values: dict[str, Any]) -> Profile:
    """Set preferences by name. Nobody else is told: they concern the person only."""
    profile = await _own(unit, user_id)
    changed = replace(profile, preferences=replace(profile.preferences, **values))
    await unit.profiles.save(changed)
    return changed


async def apply_account(unit: Unit, event: AccountChanged) -> None:
    """Take over what auth says of an account; the first event makes the profile."""
    known = await unit.profiles.find(event.subject)
    if known and (known.deleted or event.revision < known.account_revision):
        return
    account: dict[str, Any] = {
        "email": event.email,
        "roles": event.roles,
        "email_verified": event.email_verified,
        "created_at": event.created_at,
        "account_revision": event.revision,
    }
    if known:
        await unit.profiles.save(replace(known, **account))
        return
    profile = Profile(user_id=event.subject, name=event.name, revision=1, **account)
    await unit.profiles.save(profile)
    await unit.announce(_announcement(profile))


async def erase_account(unit: Unit, event: AccountDeleted) -> None:
    """Forget a person. The tombstone stays, so that a late event cannot bring them back."""
    known = await unit.profiles.find(event.subject) or unheard_of(event.subject)
    if not known.deleted:
        await unit.profiles.save(erased(known, event.revision))


async def apply_playlist(unit: Unit, event: PlaylistChanged) -> None:
    """Count a playlist on its owner's profile, or no longer."""
    if event.revision >= await unit.playlists.revision(event.subject):
        public = event.visibility == "public"
        await unit.playlists.save(
            event.subject, owner_id=event.owner_id, public=public, revision=event.revision
        )


async def forget_playlist(unit: Unit, event: PlaylistDeleted) -> None:
    """Stop counting a playlist, for good."""
    if event.revision >= await unit.playlists.revision(event.subject):
        await unit.playlists.save(
            event.subject, owner_id=event.owner_id, public=False, revision=event.revision
        )


async def _own(unit: Unit, user_id: UUID) -> Profile:
    profile = await unit.profiles.find(user_id)
    if profile is None:
        # The token is good, so the account exists: auth's event is still on its way.
        raise Unavailable("profile_pending", "Your profile is being made.", retry_after=1)
    if profile.deleted:
        raise NotFound("profile_not_found", "There is no such profile.")
    return profile


def _announcement(profile: Profile) -> ProfileChanged:
    return ProfileChanged(
        subject=profile.user_id,
        revision=profile.revision,
        name=profile.name,
        username=profile.username,
        avatar_id=profile.avatar_id,
    )
