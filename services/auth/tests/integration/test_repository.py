"""What must hold when many ask at once, on the real database."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from antiphon_auth import queries
from antiphon_auth.domain.sessions import Session
from antiphon_auth.repository import unit_of_work
from antiphon_auth.settings import Settings
from antiphon_auth.tables import OUTBOX, AccountRow, Base, RevocationRow, SessionRow
from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.db.migrations import differences, downgrade, migrate
from antiphon_common.ids import new_id
from antiphon_common.testing.databases import idle_relay

PASSWORD = "copper lantern quietly orbiting"


@pytest.fixture
def open_unit(database: Database, clock: FixedClock) -> Any:
    return partial(unit_of_work, database, clock, idle_relay(database, OUTBOX))


async def count(database: Database, row: type[Base]) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(row))).scalar_one())


def test_the_migration_makes_what_the_models_say_and_can_be_taken_back(settings: Settings) -> None:
    migrate("antiphon_auth", settings.database_url)
    assert differences(Base.metadata, settings.database_url) == []
    downgrade("antiphon_auth", settings.database_url)


async def test_fifty_parallel_uses_of_a_refresh_token_get_one_successor(
    register, login, refresh, database: Database
) -> None:
    await register()
    first = (await login()).json()["refresh_token"]
    answers = await asyncio.gather(*(refresh(first) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    async with database.read() as connection:
        assert (await connection.execute(select(SessionRow.generation))).scalars().all() == [1]


async def test_the_head_moves_only_from_the_generation_before(register, login, open_unit) -> None:
    user = (await register()).json()["user"]
    await login()
    async with open_unit() as unit:
        account = await unit.accounts.find_by_email(user["email"])
        session = Session(
            id=new_id(), user_id=account.id, device="x", ip="::1", cookie=False,
            created_at=account.created_at, last_used_at=account.created_at, rotated_at=account.created_at,
        )  # fmt: skip
        await unit.sessions.start(session, "0" * 64)
        following = Session(**{**{n: getattr(session, n) for n in session.__slots__}, "generation": 1})
        assert await unit.sessions.advance(following, "1" * 64)
        assert not await unit.sessions.advance(following, "2" * 64)
        await unit.sessions.revoke(session.id, account.created_at)
        third = Session(**{**{n: getattr(session, n) for n in session.__slots__}, "generation": 2})
        assert not await unit.sessions.advance(third, "3" * 64)


async def test_of_two_hundred_parallel_wrong_logins_ten_are_looked_at(register, login, passwords) -> None:
    await register()
    attempts = [login(password=PASSWORD if index == 150 else f"wrong {index}") for index in range(200)]
    answers = await asyncio.gather(*attempts)
    assert passwords.evaluations <= 10
    assert {answer.status_code for answer in answers} == {401, 429}
    assert sum(answer.status_code == 429 for answer in answers) == 190


async def test_thirty_parallel_registrations_of_one_address_make_one_account(
    register, database: Database
) -> None:
    spellings = ["ada@example.org", "ADA@EXAMPLE.ORG", "ａｄａ@example.org", "Ada@exampLe.org"]
    answers = await asyncio.gather(*(register(spellings[index % 4]) for index in range(30)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 29
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"email_taken"}
    assert await count(database, AccountRow) == 1


async def test_the_revocation_list_is_ordered_paged_and_survives_pruning(
    database: Database, open_unit: Any, clock: FixedClock
) -> None:
    users = [new_id() for _ in range(25)]
    async with open_unit() as unit:
        for user in users:
            await unit.revocations.add(user_id=user, session_id=None, at=clock.now())
    seen, cursor = [], None
    for size in (10, 10, 5, 0):
        page = await queries.revocations(database, cursor, clock.now(), limit=10)
        assert len(page.items) == size
        seen, cursor = seen + [item.user for item in page.items], page.cursor
    assert seen == users

    clock.advance(timedelta(minutes=21))
    assert (await queries.revocations(database, None, clock.now())).items == []
    async with open_unit() as unit:
        await unit.prune(clock.now())
    assert await count(database, RevocationRow) == 0
    async with open_unit() as unit:
        await unit.revocations.add(user_id=users[0], session_id=users[1], at=clock.now())
    page = await queries.revocations(database, cursor, clock.now())
    assert [(item.user, item.session) for item in page.items] == [(users[0], users[1])]
    assert int(page.cursor) == 26


async def test_a_revocation_stays_listed_for_fifteen_minutes_beyond_the_life_of_a_token(
    database: Database, open_unit: Any, clock: FixedClock
) -> None:
    async with open_unit() as unit:
        await unit.revocations.add(user_id=new_id(), session_id=None, at=clock.now())
    clock.advance(timedelta(minutes=20))
    async with open_unit() as unit:
        await unit.prune(clock.now())
    assert len((await queries.revocations(database, None, clock.now())).items) == 1


async def test_a_cursor_from_another_database_gets_everything(
    database: Database, open_unit: Any, clock: FixedClock
) -> None:
    async with open_unit() as unit:
        await unit.revocations.add(user_id=new_id(), session_id=None, at=clock.now())
    assert len((await queries.revocations(database, "99999", clock.now())).items) == 1


async def test_old_sessions_and_counters_are_pruned(
    client: httpx.AsyncClient, register, login, open_unit: Any, database: Database, clock: FixedClock
) -> None:
    await register()
    await login()
    await login(password="wrong")
    clock.advance(timedelta(days=31))
    async with open_unit() as unit:
        await unit.prune(clock.now())
    for table in ("session", "refresh_token", "attempts"):
        async with database.read() as connection:
            rows = await connection.execute(select(func.count()).select_from(Base.metadata.tables[table]))
            assert rows.scalar_one() == 0, table
    assert await count(database, AccountRow) == 1


async def test_every_account_can_be_published_again(register, database: Database) -> None:
    await register()
    await register("eve@example.org")
    events = [event async for event in queries.current_events(database)]
    assert [(event.email, event.revision) for event in events] == [
        ("ada@example.org", 1),
        ("eve@example.org", 1),
    ]
