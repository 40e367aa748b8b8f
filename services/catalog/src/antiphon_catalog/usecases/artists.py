"""What an owner or administrator does with an artist."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from antiphon_catalog.domain.credits import Credit
from antiphon_catalog.domain.music import Artist
from antiphon_catalog.ports import Unit
from antiphon_catalog.usecases.announcing import album_changed, artist_changed, artist_deleted, track_changed
from antiphon_catalog.usecases.wishes import Editing
from antiphon_common.errors import Conflict, NotFound
from antiphon_common.ids import new_id


async def create_artist(
    unit: Unit, owner_id: UUID, name: str, *, image_id: UUID | None, by: Editing
) -> Artist:
    """Make an artist that stays without tracks. Raises `Conflict` when the owner has that name already."""
    artist = Artist(
        id=new_id(), owner_id=owner_id, name=name, image_id=image_id, automatic=False, created_at=by.at,
        revision=1,
    )  # fmt: skip
    await unit.artists.add(artist)
    await unit.announce(artist_changed(artist))
    return artist


async def change_artist(unit: Unit, artist_id: UUID, values: Mapping[str, object], by: Editing) -> Artist:
    """Set fields of an artist. A new name is printed on all its tracks and albums, which are told, too."""
    before = await _own(unit, artist_id, by)
    changes: dict[str, Any] = dict(values)
    after = replace(before, **changes)
    if after == before:
        return before
    after = replace(after, revision=before.revision + 1)
    await unit.artists.save(after)
    await unit.announce(artist_changed(after))
    if after.name != before.name:
        await _rename_credits(unit, after)
    return after


async def delete_artist(unit: Unit, artist_id: UUID, by: Editing) -> None:
    """Delete an artist. Raises `Conflict` while a track or album is credited to it."""
    artist = await _own(unit, artist_id, by)
    tally = await unit.artists.tally(artist_id)
    if tally.tracks or tally.albums:
        raise Conflict("artist_in_use", "Tracks or albums are credited to this artist.")
    await unit.artists.delete(artist_id)
    await unit.announce(artist_deleted(artist))


async def _own(unit: Unit, artist_id: UUID, by: Editing) -> Artist:
    artist = await unit.artists.find(artist_id, by.owner_id)
    if artist is None:
        raise NotFound("artist_not_found", "There is no such artist.")
    by.expected.check(artist.revision)
    return artist


async def _rename_credits(unit: Unit, artist: Artist) -> None:
    for album in await unit.albums.of_artist(artist.id):
        renamed = replace(album, credits=_renamed(album.credits, artist), revision=album.revision + 1)
        await unit.albums.save(renamed)
        await unit.announce(album_changed(renamed))
    for track in await unit.tracks.of_artist(artist.id):
        named = replace(track, credits=_renamed(track.credits, artist), revision=track.revision + 1)
        await unit.tracks.save(named)
        await unit.announce(track_changed(named))


def _renamed(credits_: tuple[Credit, ...], artist: Artist) -> tuple[Credit, ...]:
    return tuple(
        replace(credit, name=artist.name) if credit.artist_id == artist.id else credit for credit in credits_
    )
