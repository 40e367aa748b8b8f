"""Registration over HTTP: what is accepted, what is refused, and what a refusal tells."""

import httpx

from antiphon_auth.app import create_app
from antiphon_auth.settings import Settings
from antiphon_common.clock import FixedClock
from antiphon_common.testing.running import running

GOOD = {"email": "ada@example.org", "password": "copper lantern quietly orbiting", "name": "Ada"}


async def test_the_same_address_in_another_spelling_is_taken(register) -> None:
    assert (await register()).status_code == 201
    for spelling in ("ADA@example.org", "ａｄａ@example.org", "Ada@EXAMPLE.org"):
        answer = await register(spelling)
        assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


BAD: list[dict[str, object]] = [
    {"email": None}, {"email": ""}, {"email": []}, {"email": "%"}, {"email": " Ada@example.org "},
    {"email": "ada@localhost"}, {"email": "a" * 300 + "@example.org"}, {"password": None},
    {"password": ""}, {"password": []}, {"password": {}}, {"password": 12345678}, {"password": "short"},
    {"password": "x" * 1025}, {"password": "copper\u0000lantern quietly"}, {"name": ""}, {"name": "  "},
    {"name": "a\nb"}, {"name": "\u202eadA"}, {"name": 7}, {"roles": ["admin"]}, {"id": "1"},
]  # fmt: skip


async def test_a_bad_registration_is_refused_without_repeating_it(client: httpx.AsyncClient) -> None:
    for change in BAD:
        answer = await client.post("/api/auth/register", json={**GOOD, **change})
        assert answer.status_code == 422, change
        assert answer.headers["content-type"] == "application/problem+json"
        assert '"input"' not in answer.text
        assert "copper" not in answer.text
    assert (await client.post("/api/auth/register", json=GOOD)).status_code == 201


async def test_a_weak_password_is_refused_and_says_why(settings: Settings) -> None:
    async with running(create_app(settings)) as client:
        for password in ("Password12345678", "antiphon2026!", "qwertyuiop"):
            answer = await client.post("/api/auth/register", json={**GOOD, "password": password})
            assert answer.status_code == 422
            (field,) = answer.json()["errors"]
            assert field["loc"] == "body.password"
            assert password not in answer.text
        assert (await client.post("/api/auth/register", json=GOOD)).status_code == 201


async def test_nobody_becomes_an_administrator_by_registering_first(register) -> None:
    assert (await register()).json()["user"]["roles"] == ["listener"]


async def test_an_operator_may_let_everybody_publish_at_once(
    settings: Settings, clock: FixedClock, passwords
) -> None:
    open_house = settings.model_copy(update={"new_accounts_are_artists": True})
    async with running(create_app(open_house, clock=clock, passwords=passwords)) as client:
        answer = await client.post("/api/auth/register", json=GOOD)
    assert answer.json()["user"]["roles"] == ["listener", "artist"]
