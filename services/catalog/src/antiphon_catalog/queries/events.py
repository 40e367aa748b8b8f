"""The present state of the catalogue as events, to refill a consumer's projection."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from sqlalchemy import select

from antiphon_catalog.repository.mapping import album_of, artist_of, track_of
from antiphon_catalog.tables import AlbumRow, ArtistRow, TrackRow
from antiphon_catalog.usecases.announcing import album_changed, artist_changed, track_changed
from antiphon_common.db import Database
from antiphon_contracts.catalog import AlbumChanged, ArtistChanged, TrackChanged

Changed = ArtistChanged | AlbumChanged | TrackChanged


async def current_events(database: Database) -> AsyncIterator[Changed]:
    """Every artist, album and track as it is now, in that order."""
    kinds: tuple[tuple[type[Any], Callable[[Any], Changed]], ...] = (
        (ArtistRow, lambda row: artist_changed(artist_of(row))),
        (AlbumRow, lambda row: album_changed(album_of(row))),
        (TrackRow, lambda row: track_changed(track_of(row))),
    )
    async with database.read() as connection:
        for kind, event_of in kinds:
            # Rows are read as they are sent: a million of them do not fit into memory at once.
            rows = await connection.stream(select(*kind.__table__.columns).order_by(kind.__table__.c.id))
            async for row in rows:
                yield event_of(row)
