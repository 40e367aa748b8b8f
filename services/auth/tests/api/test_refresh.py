"""Refresh over HTTP: rotation, reuse, grace, ends."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from antiphon_common.clock import FixedClock


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}


@pytest.fixture
async def family(register, login) -> dict[str, str]:
    await register()
    tokens: dict[str, str] = (await login()).json()
    return tokens


async def test_reuse_of_an_old_token_ends_the_family_and_no_other(
    client: httpx.AsyncClient, family, login, refresh, settings
) -> None:
    other = (await login()).json()
    second = (await refresh(family["refresh_token"])).json()
    third = (await refresh(second["refresh_token"])).json()
    stolen = await refresh(family["refresh_token"])
    assert (stolen.status_code, stolen.json()["code"]) == (401, "invalid_refresh_token")
    assert (await refresh(third["refresh_token"])).status_code == 401
    assert (await client.get("/api/auth/sessions", headers=bearer(third))).status_code == 401
    assert (await refresh(other["refresh_token"])).status_code == 200
    feed = (await client.get("/internal/revocations")).json()
    assert len(feed["items"]) == 1
    assert "refresh_token_reused" in settings.log_file.read_text()


async def test_the_predecessor_gets_the_same_successor_for_ten_seconds(
    family, refresh, clock: FixedClock
) -> None:
    second = (await refresh(family["refresh_token"])).json()["refresh_token"]
    clock.advance(timedelta(seconds=10))
    again = await refresh(family["refresh_token"])
    assert (again.status_code, again.json()["refresh_token"]) == (200, second)
    clock.advance(timedelta(seconds=0.1))
    assert (await refresh(family["refresh_token"])).status_code == 401
    assert (await refresh(second)).status_code == 401


async def test_the_grace_is_for_the_immediate_predecessor_only(family, refresh) -> None:
    second = (await refresh(family["refresh_token"])).json()["refresh_token"]
    third = (await refresh(second)).json()["refresh_token"]
    assert (await refresh(family["refresh_token"])).status_code == 401
    assert (await refresh(third)).status_code == 401


async def test_a_lost_answer_does_not_end_the_session(client: httpx.AsyncClient, family, refresh) -> None:
    await refresh(family["refresh_token"])
    retried = (await refresh(family["refresh_token"])).json()
    third = await refresh(retried["refresh_token"])
    assert third.status_code == 200
    assert (await client.get("/api/auth/sessions", headers=bearer(third.json()))).status_code == 200


@pytest.mark.parametrize(("pauses", "expected"), [([13.9, 13.9], 200), ([14], 401), ([13, 13, 5], 401)])
async def test_a_session_ends_when_idle_or_old(
    family, refresh, clock: FixedClock, pauses: list[float], expected: int
) -> None:
    token, answer = family["refresh_token"], None
    for days in pauses:
        clock.advance(timedelta(days=days))
        answer = await refresh(token)
        token = answer.json().get("refresh_token", "")
    assert answer is not None
    assert answer.status_code == expected


async def test_ten_sessions_die_together(client: httpx.AsyncClient, family, login, refresh) -> None:
    others = [(await login()).json() for _ in range(9)]
    assert (await client.post("/api/auth/logout-all", headers=bearer(family))).status_code == 204
    for tokens in [family, *others]:
        assert (await refresh(tokens["refresh_token"])).status_code == 401
        assert (await client.get("/api/auth/sessions", headers=bearer(tokens))).status_code == 401


@pytest.mark.parametrize("token", ["x", "a" * 43, "é", "' OR 1=1--", "../../etc/passwd"])
async def test_a_token_that_nobody_was_given_is_refused(family, refresh, token: str) -> None:
    assert (await refresh(token)).status_code == 401
    assert (await refresh(family["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"refresh_token": ""}', b'{"refresh_token": null}', b'{"refresh_token": "x", "y": 1}', b"[]"],
)
async def test_a_body_of_another_shape_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    assert (await client.post("/api/auth/refresh", content=body, headers=headers)).status_code == 422


async def test_without_any_token_there_is_nothing_to_refresh(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/auth/refresh")).status_code == 401


async def test_an_access_token_is_no_refresh_token(family, refresh) -> None:
    assert (await refresh(family["access_token"])).status_code in {401, 422}


async def test_a_thief_and_the_owner_cannot_both_go_on(family, refresh, clock: FixedClock) -> None:
    second = (await refresh(family["refresh_token"])).json()["refresh_token"]
    clock.advance(timedelta(seconds=11))
    answers = await asyncio.gather(*(refresh(token) for token in (second, family["refresh_token"])))
    clock.advance(timedelta(seconds=11))
    alive = [await refresh(a.json()["refresh_token"]) for a in answers if a.status_code == 200]
    assert all(answer.status_code == 401 for answer in alive)
