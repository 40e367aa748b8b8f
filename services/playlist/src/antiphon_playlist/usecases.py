"""What changes a playlist. Each function receives an open unit; the caller commits.

`expected` is what `If-Match` named: the revisions the caller accepts, or none for any.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from antiphon_common.errors import (
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    Stale,
    Unauthenticated,
)
from antiphon_common.ids import new_id
from antiphon_common.principal import Principal
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_contracts.user import ProfileChanged
from antiphon_playlist.domain import (
    MAX_ITEMS,
    Item,
    Person,
    Playlist,
    Spot,
    Track,
    may_read,
    may_see,
    places,
    without_repeats,
)
from antiphon_playlist.ports import Unit

Expected = frozenset[int] | None


@dataclass(frozen=True, slots=True)
class PlaylistChange:
    """The fields to set, by name; what is not named stays."""

    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Addition:
    """Tracks to add and where; `skip` leaves out those that the playlist holds already."""

    track_ids: Sequence[UUID]
    spot: Spot
    skip: bool


async def create_playlist(unit: Unit, user: Principal, change: PlaylistChange, *, now: datetime) -> Playlist:
    """A new, empty playlist."""
    if (await unit.people.hold(user.user_id)).deleted:
        # The token outlives its account by some minutes; nothing may be left behind it.
        raise Unauthenticated("account_deleted", "This account was deleted.")
    playlist = Playlist(
        id=new_id(), owner_id=user.user_id, item_count=0, revision=1, layout=0, created_at=now,
        updated_at=now, **change.values,
    )  # fmt: skip
    await unit.playlists.save(playlist)
    await unit.announce(announcement(playlist))
    return playlist


async def change_playlist(
    unit: Unit, user: Principal, playlist_id: UUID, *, change: PlaylistChange, expected: Expected,
    now: datetime,
) -> Playlist:  # fmt: skip
    """Set fields of one's own playlist. Raises `NotFound`, `Forbidden` or `Stale`."""
    playlist = await _own(unit, user, playlist_id, expected)
    changed = replace(playlist, **change.values)
    if changed == playlist:
        return playlist
    return await _save(unit, changed, now)


async def delete_playlist(unit: Unit, user: Principal, playlist_id: UUID, *, expected: Expected) -> None:
    """Remove a playlist: its owner, or an administrator."""
    playlist = await _readable(unit, user, playlist_id)
    if not user.is_admin:
        _check_owner(playlist, user)
    _check_revision(playlist, expected)
    await _delete(unit, playlist)


async def add_tracks(
    unit: Unit, user: Principal, playlist_id: UUID, *, addition: Addition, expected: Expected, now: datetime
) -> tuple[Playlist, Sequence[Item]]:
    """Add tracks, all or none; the playlist and the new items.

    Raises `Invalid` for a track that the user cannot see, whether or not it exists, and for an unknown
    spot; `Conflict` when the playlist would hold more than `MAX_ITEMS`.
    """
    playlist = await _own(unit, user, playlist_id, expected)
    await _check_tracks(unit, user, addition.track_ids)
    track_ids = addition.track_ids
    if addition.skip:
        track_ids = without_repeats(track_ids, await unit.items.present(playlist.id, track_ids))
    if playlist.item_count + len(track_ids) > MAX_ITEMS:
        raise Conflict("playlist_full", f"A playlist holds at most {MAX_ITEMS} items.")
    await _neighbours(unit, playlist, addition.spot)
    if not track_ids:
        return playlist, []
    playlist, positions = await _room(unit, playlist, addition.spot, count=len(track_ids))
    items = [
        Item(new_id(), playlist.id, track_id, position, added_by=user.user_id, added_at=now)
        for track_id, position in zip(track_ids, positions, strict=True)
    ]
    await unit.items.add(items)
    return await _save(unit, replace(playlist, item_count=playlist.item_count + len(items)), now), items


async def move_item(
    unit: Unit, user: Principal, playlist_id: UUID, *, item_id: UUID, spot: Spot, expected: Expected,
    now: datetime,
) -> Playlist:  # fmt: skip
    """Put an item somewhere else in its playlist; to where it stands already changes nothing."""
    playlist = await _own(unit, user, playlist_id, expected)
    item = await _item(unit, playlist, item_id)
    if spot == item.id:
        return playlist
    low, high = await _neighbours(unit, playlist, spot, without=item.id)
    if (low is None or low < item.position) and (high is None or item.position < high):
        return playlist
    playlist, positions = await _room(unit, playlist, spot, count=1, without=item.id)
    await unit.items.move(item.id, positions[0])
    return await _save(unit, playlist, now)


async def remove_item(
    unit: Unit, user: Principal, playlist_id: UUID, *, item_id: UUID, expected: Expected, now: datetime
) -> None:
    """Take one item out."""
    playlist = await _own(unit, user, playlist_id, expected)
    item = await _item(unit, playlist, item_id)
    await unit.items.remove(item.id)
    await _save(unit, replace(playlist, item_count=playlist.item_count - 1), now)


async def remove_track(
    unit: Unit, user: Principal, playlist_id: UUID, *, track_id: UUID, expected: Expected, now: datetime
) -> None:
    """Take every occurrence of a track out. Raises `NotFound` when there is none."""
    playlist = await _own(unit, user, playlist_id, expected)
    removed = await unit.items.remove_track(playlist.id, track_id)
    if removed == 0:
        raise NotFound("item_not_found", "The playlist has no such item.")
    await _save(unit, replace(playlist, item_count=playlist.item_count - removed), now)


