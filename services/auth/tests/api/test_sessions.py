"""My sessions: what they show, ending them, and what the gateway is told."""

from datetime import timedelta

import httpx
import jwt
import pytest

from antiphon_common.clock import FixedClock
from antiphon_common.ids import new_id
from antiphon_common.pages import encode_cursor


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}


async def test_a_session_shows_device_address_and_times(
    client: httpx.AsyncClient, register, login, clock: FixedClock
) -> None:
    await register()
    headers = {"user-agent": "Fire\x7ffox  on\tLinux", "x-antiphon-client": "203.0.113.9"}
    tokens = (await login(**headers)).json()
    clock.advance(timedelta(seconds=60))
    body = {"refresh_token": tokens["refresh_token"]}
    tokens = (await client.post("/api/auth/refresh", json=body, headers=headers)).json()
    (session,) = (await client.get("/api/auth/sessions", headers=bearer(tokens))).json()["items"]
    assert session.pop("id")
    assert session == {
        "device": "Fire fox on Linux", "ip": "203.0.113.9", "created_at": "2026-01-01T00:00:00Z",
        "last_used_at": "2026-01-01T00:01:00Z", "current": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("peer", "told", "kept"),
    [
        ("10.1.2.3", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "not an address", "127.0.0.1"),
        ("127.0.0.1", "1.2.3.4, 5.6.7.8", "127.0.0.1"),
        ("8.8.8.8", "203.0.113.9", "8.8.8.8"),
    ],
)
async def test_only_a_private_peer_may_say_who_the_client_is(
    client: httpx.AsyncClient, register, peer: str, told: str, kept: str
) -> None:
    await register()
    app = client._transport.app
    transport = httpx.ASGITransport(app, client=(peer, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as outside:
        body = {"email": "ada@example.org", "password": "copper lantern quietly orbiting"}
        headers = {"x-antiphon-client": told, "user-agent": "x" * 1000}
        tokens = (await outside.post("/api/auth/login", json=body, headers=headers)).json()
    (session,) = (await client.get("/api/auth/sessions", headers=bearer(tokens))).json()["items"]
    assert session["ip"] == kept
    assert session["device"] == "x" * 200


async def test_sessions_come_in_pages_newest_first(client: httpx.AsyncClient, register, login) -> None:
    await register()
    for index in range(5):
        tokens = (await login(**{"user-agent": f"device {index}"})).json()
    seen, cursor = [], ""
    for _ in range(3):
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/api/auth/sessions", params=query, headers=bearer(tokens))).json()
        seen += [session["device"] for session in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert sorted(seen) == [f"device {index}" for index in range(5)]
    forged = [encode_cursor("my_sessions", ("no id",)), encode_cursor("my_sessions", (1,))]
    forged.append(encode_cursor("other", (str(new_id()),)))
    forged.append(encode_cursor("my_sessions", 5))  # type: ignore[arg-type]
    for bad in ({"limit": "0"}, {"limit": "101"}, *({"cursor": cursor} for cursor in ("tampered", *forged))):
        answer = await client.get("/api/auth/sessions", params=bad, headers=bearer(tokens))
        assert answer.status_code == 422


async def test_i_end_one_of_my_sessions_by_its_id(
    client: httpx.AsyncClient, register, login, refresh
) -> None:
    await register()
    lost, mine = (await login(**{"user-agent": "lost"})).json(), (await login()).json()
    items = (await client.get("/api/auth/sessions", headers=bearer(mine))).json()["items"]
    (lost_id,) = [item["id"] for item in items if item["device"] == "lost"]
    path = f"/api/auth/sessions/{lost_id}"
    assert (await client.delete(path, headers=bearer(mine))).status_code == 204
    assert (await client.delete(path, headers=bearer(mine))).status_code == 404
    assert (await refresh(lost["refresh_token"])).status_code == 401
    assert (await refresh(mine["refresh_token"])).status_code == 200


async def test_another_persons_session_looks_like_one_that_does_not_exist(
    client: httpx.AsyncClient, register, login, refresh
) -> None:
    await register()
    await register("eve@example.org")
    ada, eve = (await login()).json(), (await login("eve@example.org")).json()
    (session,) = (await client.get("/api/auth/sessions", headers=bearer(ada))).json()["items"]
    theirs = await client.delete(f"/api/auth/sessions/{session['id']}", headers=bearer(eve))
    nobodys = await client.delete(f"/api/auth/sessions/{new_id()}", headers=bearer(eve))
    assert theirs.status_code == nobodys.status_code == 404
    bodies = [{**a.json(), "trace_id": "", "instance": ""} for a in (theirs, nobodys)]
    assert bodies[0] == bodies[1]
    assert (await refresh(ada["refresh_token"])).status_code == 200


async def test_the_gateway_is_told_which_session_died_and_when(
    client: httpx.AsyncClient, register, login, clock: FixedClock
) -> None:
    user = (await register()).json()["user"]["id"]
    tokens = (await login()).json()
    empty = (await client.get("/internal/revocations?after=")).json()
    assert empty == {"cursor": "0", "items": []}
    (session,) = (await client.get("/api/auth/sessions", headers=bearer(tokens))).json()["items"]
    await client.post("/api/auth/logout", headers=bearer(tokens))
    feed = (await client.get("/internal/revocations", params={"after": empty["cursor"]})).json()
    now = int(clock.now().timestamp())
    assert feed == {"cursor": "1", "items": [{"session": session["id"], "user": user, "before": now}]}
    assert (await client.get("/internal/revocations?after=1")).json() == {"cursor": "1", "items": []}

    tokens = (await login()).json()
    await client.post("/api/auth/logout-all", headers=bearer(tokens))
    (item,) = (await client.get("/internal/revocations?after=1")).json()["items"]
    assert item == {"session": None, "user": user, "before": now}


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 40, "1%20", "%00"])
async def test_a_cursor_that_is_no_number_is_refused(client: httpx.AsyncClient, after: str) -> None:
    assert (await client.get(f"/internal/revocations?after={after}")).status_code == 422


async def test_a_login_in_the_second_of_a_logout_everywhere_is_not_part_of_it(
    client: httpx.AsyncClient, register, login
) -> None:
    await register()
    old = (await login()).json()
    await client.post("/api/auth/logout-all", headers=bearer(old))
    (item,) = (await client.get("/internal/revocations")).json()["items"]
    new = (await login()).json()
    claims = jwt.decode(new["access_token"], options={"verify_signature": False})
    assert claims["iat"] > item["before"]
    assert jwt.decode(old["access_token"], options={"verify_signature": False})["iat"] <= item["before"]
    assert (await client.get("/api/auth/sessions", headers=bearer(new))).status_code == 200


async def test_every_session_route_needs_somebody(client: httpx.AsyncClient) -> None:
    for method, path in [
        ("POST", "/api/auth/logout"),
        ("POST", "/api/auth/logout-all"),
        ("GET", "/api/auth/sessions"),
        ("DELETE", f"/api/auth/sessions/{new_id()}"),
    ]:
        answer = await client.request(method, path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
