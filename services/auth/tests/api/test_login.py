"""Logging in: one refusal for every reason, and no guessing."""

from datetime import timedelta

import httpx
import pytest

from antiphon_auth.app import create_app
from antiphon_auth.settings import Settings
from antiphon_common.clock import FixedClock
from antiphon_common.testing.running import running
from antiphon_common.testing.tokens import TokenMaker

PASSWORD = "copper lantern quietly orbiting"


def masked(answer: httpx.Response) -> tuple[int, list[str], bytes]:
    trace = answer.json()["trace_id"]
    return answer.status_code, sorted(answer.headers), answer.content.replace(trace.encode(), b"-")


async def test_wrong_password_and_unknown_address_get_the_same_bytes(register, login) -> None:
    await register()
    wrong, unknown = await login(password="wrong"), await login("nobody@example.org")
    assert wrong.status_code == 401
    assert wrong.json()["code"] == "bad_credentials"
    assert masked(wrong) == masked(unknown)


async def test_unknown_addresses_are_throttled_like_known_ones(register, login, passwords) -> None:
    await register()
    for email in ("ada@example.org", "nobody@example.org"):
        answers = [await login(email, password="wrong") for _ in range(11)]
        assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert passwords.evaluations == 20


async def test_after_ten_failures_even_the_right_password_waits(
    register, login, passwords, clock: FixedClock
) -> None:
    await register()
    for index in range(10):
        assert (await login(password=f"wrong {index}")).status_code == 401
    answer = await login()
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert answer.headers["retry-after"] == "30"
    assert passwords.evaluations == 10
    clock.advance(timedelta(seconds=30))
    assert (await login()).status_code == 200
    # Success forgets the failures.
    assert [(await login(password="wrong")).status_code for _ in range(9)] == [401] * 9


async def test_the_counter_survives_a_restart(settings: Settings, clock: FixedClock, passwords) -> None:
    body = {"email": "ada@example.org", "password": "wrong wrong"}
    for expected in ([401] * 10, [429]):
        async with running(create_app(settings, clock=clock, passwords=passwords)) as client:
            answers = [await client.post("/api/auth/login", json=body) for _ in expected]
        assert [answer.status_code for answer in answers] == expected


async def test_a_known_device_is_not_locked_out_by_strangers(client: httpx.AsyncClient, register) -> None:
    await register()
    body = {"email": "ada@example.org", "password": PASSWORD}
    answer = await client.post("/api/auth/login", json=body)
    own = {"cookie": f"antiphon_device={answer.cookies['antiphon_device']}"}
    client.cookies.clear()
    for _ in range(30):
        await client.post("/api/auth/login", json={**body, "password": "wrong"})
    assert (await client.post("/api/auth/login", json=body)).status_code == 429
    assert (await client.post("/api/auth/login", json=body, headers=own)).status_code == 200
    client.cookies.clear()
    assert (await client.post("/api/auth/login", json=body)).status_code == 429


async def test_a_browser_that_still_has_a_session_is_a_known_device(client, register, login) -> None:
    await register()
    answer = await login(session="cookie")
    own = {"cookie": f"antiphon_refresh={answer.cookies['antiphon_refresh']}"}
    for _ in range(12):
        await login(password="wrong")
    assert (await login()).status_code == 429
    assert (await login(**own)).status_code == 200


async def test_a_stolen_or_forged_device_cookie_is_no_licence_to_guess(
    client: httpx.AsyncClient, register, login, passwords, clock: FixedClock
) -> None:
    await register()
    await register("eve@example.org")
    ours = (await login()).cookies["antiphon_device"]
    wrong = {"email": "ada@example.org", "password": "wrong"}
    eves = (await login("eve@example.org")).cookies["antiphon_device"]
    for cookie in (ours, eves, ours[:-2] + "AA", "a.b.c.d", "é", "." * 200):
        passwords.evaluations = 0
        headers = {"cookie": f"antiphon_device={cookie}".encode("latin-1")}
        for _ in range(15):
            await client.post("/api/auth/login", json=wrong, headers=headers)
        assert passwords.evaluations <= 10
    clock.advance(timedelta(days=366))
    for _ in range(10):
        await login(password="wrong")
    assert (await login(cookie=f"antiphon_device={ours}")).status_code == 429


@pytest.mark.parametrize("password", ["", None, [], {}, "\0", 7, True, "x" * 1025])
async def test_a_password_that_is_none_never_logs_in(client: httpx.AsyncClient, register, password) -> None:
    await register()
    body = {"email": "ada@example.org", "password": password}
    assert (await client.post("/api/auth/login", json=body)).status_code == 422


@pytest.mark.parametrize(
    "email", ["%", "_", "admin%00", " Ada@example.org ", "ada@example.org'--", "*", "ada@example.or_", "🦊"]
)
async def test_an_address_is_matched_exactly_or_not_at_all(register, login, email: str) -> None:
    await register()
    assert (await login(email)).status_code == 401


@pytest.mark.parametrize(
    "credentials", [("admin", "admin"), ("admin@localhost", "password"), ("root", "root")]
)
async def test_there_is_no_default_account(login, credentials: tuple[str, str]) -> None:
    assert (await login(*credentials)).status_code == 401


async def test_other_spellings_of_the_address_reach_the_account(register, login) -> None:
    await register()
    assert (await login("ADA@Example.org")).status_code == 200


async def test_each_login_begins_a_new_session_whatever_the_browser_sends(
    client: httpx.AsyncClient, register, login
) -> None:
    await register()
    planted = {"cookie": "antiphon_refresh=planted-by-somebody"}
    answer = await login(session="cookie", **planted)
    again = await login(session="cookie", cookie=f"antiphon_refresh={answer.cookies['antiphon_refresh']}")
    tokens = {"planted-by-somebody", answer.cookies["antiphon_refresh"], again.cookies["antiphon_refresh"]}
    assert len(tokens) == 3
    for session in (answer, again):
        headers = {"authorization": f"Bearer {session.json()['access_token']}"}
        items = (await client.get("/api/auth/sessions", headers=headers)).json()["items"]
        assert len(items) == 2
        assert sum(item["current"] for item in items) == 1


async def test_a_login_with_somebodys_bad_token_is_refused_not_ignored(
    login, register, tokens: TokenMaker
) -> None:
    await register()
    assert (await login(**tokens.bearer())).status_code == 401
