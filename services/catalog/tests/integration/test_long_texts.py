"""Texts that grow when they are folded: Postgres refuses what is longer than its column, SQLite does not."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from sqlalchemy import select

from antiphon_catalog.ports import Unit
from antiphon_catalog.tables import TrackRow
from antiphon_catalog.usecases.ingesting import apply_upload
from antiphon_common.db import Database
from antiphon_contracts.file import UploadReady

MakeUpload = Callable[..., UploadReady]
OpenUnit = Callable[[Database], AbstractAsyncContextManager[Unit]]


@pytest.mark.parametrize(
    "character",
    ["\ufdfa", "\u0390", "e\u0301", "a\u0300\u0301\u0302", "\U0001f468\u200d\U0001f469", "ß", "z"],
)
async def test_the_longest_tags_in_any_script_become_a_track(
    database: Database, unit_on: OpenUnit, upload: MakeUpload, character: str
) -> None:
    text = character * 1000
    async with unit_on(database) as unit:
        await apply_upload(
            unit,
            upload(
                title=text,
                artists=(text, f"{text} x", "Ada"),
                album=text,
                album_artist=text,
                genres=(text, f"b{text}"),
            ),
        )
    async with database.read() as connection:
        assert len((await connection.execute(select(TrackRow.id))).all()) == 1
