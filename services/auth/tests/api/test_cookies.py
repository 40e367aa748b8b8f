"""Cookie mode: a refresh token that no script can read and no other site can use."""

import httpx
import pytest

from antiphon_auth.app import create_app
from antiphon_auth.settings import Settings
from antiphon_common.clock import FixedClock
from antiphon_common.testing.running import running

BODY = {"email": "ada@example.org", "password": "copper lantern quietly orbiting", "session": "cookie"}


def attributes(answer: httpx.Response, name: str) -> set[str]:
    (line,) = [line for line in answer.headers.get_list("set-cookie") if line.startswith(f"{name}=")]
    return {part.strip().lower() for part in line.split(";")[1:]}


async def test_the_refresh_token_travels_only_in_a_strict_http_only_cookie(register, login) -> None:
    await register()
    answer = await login(session="cookie")
    assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
    given = attributes(answer, "antiphon_refresh")
    assert given == {"httponly", "samesite=strict", "path=/api/auth", "max-age=2592000"}
    assert {"httponly", "samesite=strict", "path=/api/auth"} <= attributes(answer, "antiphon_device")
    assert answer.headers["cache-control"] == "no-store"


async def test_token_mode_sets_no_refresh_cookie(register, login) -> None:
    await register()
    answer = await login()
    assert not any("refresh" in line for line in answer.headers.get_list("set-cookie"))


async def test_on_https_the_cookies_are_bound_to_the_host(
    settings: Settings, clock: FixedClock, passwords
) -> None:
    secure = Settings.model_validate({**settings.model_dump(), "public_url": "https://Music.Example.org/"})
    async with running(create_app(secure, clock=clock, passwords=passwords)) as client:
        registration = {key: BODY[key] for key in ("email", "password")} | {"name": "Ada"}
        assert (await client.post("/api/auth/register", json=registration)).status_code == 201
        own = {"origin": "https://music.example.org"}
        answer = await client.post("/api/auth/login", json=BODY, headers=own)
        given = attributes(answer, "__Host-antiphon_refresh")
        # The prefix demands `Path=/`, `Secure` and no `Domain` (RFC 6265bis, 4.1.3.2).
        assert given == {"httponly", "samesite=strict", "path=/", "secure", "max-age=2592000"}
        token = answer.cookies["__Host-antiphon_refresh"]
        client.cookies.clear()
        cookie = {"cookie": f"__Host-antiphon_refresh={token}"}
        assert (await client.post("/api/auth/refresh", headers=own | cookie)).status_code == 200
        foreign = {"origin": "http://music.example.org"}
        assert (await client.post("/api/auth/refresh", headers=foreign | cookie)).status_code == 403


async def test_the_cookie_refreshes_and_is_replaced(client: httpx.AsyncClient, register) -> None:
    await register()
    first = (await client.post("/api/auth/login", json=BODY)).cookies["antiphon_refresh"]
    answer = await client.post("/api/auth/refresh")
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json()
    assert answer.cookies["antiphon_refresh"] != first
    assert attributes(answer, "antiphon_refresh") >= {"httponly", "samesite=strict", "path=/api/auth"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://localhost:8080"}, 200),
        ({}, 200),
        ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8080"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost:8080"}, 403),
        ({"sec-fetch-site": "nonsense"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost:8081"}, 403),
        ({"origin": "http://localhost:8080.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
    ],
)
async def test_another_site_cannot_use_the_cookie_or_plant_one(
    client: httpx.AsyncClient, register, headers: dict[str, str], status: int
) -> None:
    await register()
    assert (await client.post("/api/auth/login", json=BODY)).status_code == 200
    assert (await client.post("/api/auth/login", json=BODY, headers=headers)).status_code == status
    answer = await client.post("/api/auth/refresh", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "foreign_origin"
        assert (await client.post("/api/auth/refresh")).status_code == 200


@pytest.mark.parametrize("path", ["/api/auth/logout", "/api/auth/logout-all"])
async def test_logging_out_clears_the_cookie_with_the_attributes_it_had(
    client: httpx.AsyncClient, register, path: str
) -> None:
    await register()
    answer = await client.post("/api/auth/login", json=BODY)
    given = attributes(answer, "antiphon_refresh")
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
    farewell = await client.post(path, headers=headers)
    assert farewell.status_code == 204
    assert {a for a in attributes(farewell, "antiphon_refresh") if "max-age" not in a} == {
        a for a in given if "max-age" not in a
    }
    assert "max-age=0" in attributes(farewell, "antiphon_refresh")
    assert farewell.headers["clear-site-data"] == '"cache", "storage"'
    assert "antiphon_refresh" not in client.cookies
    assert (await client.post("/api/auth/refresh")).status_code == 401


async def test_a_session_of_a_cookie_never_shows_its_refresh_token(
    client: httpx.AsyncClient, register
) -> None:
    await register()
    token = (await client.post("/api/auth/login", json=BODY)).cookies["antiphon_refresh"]
    client.cookies.clear()
    answer = await client.post("/api/auth/refresh", json={"refresh_token": token})
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json()
    assert answer.cookies["antiphon_refresh"]


async def test_a_token_in_the_body_is_not_mixed_up_with_one_in_a_cookie(
    client: httpx.AsyncClient, register, login
) -> None:
    await register()
    token = (await login()).json()["refresh_token"]
    await client.post("/api/auth/login", json=BODY)
    answer = await client.post("/api/auth/refresh", json={"refresh_token": token})
    assert answer.json()["refresh_token"]
    assert "set-cookie" not in answer.headers
