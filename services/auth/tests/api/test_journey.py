"""The way everybody goes: register, log in, refresh, look at the sessions, log out."""

from pathlib import Path

import httpx
import jwt

from antiphon_auth.settings import Settings
from antiphon_common.clock import FixedClock
from antiphon_common.testing.running import Recorder
from antiphon_common.web.identity import parse_jwks
from antiphon_contracts.auth import AccountChanged


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}"}


async def test_a_newcomer_registers_logs_in_refreshes_and_logs_out(client, register, login, refresh) -> None:
    registered = await register("Ada@Example.ORG")
    assert registered.status_code == 201
    user = registered.json()["user"]
    assert (user["email"], user["roles"], user["email_verified"]) == ("ada@example.org", ["listener"], False)

    first = (await login()).json()
    assert set(first) == {"access_token", "token_type", "expires_in", "refresh_token"}
    second = (await refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]

    sessions = (await client.get("/api/auth/sessions", headers=bearer(second))).json()["items"]
    assert [session["current"] for session in sessions] == [True]

    assert (await client.post("/api/auth/logout", headers=bearer(second))).status_code == 204
    assert (await refresh(second["refresh_token"])).status_code == 401
    assert (await client.get("/api/auth/sessions", headers=bearer(second))).status_code == 401


async def test_the_access_token_has_the_promised_claims_and_a_published_key(
    client: httpx.AsyncClient, register, login, clock: FixedClock
) -> None:
    user = (await register()).json()["user"]
    token = (await login()).json()["access_token"]
    published = (await client.get("/api/auth/jwks.json")).json()
    assert len(published["keys"]) == 2
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["typ"]) == ("EdDSA", "at+jwt")
    key = parse_jwks(published)[header["kid"]]
    claims = jwt.decode(
        token, key, algorithms=["EdDSA"], audience="antiphon", issuer="antiphon",
        options={"verify_exp": False, "verify_iat": False},
    )  # fmt: skip
    now = int(clock.now().timestamp())
    assert claims.pop("jti")
    assert claims.pop("sid")
    assert claims == {
        "iss": "antiphon", "aud": "antiphon", "sub": user["id"], "roles": ["listener"], "amr": ["pwd"],
        "auth_time": now, "iat": now, "exp": now + 300, "ver": False,
    }  # fmt: skip


async def test_a_new_account_is_announced(register, settings: Settings) -> None:
    async with Recorder(settings.bus_url, AccountChanged) as recorder:
        user = (await register()).json()["user"]
        (event,) = await recorder.wait_for(1)
    assert isinstance(event, AccountChanged)
    assert (str(event.subject), event.revision, event.email) == (user["id"], 1, "ada@example.org")


async def test_the_log_names_no_password_and_no_token(register, login, settings: Settings) -> None:
    await register()
    tokens = (await login()).json()
    assert isinstance(settings.log_file, Path)
    log = settings.log_file.read_text()
    assert "started" in log
    for secret in ("copper lantern", tokens["access_token"], tokens["refresh_token"], "ada@example.org"):
        assert secret not in log
