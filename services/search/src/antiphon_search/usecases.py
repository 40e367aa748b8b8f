"""What changes the documents: the events of catalog, playlist and library."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from antiphon_contracts.catalog import (
    AlbumChanged,
    AlbumDeleted,
    ArtistChanged,
    ArtistDeleted,
    Credit,
    TrackChanged,
    TrackDeleted,
)
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_search.domain import Document, Entry, Kind
from antiphon_search.ports import Unit


async def apply_track(unit: Unit, event: TrackChanged) -> None:
    """A track as it is now."""
    # The counts first, as `count_plays` does: two instances that lock in one order never wait for each other.
    counts = await unit.counts.find(event.subject)
    if event.revision < await unit.documents.revision(event.subject):
        return
    document = Document(
        id=event.subject,
        kind="track",
        owner_id=event.owner_id,
        public=event.status == "published" and event.visibility == "public",
        title=event.title,
        artists=tuple(credit.name for credit in event.artists),
        extra=event.album_title or "",
        genres=event.genres,
        year=_year(event.release_date),
        popularity=counts.popularity,
    )
    album = {"id": str(event.album_id), "title": event.album_title} if event.album_id else None
    shown = {
        "title": event.title,
        "artists": _credits(event.artists),
        "album": album,
        "duration_ms": event.audio.duration_ms,
        "genres": list(event.genres),
        "explicit": event.explicit,
        "release_date": event.release_date,
        "cover": _text(event.cover_id),
        "dominant_color": event.dominant_color,
        "status": event.status,
        "visibility": event.visibility,
    }
    await unit.documents.put(Entry(document, event.revision, shown))


async def apply_artist(unit: Unit, event: ArtistChanged) -> None:
    """An artist as it is now; for everyone while a listed track credits it."""
    if event.revision < await unit.documents.revision(event.subject):
        return
    document = Document(event.subject, "artist", event.owner_id, event.listed, event.name)
    shown = {"name": event.name, "image": _text(event.image_id)}
    await unit.documents.put(Entry(document, event.revision, shown))


async def apply_album(unit: Unit, event: AlbumChanged) -> None:
    """An album as it is now; for everyone while it holds a listed track."""
    if event.revision < await unit.documents.revision(event.subject):
        return
    document = Document(
        id=event.subject,
        kind="album",
        owner_id=event.owner_id,
        public=event.listed,
        title=event.title,
        artists=tuple(credit.name for credit in event.artists),
        year=_year(event.release_date),
    )
    shown = {
        "title": event.title,
        "type": event.kind,
        "artists": _credits(event.artists),
        "release_date": event.release_date,
        "cover": _text(event.cover_id),
        "dominant_color": event.dominant_color,
    }
    await unit.documents.put(Entry(document, event.revision, shown))


async def apply_playlist(unit: Unit, event: PlaylistChanged) -> None:
    """A playlist as it is now."""
    if event.revision < await unit.documents.revision(event.subject):
        return
    public = event.visibility == "public"
    description = event.description or ""
    document = Document(event.subject, "playlist", event.owner_id, public, event.title, extra=description)
    shown = {
        "title": event.title,
        "description": event.description,
        "owner_id": str(event.owner_id),
        "item_count": event.item_count,
        "cover": _text(event.cover_id),
        "visibility": event.visibility,
    }
    await unit.documents.put(Entry(document, event.revision, shown))


async def forget_track(unit: Unit, event: TrackDeleted) -> None:
    """A track is gone for good."""
    await _forget(unit, event.subject, "track", event.revision)


async def forget_artist(unit: Unit, event: ArtistDeleted) -> None:
    """An artist is gone for good."""
    await _forget(unit, event.subject, "artist", event.revision)


async def forget_album(unit: Unit, event: AlbumDeleted) -> None:
    """An album is gone for good."""
    await _forget(unit, event.subject, "album", event.revision)


async def forget_playlist(unit: Unit, event: PlaylistDeleted) -> None:
    """A playlist is gone for good."""
    await _forget(unit, event.subject, "playlist", event.revision)


async def count_plays(unit: Unit, event: TrackPlaysCounted) -> None:
    """How often a track was played in all."""
    counts = await unit.counts.find(event.subject)
    if event.revision < counts.plays_revision:
        return
    counts = replace(counts, plays=event.play_count, plays_revision=event.revision)
    await unit.counts.save(event.subject, counts)
    await unit.documents.set_popularity(event.subject, counts.popularity)


async def count_likes(unit: Unit, event: TrackLikesCounted) -> None:
    """How many people like a track."""
    counts = await unit.counts.find(event.subject)
    if event.revision < counts.likes_revision:
        return
    counts = replace(counts, likes=event.like_count, likes_revision=event.revision)
    await unit.counts.save(event.subject, counts)
    await unit.documents.set_popularity(event.subject, counts.popularity)


async def _forget(unit: Unit, subject: UUID, kind: Kind, revision: int) -> None:
    if revision >= await unit.documents.revision(subject):
        await unit.documents.bury(subject, kind, revision=revision)


def _credits(artists: Sequence[Credit]) -> list[dict[str, str]]:
    return [
        {"id": str(one.artist_id), "name": one.name, "role": one.role, "join_phrase": one.join_phrase}
        for one in artists
    ]


def _year(release_date: str | None) -> int | None:
    year = (release_date or "")[:4]
    return int(year) if len(year) == 4 and year.isascii() and year.isdigit() else None


def _text(value: UUID | None) -> str | None:
    return str(value) if value else None
