"""What an owner or administrator does with an album."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from antiphon_catalog.domain.music import Album, AlbumRef
from antiphon_catalog.ports import Unit
from antiphon_catalog.usecases.announcing import album_changed, track_changed
from antiphon_catalog.usecases.storing import (
    remove_album,
    remove_track,
    settle_artists,
    store_track,
    with_face,
)
from antiphon_catalog.usecases.wishes import CreditWish, Editing, wished_credits
from antiphon_common.errors import Conflict, NotFound
from antiphon_common.ids import new_id

Fate = Literal["detach", "delete"]
"""What becomes of the tracks of an album that is deleted."""


@dataclass(frozen=True, slots=True)
class AlbumChange:
    """The fields to set, by name, and the artists when they are to change. What is not named stays."""

    values: Mapping[str, object]
    artists: Sequence[CreditWish] | None = None


async def create_album(unit: Unit, owner_id: UUID, change: AlbumChange, by: Editing) -> Album:
    """Make an album that stays without tracks. Raises `Conflict` when the owner has one like it."""
    values: dict[str, Any] = {"kind": "album", **change.values}
    credits_ = await wished_credits(unit, owner_id, change.artists or (), at=by.at)
    album = Album(
        id=new_id(), owner_id=owner_id, credits=credits_, automatic=False, created_at=by.at, revision=1,
        **_owned(values),
    )  # fmt: skip
    await unit.albums.add(album)
    await settle_artists(unit, album.artist_ids, at=by.at)
    await unit.announce(album_changed(album))
    return album


async def change_album(unit: Unit, album_id: UUID, change: AlbumChange, by: Editing) -> Album:
    """Set fields of an album. A new title is printed on all its tracks, which are told, too."""
    before = await _own(unit, album_id, by)
    after = replace(before, **_owned(dict(change.values)))
    if after.cover_id != before.cover_id:
        # The colour was measured on the old cover.
        after = replace(after, dominant_color=None)
    if change.artists is not None:
        credits_ = await wished_credits(unit, before.owner_id, change.artists, at=by.at)
        after = replace(after, credits=credits_)
    _, face = await unit.albums.tally(album_id)
    after = with_face(after, face)
    if after == before:
        return before
    after = replace(after, revision=before.revision + 1)
    await unit.albums.save(after)
    await settle_artists(unit, before.artist_ids | after.artist_ids, at=by.at)
    await unit.announce(album_changed(after))
    if after.title != before.title:
        await _retitle_tracks(unit, after)
    return after


async def delete_album(unit: Unit, album_id: UUID, fate: Fate | None, by: Editing) -> None:
    """Delete an album, its tracks kept or not. Raises `Conflict` when it has some and nobody said which."""
    album = await _own(unit, album_id, by)
    tracks = await unit.tracks.of_album(album_id)
    if tracks and fate is None:
        raise Conflict("album_has_tracks", "Say what becomes of its tracks: ?tracks=detach or delete.")
    for track in tracks:
        if fate == "delete":
            await remove_track(unit, track, at=by.at)
        else:
            await store_track(unit, track, replace(track, album=None), at=by.at)
    # One that was made of uploads went with its last track; the others go now, as they are now.
    left = await unit.albums.find(album_id)
    if left:
        await remove_album(unit, left)
    await settle_artists(unit, album.artist_ids, at=by.at)


async def _own(unit: Unit, album_id: UUID, by: Editing) -> Album:
    album = await unit.albums.find(album_id, by.owner_id)
    if album is None:
        raise NotFound("album_not_found", "There is no such album.")
    by.expected.check(album.revision)
    return album


async def _retitle_tracks(unit: Unit, album: Album) -> None:
    for track in await unit.tracks.of_album(album.id):
        retitled = replace(track, album=AlbumRef(album.id, album.title), revision=track.revision + 1)
        await unit.tracks.save(retitled)
        await unit.announce(track_changed(retitled))


def _owned(values: dict[str, Any]) -> dict[str, Any]:
    # What was set by hand is no longer borrowed from the tracks; null borrows it again.
    for name, flag in (("cover_id", "own_cover"), ("release_date", "own_release_date")):
        if name in values:
            values[flag] = values[name] is not None
    return values
