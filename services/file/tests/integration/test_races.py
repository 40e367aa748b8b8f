"""Units that two instances run at the same moment: twins, uses of images, people who go."""

from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.errors import Unavailable
from antiphon_common.ids import new_id
from antiphon_common.testing.databases import idle_relay
from antiphon_common.testing.races import raced
from antiphon_contracts.auth import AccountDeleted
from antiphon_file import usecases
from antiphon_file.domain import Form, Image, Quota, Upload
from antiphon_file.repository import unit_of_work
from antiphon_file.tables import OUTBOX, ImageRow, ImageUseRow, UploadRow, UsageRow

QUOTA = Quota(size=10_000, files=10, images=10)
ADA = new_id()


@pytest.fixture
def open_unit(database: Database, clock: FixedClock) -> Any:
    return partial(unit_of_work, database, clock, idle_relay(database, OUTBOX), lambda: None)


def image(clock: FixedClock) -> Image:
    return Image(
        id=new_id(), owner_id=ADA, source_sha256="s", created_at=clock.now(), lease_until=clock.now(), width=1,
        height=1, dominant_color="#000000", sizes=(1,),
    )  # fmt: skip


async def begun(open_unit: Any, clock: FixedClock) -> UUID:
    upload = Upload(
        id=new_id(), owner_id=ADA, state="receiving", created_at=clock.now(), lease_until=clock.now(), size=100,
        form=Form(),
    )  # fmt: skip
    async with open_unit() as unit:
        await usecases.begin_upload(unit, upload, QUOTA)
    return upload.id


async def finish(unit: Any, upload_id: UUID, clock: FixedClock) -> None:
    await usecases.finish_upload(
        unit, upload_id, size=100, sha256="same", filename=None, form=Form(), cover=None, now=clock.now()
    )


async def test_of_two_equal_files_that_arrive_together_one_is_a_duplicate(
    database: Database, open_unit: Any, clock: FixedClock
) -> None:
    one, two = await begun(open_unit, clock), await begun(open_unit, clock)
    await raced(open_unit, lambda unit: finish(unit, one, clock), lambda unit: finish(unit, two, clock))
    async with database.read() as connection:
        states = (await connection.execute(select(UploadRow.state))).scalars().all()
        usage = (await connection.execute(select(UsageRow.size, UsageRow.files))).one()
    assert sorted(states) == ["analysing", "duplicate"]
    assert tuple(usage) == (100, 1)


async def test_of_two_equal_pictures_that_arrive_together_one_is_kept(
    database: Database, open_unit: Any, clock: FixedClock
) -> None:
    await raced(
        open_unit,
        lambda unit: usecases.begin_image(unit, image(clock), QUOTA),
        lambda unit: usecases.begin_image(unit, image(clock), QUOTA),
    )
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(ImageRow))).scalar_one() == 1
        assert (await connection.execute(select(UsageRow.images))).scalar_one() == 1


async def test_of_two_first_uses_of_an_image_the_newer_one_wins(database: Database, open_unit: Any) -> None:
    subject, newer = new_id(), new_id()
    await raced(
        open_unit,
        lambda unit: unit.images.note_use(subject, newer, 2),
        lambda unit: unit.images.note_use(subject, new_id(), 1),
    )
    async with database.read() as connection:
        assert (await connection.execute(select(ImageUseRow.image_id))).scalars().all() == [newer]


async def test_a_person_who_goes_while_a_file_arrives_leaves_nothing_once_the_event_is_tried_again(
    database: Database, open_unit: Any, clock: FixedClock
) -> None:
    upload_id = await begun(open_unit, clock)
    gone = AccountDeleted(subject=ADA, revision=2)

    async def erase(unit: Any) -> None:
        await usecases.erase_owner(unit, gone)

    try:
        await raced(open_unit, lambda unit: finish(unit, upload_id, clock), erase)
    except Unavailable:
        async with open_unit() as unit:
            await erase(unit)
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(UploadRow))).scalar_one() == 0
        usage = (await connection.execute(select(UsageRow.size, UsageRow.files, UsageRow.erased))).one()
    assert tuple(usage) == (0, 0, True)
