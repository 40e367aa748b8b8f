"""Rows to dataclasses and back: a row never leaves this package.

Statements are SQLAlchemy Core: a unit touches some fifteen rows for every upload, and objects that are
tracked cost more than the statements.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping

from antiphon_catalog.domain.credits import Credit
from antiphon_catalog.domain.folding import sort_key
from antiphon_catalog.domain.music import Album, AlbumRef, Artist, Track
from antiphon_contracts.file import Audio

_SAME = (
    "id", "owner_id", "upload_id", "upload_revision", "status", "visibility", "title", "disc_number",
    "track_number", "explicit", "release_date", "cover_id", "dominant_color", "created_at", "published_at",
    "like_count", "play_count", "revision",
)  # fmt: skip


def track_of(row: RowMapping) -> Track:
    """The track of a row."""
    return Track(
        **{name: row[name] for name in _SAME},
        credits=credits_of(row["credits"]),
        album=AlbumRef(row["album_id"], row["album_title"] or "") if row["album_id"] else None,
        genres=tuple(row["genres"]),
        audio=Audio.model_validate(row["audio"]),
    )


def track_values(track: Track) -> dict[str, Any]:
    """The columns of a track."""
    return {
        **{name: getattr(track, name) for name in _SAME},
        "listed": track.listed,
        "title_key": sort_key(track.title),
        "credits": credits_json(track.credits),
        "album_id": track.album_id,
        "album_title": track.album.title if track.album else None,
        "position": track.position,
        "genres": list(track.genres),
        "release_year": track.release_year,
        "duration_ms": track.audio.duration_ms,
        "gain_db": track.audio.gain_db,
        "peak": track.audio.peak,
        "audio": track.audio.model_dump(mode="json"),
    }


def artist_of(row: RowMapping) -> Artist:
    """The artist of a row."""
    return Artist(**{name: row[name] for name in Artist.__dataclass_fields__})


def artist_values(artist: Artist) -> dict[str, Any]:
    """The columns of an artist."""
    values = {name: getattr(artist, name) for name in Artist.__dataclass_fields__}
    return {**values, "name_key": artist.name_key}


def album_of(row: RowMapping) -> Album:
    """The album of a row."""
    values = {name: row[name] for name in Album.__dataclass_fields__}
    return Album(**{**values, "credits": credits_of(row["credits"])})


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
