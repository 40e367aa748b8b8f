"""The present state of the catalogue as events, to refill a consumer's projection."""

from collections.abc import AsyncIterator, Callable

from sqlalchemy import RowMapping, Table, select

from antiphon_catalog.repository.mapping import album_of, artist_of, track_of
from antiphon_catalog.tables import ALBUM, ARTIST, TRACK
from antiphon_catalog.usecases.announcing import album_changed, artist_changed, track_changed
from antiphon_common.db import Database
from antiphon_contracts.catalog import AlbumChanged, ArtistChanged, TrackChanged

Changed = ArtistChanged | AlbumChanged | TrackChanged


async def current_events(database: Database) -> AsyncIterator[Changed]:
    """Every artist, album and track as it is now, in that order."""
    kinds: tuple[tuple[Table, Callable[[RowMapping], Changed]], ...] = (
        (ARTIST, lambda row: artist_changed(artist_of(row))),
        (ALBUM, lambda row: album_changed(album_of(row))),
        (TRACK, lambda row: track_changed(track_of(row))),
    )
    async with database.read(snapshot=True) as connection:
        for table, event_of in kinds:
            # Rows are read as they are sent: a million of them do not fit into memory at once.
            rows = await connection.stream(select(table).order_by(table.c.id))
            async for row in rows.mappings():
                yield event_of(row)
