"""Tracks, artists and albums as the events that tell of them."""

from collections.abc import Sequence

from antiphon_catalog.domain.credits import Credit
from antiphon_catalog.domain.music import Album, Artist, Track
from antiphon_contracts import catalog


def track_changed(track: Track) -> catalog.TrackChanged:
    """The event of a track as it is now."""
    return catalog.TrackChanged(
        subject=track.id,
        revision=track.revision,
        owner_id=track.owner_id,
        upload_id=track.upload_id,
        status=track.status,
        visibility=track.visibility,
        title=track.title,
        artists=_credits(track.credits),
        album_id=track.album_id,
        album_title=track.album.title if track.album else None,
        disc_number=track.disc_number,
        track_number=track.track_number,
        genres=track.genres,
        explicit=track.explicit,
        release_date=track.release_date,
        cover_id=track.cover_id,
        dominant_color=track.dominant_color,
        audio=track.audio,
        created_at=track.created_at,
    )


def track_deleted(track: Track) -> catalog.TrackDeleted:
    """The event of a track that is no more; its revision is above every one before."""
    return catalog.TrackDeleted(
        subject=track.id, revision=track.revision + 1, owner_id=track.owner_id, upload_id=track.upload_id
    )


def artist_changed(artist: Artist) -> catalog.ArtistChanged:
    """The event of an artist as it is now."""
    return catalog.ArtistChanged(
        subject=artist.id,
        revision=artist.revision,
        owner_id=artist.owner_id,
        name=artist.name,
        listed=artist.listed,
        image_id=artist.image_id,
    )


def artist_deleted(artist: Artist) -> catalog.ArtistDeleted:
    """The event of an artist that is no more."""
    return catalog.ArtistDeleted(subject=artist.id, revision=artist.revision + 1)


def album_changed(album: Album) -> catalog.AlbumChanged:
    """The event of an album as it is now."""
    return catalog.AlbumChanged(
        subject=album.id,
        revision=album.revision,
        owner_id=album.owner_id,
        title=album.title,
        kind=album.kind,
        artists=_credits(album.credits),
        listed=album.listed,
        release_date=album.release_date,
        cover_id=album.cover_id,
        dominant_color=album.dominant_color,
    )


def album_deleted(album: Album) -> catalog.AlbumDeleted:
    """The event of an album that is no more."""
    return catalog.AlbumDeleted(subject=album.id, revision=album.revision + 1)


def _credits(credits_: Sequence[Credit]) -> tuple[catalog.Credit, ...]:
    return tuple(
        catalog.Credit(artist_id=c.artist_id, name=c.name, role=c.role, join_phrase=c.join_phrase)
        for c in credits_
    )
