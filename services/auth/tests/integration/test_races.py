"""Units that would stand in each other's way: guesses that are forgotten, offers, ends of all sessions."""

import asyncio
from functools import partial
from typing import Any

import pytest

from antiphon_auth import usecases
from antiphon_auth.domain.accounts import Account
from antiphon_auth.domain.bootstrap import Bootstrap
from antiphon_auth.repository import unit_of_work
from antiphon_auth.tables import OUTBOX
from antiphon_common.clock import FixedClock
from antiphon_common.db import Database
from antiphon_common.ids import new_id
from antiphon_common.testing.databases import idle_relay
from antiphon_common.testing.races import raced


@pytest.fixture
def open_unit(database: Database, clock: FixedClock) -> Any:
    return partial(unit_of_work, database, clock, idle_relay(database, OUTBOX))


def administrator(clock: FixedClock) -> Account:
    return Account(
        id=new_id(), email="ada@example.org", name="Ada", password_hash="x", roles=("admin",),
        email_verified=True, created_at=clock.now(),
    )  # fmt: skip


async def test_a_guess_counts_while_a_login_forgets_the_guesses(open_unit: Any, clock: FixedClock) -> None:
    async with open_unit() as unit:
        await usecases._reserve(unit, "door", clock.now())
    await raced(
        open_unit,
        lambda unit: unit.guesses.forget("door"),
        lambda unit: usecases._reserve(unit, "door", clock.now()),
    )
    async with open_unit() as unit:
        assert (await unit.guesses.find("door", clock.now())).count == 1


async def test_two_instances_that_start_together_make_one_offer(open_unit: Any, clock: FixedClock) -> None:
    await raced(
        open_unit,
        lambda unit: usecases.offer_bootstrap(unit, "one", now=clock.now()),
        lambda unit: usecases.offer_bootstrap(unit, "two", now=clock.now()),
    )
    async with open_unit() as unit:
        assert (await unit.bootstraps.find()).secret_hash == usecases.digest("two")


async def test_an_instance_that_starts_while_the_first_administrator_is_made_offers_nothing(
    open_unit: Any, clock: FixedClock
) -> None:
    async with open_unit() as unit:
        await usecases.offer_bootstrap(unit, "one", now=clock.now())

    async def make(unit: Any) -> None:
        offer: Bootstrap = await unit.bootstraps.find()
        await unit.bootstraps.save(offer)
        await unit.accounts.add(administrator(clock))

    async def offer_again(unit: Any) -> None:
        assert not await usecases.offer_bootstrap(unit, "two", now=clock.now())

    await raced(open_unit, make, offer_again)
    async with open_unit() as unit:
        assert (await unit.bootstraps.find()).secret_hash == usecases.digest("one")


async def test_refreshing_while_all_sessions_end_never_waits_in_a_circle(
    register: Any, login: Any, refresh: Any, client: Any
) -> None:
    await register()
    for _ in range(6):
        logins = [(await login()).json() for _ in range(4)]
        bearer = {"authorization": f"Bearer {logins[0]['access_token']}"}
        answers = await asyncio.gather(
            *(refresh(each["refresh_token"]) for each in logins * 2),
            client.post("/api/auth/logout-all", headers=bearer),
            *(refresh(each["refresh_token"]) for each in logins),
        )
        assert {answer.status_code for answer in answers} <= {200, 204, 401}
        last = [await refresh(each["refresh_token"]) for each in logins]
        assert {answer.status_code for answer in last} == {401}
