"""Events that two instances handle at the same moment."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import select

from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.testing.databases import idle_relay
from antiphon_common.testing.races import raced
from antiphon_contracts.auth import AccountChanged, AccountDeleted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_user import usecases
from antiphon_user.ports import Unit
from antiphon_user.repository import unit_of_work
from antiphon_user.tables import OUTBOX, PlaylistRow, ProfileRow

OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]
ADA = new_id()


@pytest.fixture
def open_unit(database: Database, clock: FixedClock) -> OpenUnit:
    return partial(unit_of_work, database, clock, idle_relay(database, OUTBOX))


def account(revision: int) -> AccountChanged:
    return AccountChanged(
        subject=ADA, revision=revision, email=f"{revision}@example.org", name="Ada", roles=("listener",),
        email_verified=False, created_at=datetime(2026, 1, 1, tzinfo=UTC), status="active",
    )  # fmt: skip


async def test_of_two_first_events_of_an_account_the_newer_one_wins(
    database: Database, open_unit: OpenUnit
) -> None:
    await raced(
        open_unit,
        lambda unit: usecases.apply_account(unit, account(2)),
        lambda unit: usecases.apply_account(unit, account(1)),
    )
    async with database.read() as connection:
        emails = (await connection.execute(select(ProfileRow.email))).scalars().all()
    assert emails == ["2@example.org"]


async def test_an_account_that_is_erased_at_the_moment_it_is_heard_of_stays_erased(
    database: Database, open_unit: OpenUnit
) -> None:
    await raced(
        open_unit,
        lambda unit: usecases.erase_account(unit, AccountDeleted(subject=ADA, revision=2)),
        lambda unit: usecases.apply_account(unit, account(1)),
    )
    async with database.read() as connection:
        rows = (await connection.execute(select(ProfileRow.email, ProfileRow.deleted))).all()
    assert [tuple(row) for row in rows] == [("", True)]


async def test_a_playlist_that_is_deleted_at_the_moment_it_is_heard_of_is_not_counted(
    database: Database, open_unit: OpenUnit
) -> None:
    subject = new_id()
    made = PlaylistChanged.model_validate(
        {"subject": subject, "revision": 1, "owner_id": ADA, "title": "x", "visibility": "public",
         "item_count": 0}
    )  # fmt: skip
    gone = PlaylistDeleted(subject=subject, revision=2, owner_id=ADA)
    await raced(
        open_unit,
        lambda unit: usecases.forget_playlist(unit, gone),
        lambda unit: usecases.apply_playlist(unit, made),
    )
    async with database.read() as connection:
        public = (await connection.execute(select(PlaylistRow.public))).scalars().all()
    assert public == [False]
