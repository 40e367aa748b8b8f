"""What other services say: counts, uploaders' names, and accounts that are gone."""

from dataclasses import replace

from antiphon_catalog.domain.music import Counters, Person
from antiphon_catalog.ports import Unit
from antiphon_catalog.usecases.storing import remove_album, remove_track, settle, settle_artists
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted
from antiphon_contracts.user import ProfileChanged


async def apply_likes(unit: Unit, event: TrackLikesCounted) -> None:
    """Take over how many like a track; the absolute number makes a repeat harmless."""
    known = await unit.counters.of(event.subject)
    if event.revision >= known.like_revision:
        changed = replace(known, like_count=event.like_count, like_revision=event.revision)
        await _count(unit, known, changed)


async def apply_plays(unit: Unit, event: TrackPlaysCounted) -> None:
    """Take over how often a track was played; its artists and album count it, too."""
    known = await unit.counters.of(event.subject)
    if event.revision >= known.play_revision:
        changed = replace(known, play_count=event.play_count, play_revision=event.revision)
        await _count(unit, known, changed)


async def apply_profile(unit: Unit, event: ProfileChanged) -> None:
    """Remember an uploader's name."""
    known = await unit.people.find(event.subject)
    if known is None or (not known.deleted and event.revision >= known.revision):
        await unit.people.save(Person(event.subject, event.name, event.revision))


async def erase_account(unit: Unit, event: AccountDeleted) -> None:
    """Delete all that somebody uploaded or made here. The tombstone keeps late events from reviving it."""
    await unit.people.save(Person(event.subject, "", event.revision, deleted=True))
    for track in await unit.tracks.of_owner(event.subject):
        await remove_track(unit, track, at=track.created_at)
    for album in await unit.albums.of_owner(event.subject):
        await remove_album(unit, album)
    artists = await unit.artists.of_owner(event.subject)
    for artist in artists:
        await unit.artists.save(replace(artist, automatic=True))
    for artist in artists:
        await settle_artists(unit, [artist.id], at=artist.created_at)


async def _count(unit: Unit, known: Counters, changed: Counters) -> None:
    await unit.counters.save(changed)
    if changed.play_count == known.play_count:
        return
    track = await unit.tracks.find(changed.track_id)
    if track:
        await settle(unit, [track], at=track.created_at)
