"""How a change of a track is stored: the track, then what its artists and albums become by it, then the news.

An artist or album is looked at again whenever one of its tracks changed, while its row is locked, so that its
flag and counts are those of the tracks at the commit.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from antiphon_catalog.domain.music import Album, Artist, Face, Tally, Track
from antiphon_catalog.ports import Unit
from antiphon_catalog.usecases.announcing import (
    album_changed,
    album_deleted,
    artist_changed,
    artist_deleted,
    track_changed,
    track_deleted,
)


async def add_track(unit: Unit, track: Track, waveform: str) -> Track:
    """Store a new track at revision 1."""
    track = replace(track, revision=1)
    await unit.tracks.add(track, waveform)
    await settle(unit, [track], at=track.created_at)
    await unit.announce(track_changed(track))
    return track


async def store_track(unit: Unit, before: Track, after: Track, *, at: datetime) -> Track:
    """Store a changed track at its next revision; nothing happens when it is as it was."""
    if after == before:
        return after
    after = replace(after, revision=before.revision + 1)
    await unit.tracks.save(after)
    await settle(unit, [before, after], at=at)
    await unit.announce(track_changed(after))
    return after


async def remove_track(unit: Unit, track: Track, *, at: datetime) -> None:
    """Forget a track, for good: its upload cannot become one again."""
    await unit.gone_uploads.add(track.upload_id)
    await unit.tracks.delete(track)
    await unit.announce(track_deleted(track))
    await settle(unit, [track], at=at)


async def settle(unit: Unit, tracks: Iterable[Track | None], *, at: datetime) -> None:
    """Bring the artists and albums of these tracks, as they were and as they are, up to date."""
    known = [track for track in tracks if track]
    artist_ids = {artist_id for track in known for artist_id in track.artist_ids}
    artist_ids |= await settle_albums(unit, {track.album_id for track in known if track.album_id}, at=at)
    await settle_artists(unit, artist_ids, at=at)


async def settle_albums(unit: Unit, album_ids: Iterable[UUID], *, at: datetime) -> set[UUID]:
    """Recount albums; those that were made of uploads and have no track left go. Returns their artists."""
    artist_ids: set[UUID] = set()
    for album_id in sorted(album_ids):
        album = await unit.albums.find(album_id)
        if album is None:
            continue
        artist_ids |= album.artist_ids
        tally, face = await unit.albums.tally(album_id)
        if album.automatic and not tally.tracks:
            await remove_album(unit, album)
            continue
        counted = _counted_album(album, tally, face, at=at)
        if _seen(counted) != _seen(album) or not counted.revision:
            counted = replace(counted, revision=counted.revision + 1)
            await unit.announce(album_changed(counted))
        if counted != album:
            await unit.albums.recount(counted)
    return artist_ids


async def settle_artists(unit: Unit, artist_ids: Iterable[UUID], *, at: datetime) -> None:
    """Recount artists; those that were made of uploads and are credited nowhere go."""
    for artist_id in sorted(artist_ids):
        artist = await unit.artists.find(artist_id)
        if artist is None:
            continue
        tally = await unit.artists.tally(artist_id)
        if artist.automatic and not tally.tracks and not tally.albums:
            await unit.artists.delete(artist_id)
            if artist.revision:
                await unit.announce(artist_deleted(artist))
            continue
        counted = _counted_artist(artist, tally, at=at)
        if counted.listed != artist.listed or not counted.revision:
            counted = replace(counted, revision=counted.revision + 1)
            await unit.announce(artist_changed(counted))
        if counted != artist:
            await unit.artists.save(counted)


async def remove_album(unit: Unit, album: Album) -> None:
    """Forget an album without tracks; the caller settles its artists."""
    await unit.albums.delete(album.id)
    if album.revision:
        await unit.announce(album_deleted(album))


def with_face(album: Album, face: Face) -> Album:
    """The album with what it borrows from its tracks: cover and date, unless it has its own."""
    if not album.own_cover:
        album = replace(album, cover_id=face.cover_id, dominant_color=face.dominant_color)
    if not album.own_release_date:
        album = replace(album, release_date=face.release_date)
    return album


def _counted_artist(artist: Artist, tally: Tally, *, at: datetime) -> Artist:
    listed = tally.listed_tracks > 0
    return replace(
        artist,
        listed=listed,
        listed_at=artist.listed_at or (at if listed else None),
        track_count=tally.listed_tracks,
        play_count=tally.play_count,
    )


def _counted_album(album: Album, tally: Tally, face: Face, *, at: datetime) -> Album:
    listed = tally.listed_tracks > 0
    counted = replace(
        album,
        listed=listed,
        listed_at=album.listed_at or (at if listed else None),
        track_count=tally.listed_tracks,
        play_count=tally.play_count,
    )
    return with_face(counted, face)


def _seen(album: Album) -> tuple[object, ...]:
    return album.listed, album.cover_id, album.dominant_color, album.release_date
