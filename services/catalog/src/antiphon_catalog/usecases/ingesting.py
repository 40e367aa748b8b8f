"""From an upload to a track: artists, album and track are found or made under the uploader."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from antiphon_catalog.domain.credits import (
    VARIOUS_ARTISTS,
    Credit,
    NamedCredit,
    is_various,
    parse_credits,
)
from antiphon_catalog.domain.folding import clean, fold
from antiphon_catalog.domain.music import MOST_DISCS, MOST_GENRES, MOST_TRACKS, AlbumRef, Kind, Track, is_date
from antiphon_catalog.ports import Unit
from antiphon_catalog.usecases.storing import add_track, remove_track, store_track
from antiphon_common.ids import new_id
from antiphon_contracts.file import Tags, UploadDeleted, UploadReady


async def apply_upload(unit: Unit, event: UploadReady) -> None:
    """Make the track of a ready upload, once; a newer analysis of the same upload replaces its audio."""
    person = await unit.people.find(event.owner_id)
    if (person and person.deleted) or await unit.gone_uploads.has(event.subject):
        return
    known = await unit.tracks.of_upload(event.subject)
    if known is None:
        await _make_track(unit, event)
    elif event.revision > known.upload_revision:
        renewed = replace(known, audio=event.audio, upload_revision=event.revision)
        await store_track(unit, known, renewed, at=event.created_at)
        await unit.tracks.save_waveform(known.id, event.waveform)


async def forget_upload(unit: Unit, event: UploadDeleted) -> None:
    """Delete the track of an upload that is gone, also when the upload is only heard of later."""
    track = await unit.tracks.of_upload(event.subject, event.owner_id)
    if track:
        await remove_track(unit, track, at=track.created_at)
    else:
        await unit.gone_uploads.add(event.subject)


async def credited(
    unit: Unit, owner_id: UUID, names: Sequence[NamedCredit], *, at: datetime
) -> tuple[Credit, ...]:
    """The credits with the owner's artists of these names, made where there were none."""
    found = []
    for named in names:
        artist = await unit.artists.find_or_create(owner_id, named.name, at=at)
        found.append(Credit(artist.id, artist.name, named.role, named.join_phrase))
    return tuple(found)


async def home_of(
    unit: Unit,
    owner_id: UUID,
    title: str,
    credits_: tuple[Credit, ...],
    *,
    at: datetime,
    kind: Kind = "album",
) -> AlbumRef:
    """The owner's album of that title by the first of these artists, made if there was none."""
    main = tuple(credit for credit in credits_ if credit.role == "main")[:1] or credits_[:1]
    album_credits = tuple(replace(credit, join_phrase="") for credit in main)
    album = await unit.albums.find_or_create(owner_id, title, album_credits, kind=kind, at=at)
    return AlbumRef(album.id, album.title)


async def _make_track(unit: Unit, event: UploadReady) -> None:
    tags = event.tags
    title, names = parse_credits(tags.artists, tags.title)
    credits_ = await credited(unit, event.owner_id, names, at=event.created_at)
    complete = bool(title and credits_)
    track = Track(
        id=new_id(),
        owner_id=event.owner_id,
        upload_id=event.subject,
        upload_revision=event.revision,
        status="published" if complete else "draft",
        visibility=event.visibility,
        title=title or "",
        credits=credits_,
        album=await _album(unit, event, credits_),
        disc_number=_within(tags.disc_number, MOST_DISCS),
        track_number=_within(tags.track_number, MOST_TRACKS),
        genres=_genres(tags),
        explicit=tags.explicit,
        release_date=tags.release_date if is_date(tags.release_date) else None,
        cover_id=event.cover_id,
        dominant_color=event.dominant_color,
        audio=event.audio,
        created_at=event.created_at,
        published_at=event.created_at if complete else None,
    )
    await add_track(unit, track, event.waveform)


async def _album(unit: Unit, event: UploadReady, credits_: tuple[Credit, ...]) -> AlbumRef | None:
    title, album_artist = clean(event.tags.album or ""), clean(event.tags.album_artist or "")
    if not title:
        return None
    various = is_various(album_artist) or (event.tags.compilation and not album_artist)
    if various:
        names = [NamedCredit(VARIOUS_ARTISTS)]
    elif album_artist:
        names = parse_credits([album_artist])[1]
    else:
        return await home_of(unit, event.owner_id, title, credits_, at=event.created_at)
    kind: Kind = "compilation" if various or event.tags.compilation else "album"
    album_credits = await credited(unit, event.owner_id, names, at=event.created_at)
    album = await unit.albums.find_or_create(
        event.owner_id, title, album_credits, kind=kind, at=event.created_at
    )
    return AlbumRef(album.id, album.title)


def _within(number: int | None, most: int) -> int | None:
    return number if number and 1 <= number <= most else None


def _genres(tags: Tags) -> tuple[str, ...]:
    by_key: dict[str, str] = {}
    for genre in filter(None, map(clean, tags.genres)):
        by_key.setdefault(fold(genre), genre)
    return tuple(by_key.values())[:MOST_GENRES]
