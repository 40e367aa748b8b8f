"""Rows to dataclasses and back: a row never leaves this package."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from antiphon_catalog.domain.credits import Credit
from antiphon_catalog.domain.folding import sort_key
from antiphon_catalog.domain.music import Album, AlbumRef, Artist, Track
from antiphon_catalog.tables import AlbumRow, ArtistRow, TrackRow
from antiphon_contracts.file import Audio


def track_of(row: TrackRow) -> Track:
    """The track of a row."""
    album = AlbumRef(row.album_id, row.album_title or "") if row.album_id else None
    return Track(
        id=row.id,
        owner_id=row.owner_id,
        upload_id=row.upload_id,
        upload_revision=row.upload_revision,
        status=row.status,  # type: ignore[arg-type]
        visibility=row.visibility,  # type: ignore[arg-type]
        title=row.title,
        credits=credits_of(row.credits),
        album=album,
        disc_number=row.disc_number,
        track_number=row.track_number,
        genres=tuple(row.genres),
        explicit=row.explicit,
        release_date=row.release_date,
        cover_id=row.cover_id,
        dominant_color=row.dominant_color,
        audio=Audio.model_validate(row.audio),
        created_at=row.created_at,
        published_at=row.published_at,
        like_count=row.like_count,
        play_count=row.play_count,
        revision=row.revision,
    )


def track_row(track: Track) -> TrackRow:
    """The row of a track."""
    return TrackRow(
        id=track.id,
        owner_id=track.owner_id,
        upload_id=track.upload_id,
        upload_revision=track.upload_revision,
        status=track.status,
        visibility=track.visibility,
        listed=track.listed,
        title=track.title,
        title_key=sort_key(track.title),
        credits=credits_json(track.credits),
        album_id=track.album_id,
        album_title=track.album.title if track.album else None,
        disc_number=track.disc_number,
        track_number=track.track_number,
        position=track.position,
        genres=list(track.genres),
        explicit=track.explicit,
        release_date=track.release_date,
        release_year=track.release_year,
        cover_id=track.cover_id,
        dominant_color=track.dominant_color,
        duration_ms=track.audio.duration_ms,
        gain_db=track.audio.gain_db,
        peak=track.audio.peak,
        audio=track.audio.model_dump(mode="json"),
        created_at=track.created_at,
        published_at=track.published_at,
        like_count=track.like_count,
        play_count=track.play_count,
        revision=track.revision,
    )


def artist_of(row: ArtistRow) -> Artist:
    """The artist of a row."""
    return Artist(**{name: getattr(row, name) for name in Artist.__dataclass_fields__})


def artist_values(artist: Artist) -> dict[str, Any]:
    """The columns of an artist."""
    values = {name: getattr(artist, name) for name in Artist.__dataclass_fields__}
    return {**values, "name_key": artist.name_key}


def album_of(row: AlbumRow) -> Album:
    """The album of a row."""
    values = {name: getattr(row, name) for name in Album.__dataclass_fields__}
    return Album(**{**values, "credits": credits_of(row.credits)})


def album_values(album: Album) -> dict[str, Any]:
    """The columns of an album."""
    values = {name: getattr(album, name) for name in Album.__dataclass_fields__}
    return {
        **values,
        "identity": album.identity,
        "title_key": album.title_key,
        "credits": credits_json(album.credits),
    }


def credits_of(stored: Sequence[dict[str, Any]]) -> tuple[Credit, ...]:
    """Credits from the JSON of a row, which is written as the API shows it."""
    return tuple(Credit(UUID(c["id"]), c["name"], c["role"], c["join_phrase"]) for c in stored)


def credits_json(credits_: Sequence[Credit]) -> list[dict[str, Any]]:
    """Credits as the JSON of a row."""
    return [
        {"id": str(c.artist_id), "name": c.name, "role": c.role, "join_phrase": c.join_phrase}
        for c in credits_
    ]