async def apply_track(unit: Unit, event: TrackChanged) -> None:
    """Take over what catalog says of a track."""
    known = await unit.tracks.hold(event.subject)
    if known and (known.deleted or event.revision < known.revision):
        return
    reachable = event.status == "published" and event.visibility != "private"
    track = Track(event.subject, event.owner_id, reachable, card=_card(event), revision=event.revision)
    await unit.tracks.save(track)


async def forget_track(unit: Unit, event: TrackDeleted) -> None:
    """A track is gone for good: its items stay as tombstones that tell nothing."""
    await unit.tracks.hold(event.subject)
    track = Track(
        event.subject, event.owner_id, reachable=False, card={}, revision=event.revision, deleted=True
    )
    await unit.tracks.save(track)


async def apply_profile(unit: Unit, event: ProfileChanged) -> None:
    """Take over a person's name."""
    known = await unit.people.hold(event.subject)
    if not known.deleted and event.revision >= known.revision:
        await unit.people.save(Person(event.subject, event.name, event.revision))


async def erase_account(unit: Unit, event: AccountDeleted) -> None:
    """Delete all playlists of a person. The tombstone stays, so that nothing brings them back."""
    person = await unit.people.hold(event.subject)
    for playlist in await unit.playlists.of_owner(event.subject):
        await _delete(unit, playlist)
    await unit.people.save(replace(person, name=None, deleted=True))


def announcement(playlist: Playlist) -> PlaylistChanged:
    """The event that says what a playlist looks like now."""
    return PlaylistChanged(
        subject=playlist.id,
        revision=playlist.revision,
        owner_id=playlist.owner_id,
        title=playlist.title,
        description=playlist.description,
        visibility=playlist.visibility,
        item_count=playlist.item_count,
        cover_id=playlist.cover_id,
    )


async def _readable(unit: Unit, user: Principal, playlist_id: UUID) -> Playlist:
    playlist = await unit.playlists.find(playlist_id)
    if playlist is None or not may_read(playlist, user):
        raise NotFound("playlist_not_found", "There is no such playlist.")
    return playlist


async def _own(unit: Unit, user: Principal, playlist_id: UUID, expected: Expected) -> Playlist:
    playlist = await _readable(unit, user, playlist_id)
    _check_owner(playlist, user)
    _check_revision(playlist, expected)
    return playlist


def _check_owner(playlist: Playlist, user: Principal) -> None:
    if playlist.owner_id != user.user_id:
        raise Forbidden("not_your_playlist", "Only its owner may change a playlist.")


def _check_revision(playlist: Playlist, expected: Expected) -> None:
    if expected is not None and playlist.revision not in expected:
        raise Stale("stale_revision", "The playlist has changed since you read it.")


async def _check_tracks(unit: Unit, user: Principal, track_ids: Sequence[UUID]) -> None:
    known = await unit.tracks.find(track_ids)
    errors = [
        FieldError(f"body.track_ids.{index}", "track_not_found", "There is no such track.")
        for index, track_id in enumerate(track_ids)
        if track_id not in known or not may_see(known[track_id], user)
    ]
    if errors:
        raise Invalid("track_not_found", "Some of the tracks do not exist.", errors=errors)


async def _item(unit: Unit, playlist: Playlist, item_id: UUID) -> Item:
    item = await unit.items.find(playlist.id, item_id)
    if item is None:
        raise NotFound("item_not_found", "The playlist has no such item.")
    return item


async def _neighbours(
    unit: Unit, playlist: Playlist, spot: Spot, *, without: UUID | None = None
) -> tuple[int | None, int | None]:
    around = await unit.items.neighbours(playlist.id, spot, without=without)
    if around is None:
        message = "The playlist has no such item."
        field = FieldError("body.after_item_id", "item_not_found", message)
        raise Invalid("item_not_found", message, errors=[field])
    return around


async def _room(
    unit: Unit, playlist: Playlist, spot: Spot, *, count: int, without: UUID | None = None
) -> tuple[Playlist, list[int]]:
    """Free places at a spot; the playlist has another layout when its items had to move apart."""
    low, high = await _neighbours(unit, playlist, spot, without=without)
    found = places(low, high, count)
    if found is None:
        await unit.items.spread(playlist.id)
        playlist = replace(playlist, layout=playlist.layout + 1)
        low, high = await _neighbours(unit, playlist, spot, without=without)
        found = places(low, high, count)
        assert found is not None
    return playlist, found


async def _save(unit: Unit, playlist: Playlist, now: datetime) -> Playlist:
    changed = replace(playlist, revision=playlist.revision + 1, updated_at=now)
    await unit.playlists.save(changed)
    await unit.announce(announcement(changed))
    return changed


async def _delete(unit: Unit, playlist: Playlist) -> None:
    await unit.playlists.delete(playlist.id)
    await unit.announce(
        PlaylistDeleted(subject=playlist.id, revision=playlist.revision + 1, owner_id=playlist.owner_id)
    )


def _card(event: TrackChanged) -> dict[str, Any]:
    album = {"id": str(event.album_id), "title": event.album_title} if event.album_id else None
    return {
        "title": event.title,
        "artists": [
            {"id": str(c.artist_id), "name": c.name, "role": c.role, "join_phrase": c.join_phrase}
            for c in event.artists
        ],
        "album": album,
        "duration_ms": event.audio.duration_ms,
        "explicit": event.explicit,
        "cover": str(event.cover_id) if event.cover_id else None,
        "dominant_color": event.dominant_color,
    }
