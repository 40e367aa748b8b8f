"""The real hasher: its parameters, its bounds, and what it costs to ask about nobody."""

import asyncio
import time
from collections.abc import AsyncIterator

import argon2
import httpx
import pytest
from sqlalchemy import select

from antiphon_auth.adapters.passwords import Argon2Passwords
from antiphon_auth.app import create_app
from antiphon_auth.settings import Settings
from antiphon_auth.tables import AccountRow
from antiphon_common.db import Database
from antiphon_common.errors import Unavailable
from antiphon_common.testing.running import running

PASSWORD = "copper lantern quietly orbiting"


@pytest.fixture
async def hasher() -> AsyncIterator[Argon2Passwords]:
    hasher = Argon2Passwords()
    await hasher.start()
    yield hasher
    await hasher.stop()


async def test_a_hash_is_argon2id_with_the_parameters_of_the_policy(hasher: Argon2Passwords) -> None:
    hashed = await hasher.hash("copper lantern")
    parameters = argon2.extract_parameters(hashed)
    assert parameters.type is argon2.Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19 * 1024, 2, 1)
    assert await hasher.verify(hashed, "copper lantern")
    assert not await hasher.verify(hashed, "Copper lantern")
    assert not hasher.outdated(hashed)


async def test_every_character_of_a_long_password_counts(hasher: Argon2Passwords) -> None:
    hashed = await hasher.hash("a" * 90 + "b" + "a" * 9)
    assert not await hasher.verify(hashed, "a" * 100)
    hashed = await hasher.hash("é")
    assert not await hasher.verify(hashed, "e\u0301")


async def test_no_hash_and_a_broken_hash_are_never_right(hasher: Argon2Passwords) -> None:
    assert not await hasher.verify(None, "")
    assert not await hasher.verify("", "")
    assert not await hasher.verify("$argon2id$broken", "x")


async def test_two_work_twenty_wait_and_the_next_is_refused_at_once(hasher: Argon2Passwords) -> None:
    answers = await asyncio.gather(*(hasher.hash("x") for _ in range(30)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(refused) == 8
    assert all(isinstance(error, Unavailable) and error.retry_after for error in refused)
    assert await hasher.hash("the gate opens again")


async def test_the_loop_runs_on_while_passwords_are_hashed(hasher: Argon2Passwords) -> None:
    work = [asyncio.create_task(hasher.hash("x")) for _ in range(8)]
    longest, last = 0.0, time.perf_counter()
    while not all(task.done() for task in work):
        await asyncio.sleep(0.001)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    assert longest < 0.5


async def login_seconds(client: httpx.AsyncClient, email: str) -> float:
    started = time.perf_counter()
    body = {"email": email, "password": "wrong wrong wrong"}
    assert (await client.post("/api/auth/login", json=body)).status_code == 401
    return time.perf_counter() - started


async def test_an_unknown_account_costs_as_much_as_a_known_one(settings: Settings) -> None:
    async with running(create_app(settings)) as client:
        body = {"email": "ada@example.org", "password": PASSWORD, "name": "Ada"}
        assert (await client.post("/api/auth/register", json=body)).status_code == 201
        known, unknown = [], []
        for index in range(9):
            known.append(await login_seconds(client, "ada@example.org"))
            unknown.append(await login_seconds(client, f"nobody{index}@example.org"))
    # Loose, because the machine is shared; without the dummy hash it is a factor of five and more.
    assert 0.5 < sorted(known)[4] / sorted(unknown)[4] < 2.0


async def test_a_hash_with_old_parameters_is_replaced_at_login(register, login, passwords, settings) -> None:
    await register()
    passwords.today = "better"
    database = Database(settings.database_url)
    for password, kind in [("wrong", "cheap"), (PASSWORD, "better")]:
        await login(password=password)
        async with database.read() as connection:
            hashed = (await connection.execute(select(AccountRow.password_hash))).scalar_one()
        assert hashed.startswith(f"{kind}$")
    await database.stop()
    assert (await login()).status_code == 200


async def test_a_full_queue_is_503_and_costs_no_attempt(client, register, login, passwords) -> None:
    await register()
    verify = passwords.verify

    async def full(hashed: str | None, password: str) -> bool:
        raise Unavailable("busy", "Try again.", retry_after=2)

    passwords.verify = full
    for _ in range(15):
        answer = await login()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    passwords.verify = verify
    assert (await login()).status_code == 200
