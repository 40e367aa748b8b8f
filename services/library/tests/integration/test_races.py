"""Events about the same track that two instances handle at the same moment."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from sqlalchemy import select

from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.testing.races import raced
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_library import usecases
from antiphon_library.ports import Unit
from antiphon_library.tables import ItemRow

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
MakeTrack = Callable[..., TrackChanged]


async def known(database: Database) -> list[tuple[object, ...]]:
    async with database.read() as connection:
        rows = await connection.execute(select(ItemRow.revision, ItemRow.deleted))
        return [tuple(row) for row in rows]


@pytest.mark.parametrize("order", [(3, 2), (2, 3)])
async def test_of_two_changes_of_a_known_track_the_newer_one_wins(
    database: Database, open_unit: OpenUnit, track: MakeTrack, order: tuple[int, int]
) -> None:
    subject = new_id()
    async with open_unit() as unit:
        await usecases.apply_track(unit, track(subject, revision=1))
    await raced(
        open_unit,
        lambda unit: usecases.apply_track(unit, track(subject, revision=order[0])),
        lambda unit: usecases.apply_track(unit, track(subject, revision=order[1])),
    )
    assert await known(database) == [(3, False)]


async def test_of_two_first_events_of_a_track_the_newer_one_wins(
    database: Database, open_unit: OpenUnit, track: MakeTrack
) -> None:
    subject = new_id()
    await raced(
        open_unit,
        lambda unit: usecases.apply_track(unit, track(subject, revision=3)),
        lambda unit: usecases.apply_track(unit, track(subject, revision=2)),
    )
    assert await known(database) == [(3, False)]


async def test_a_track_that_is_deleted_while_it_changes_stays_deleted(
    database: Database, open_unit: OpenUnit, track: MakeTrack
) -> None:
    for heard_before in (True, False):
        subject = new_id()
        if heard_before:
            async with open_unit() as unit:
                await usecases.apply_track(unit, track(subject, revision=1))
        gone = TrackDeleted(subject=subject, revision=3, owner_id=new_id(), upload_id=new_id())
        changed = track(subject, revision=2)
        await raced(
            open_unit,
            lambda unit, gone=gone: usecases.forget_track(unit, gone),  # type: ignore[misc]
            lambda unit, changed=changed: usecases.apply_track(unit, changed),  # type: ignore[misc]
        )
    assert await known(database) == [(3, True), (3, True)]
