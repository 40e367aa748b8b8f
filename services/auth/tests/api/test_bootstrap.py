"""The first administrator: made by whoever can read the server's files, once."""

import asyncio
import stat
from datetime import timedelta

import httpx
import pytest

from antiphon_auth.app import create_app
from antiphon_auth.settings import Settings
from antiphon_common.clock import FixedClock
from antiphon_common.testing.running import Recorder, running
from antiphon_contracts.auth import AccountChanged

ADMIN = {"email": "root@example.org", "password": "copper lantern quietly orbiting", "name": "Root"}


def secret_of(settings: Settings) -> str:
    return (settings.secrets_dir / "bootstrap").read_text().strip()


async def make(client: httpx.AsyncClient, secret: str, **change: str) -> httpx.Response:
    return await client.post("/api/auth/bootstrap", json={**ADMIN, "secret": secret, **change})


async def test_the_secret_makes_one_administrator_and_is_dead(
    client: httpx.AsyncClient, settings: Settings, login
) -> None:
    path = settings.secrets_dir / "bootstrap"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = secret_of(settings)
    async with Recorder(settings.bus_url, AccountChanged) as recorder:
        answer = await make(client, secret)
        assert answer.status_code == 201
        assert answer.json()["user"]["roles"] == ["listener", "artist", "admin"]
        (event,) = await recorder.wait_for(1)
    assert isinstance(event, AccountChanged)
    assert event.roles == ("listener", "artist", "admin")
    assert not path.exists()
    for again in (secret, "wrong"):
        gone = await make(client, again, email="second@example.org")
        assert (gone.status_code, gone.json()["code"]) == (410, "bootstrap_closed")
    assert (await login("root@example.org")).status_code == 200


async def test_wrong_secrets_are_forbidden_and_close_the_door_to_nobody(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    for _ in range(20):
        answer = await make(client, "wrong")
        assert (answer.status_code, answer.json()["code"]) == (403, "bad_bootstrap_secret")
    assert (await make(client, secret_of(settings))).status_code == 201


async def test_the_secret_lives_for_half_an_hour_and_a_restart_makes_another(
    settings: Settings, clock: FixedClock, passwords
) -> None:
    async with running(create_app(settings, clock=clock, passwords=passwords)) as client:
        old = secret_of(settings)
        clock.advance(timedelta(minutes=30))
        assert (await make(client, old)).status_code == 410
    async with running(create_app(settings, clock=clock, passwords=passwords)) as client:
        new = secret_of(settings)
        assert new != old
        assert (await make(client, old)).status_code == 403
        assert (await make(client, new)).status_code == 201
    async with running(create_app(settings, clock=clock, passwords=passwords)) as client:
        assert not (settings.secrets_dir / "bootstrap").exists()
        assert (await make(client, new)).status_code == 410


async def test_parallel_uses_of_the_secret_make_one_administrator(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    secret = secret_of(settings)
    answers = await asyncio.gather(*(make(client, secret, email=f"root{i}@example.org") for i in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [410] * 9


@pytest.mark.parametrize(
    ("change", "status"), [({"password": "12345678"}, 422), ({"email": "ada@example.org"}, 409)]
)
async def test_a_refused_account_does_not_use_up_the_secret(
    client: httpx.AsyncClient, settings: Settings, register, change: dict[str, str], status: int
) -> None:
    assert (await register()).json()["user"]["roles"] == ["listener"]
    secret = secret_of(settings)
    assert (await make(client, secret, **change)).status_code == status
    assert (await make(client, secret)).status_code == 201


async def test_a_directory_that_cannot_be_written_costs_only_the_offer(
    settings: Settings, clock: FixedClock, passwords
) -> None:
    async with running(create_app(settings, clock=clock, passwords=passwords)):
        pass
    (settings.secrets_dir / "bootstrap").unlink()
    (settings.secrets_dir / "bootstrap").mkdir()
    async with running(create_app(settings, clock=clock, passwords=passwords)) as client:
        assert (await client.get("/readyz")).status_code == 200
    assert settings.log_file is not None
    assert "no_bootstrap_offer" in settings.log_file.read_text()


async def test_the_log_says_where_the_secret_is_and_not_what_it_is(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    assert settings.log_file is not None
    log = settings.log_file.read_text()
    assert str(settings.secrets_dir / "bootstrap") in log
    assert "http://localhost:8080" in log
    assert secret_of(settings) not in log
