"""Genres, with how many public tracks each has."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, select

from antiphon_catalog.queries.paging import Slice, Sort, page
from antiphon_catalog.tables import GenreRow
from antiphon_common.db import Database
from antiphon_common.pages import Page


async def list_genres(database: Database, part: Slice) -> Page[Mapping[str, object]]:
    """A page of genres, the largest first."""
    query: Select[*tuple[Any, ...]] = select(GenreRow.key.label("id"), GenreRow.name, GenreRow.track_count)
    query = query.where(GenreRow.track_count > 0)
    sort = Sort("track_count", GenreRow.track_count, GenreRow.key, int, id_kind=str)
    async with database.read() as connection:
        return await page(
            connection,
            query,
            sort,
            part=part,
            scope="genres",
            view=lambda row: {"name": row["name"], "track_count": row["track_count"]},
        )
