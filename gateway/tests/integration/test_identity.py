"""Who is calling: good tokens pass untouched, bad ones never, revoked ones at once, and auth may be away."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from antiphon_common.ids import new_id
from antiphon_gateway.policy import Access
from antiphon_gateway.problems import Refused

pytestmark = pytest.mark.asyncio(loop_scope="module")


def spoilt(site) -> dict[str, str]:
    good = site.tokens.claims()
    maker = site.tokens
    token = maker.sign(good)
    head, body, signature = token.split(".")
    return {
        "empty": "", "garbage": "x.y.z", "json": '{"payload":"","signatures":[]}',
        "two parts": f"{head}.{body}",
        "no signature": f"{head}.{body}.", "other signature": f"{head}.{body}.{'A' * len(signature)}",
        "unknown key": maker.sign(good, kid="nobody"), "path as key": maker.sign(good, kid="../../dev/null"),
        "other type": maker.sign(good, typ="JWT"), "embedded key": maker.sign(good, jwk=maker.jwk()),
        "key address": maker.sign(good, jku="http://evil"), "unknown crit": maker.sign(good, crit=["x"]),
        "other issuer": maker.sign({**good, "iss": "evil"}),
        "other audience": maker.sign({**good, "aud": "evil"}),
        "expired": maker.sign(maker.claims(at=datetime.now(UTC) - timedelta(minutes=6))),
        "from tomorrow": maker.sign(maker.claims(at=datetime.now(UTC) + timedelta(days=1))),
        "ten years": maker.sign({**good, "exp": good["iat"] + 315360000}),
        "text as time": maker.sign({**good, "exp": "9999999999"}),
        "no session": maker.sign({**good, "sid": "1"}),
        "huge": "a" * 9000,
    }  # fmt: skip


async def test_a_bad_token_is_refused_everywhere(site) -> None:
    for name, token in spoilt(site).items():
        for path in ("/api/me", "/api/playlists/public", f"/api/users/{new_id()}"):
            reply = await site.get(path, headers={"Authorization": f"Bearer {token}"})
            assert reply.status == 401, name
            assert reply.headers["www-authenticate"] == 'Bearer error="invalid_token"'
            assert reply.headers["content-type"] == "application/problem+json"
    assert site.services.seen == []


@pytest.mark.parametrize("value", ["Basic YTpi", "bearer", "Token x", "Bearer", "Bearer a b", "\xff"])
async def test_another_kind_of_authorization_is_refused(site, value: str) -> None:
    assert (await site.get("/api/me", headers={"Authorization": value})).status == 401
    assert site.services.seen == []


async def test_a_good_token_arrives_as_it_was_sent(site) -> None:
    bearer = site.bearer()
    reply = await site.get("/api/me", headers=bearer)
    assert dict(reply.json()["headers"])["authorization"] == bearer["authorization"]


async def test_no_token_is_asked_for_one(site) -> None:
    reply = await site.get("/api/me")
    assert (reply.status, reply.json()["code"]) == (401, "unauthenticated")
    assert reply.headers["www-authenticate"] == "Bearer"


async def test_a_token_in_the_address_is_no_token(site) -> None:
    token = site.bearer()["authorization"].removeprefix("Bearer ")
    assert (await site.get(f"/api/me?access_token={token}")).status == 401


async def test_two_tokens_are_refused(site) -> None:
    token = site.bearer()["authorization"]
    raw = await site.raw(
        f"GET /api/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n"
        f"Authorization: {site.bearer()['authorization']}\r\n\r\n".encode()
    )
    assert site.parse(raw).status == 400
    assert site.services.seen == []


async def test_an_old_token_does_not_stop_a_login_and_is_not_sent_on(site) -> None:
    headers = {
        "Authorization": "Bearer old",
        "Content-Length": "0",
        "Cookie": "__Host-refresh=1",
        "Origin": "http://x",
    }
    reply = await site.get("/api/auth/refresh", headers=headers, method="POST")
    seen = dict(reply.json()["headers"])
    assert "authorization" not in seen
    assert (seen["cookie"], seen["origin"]) == ("__Host-refresh=1", "http://x")


async def test_a_cookie_is_neither_sent_on_nor_set_elsewhere(site) -> None:
    async def setting(seen, send) -> None:
        assert seen.header("cookie") is None
        await site.services.reply(send, 200, {}, {"set-cookie": "a=1"})

    site.services.handlers["/api/me"] = setting
    reply = await site.get("/api/me", headers={**site.bearer(), "Cookie": "a=1"})
    assert reply.status == 200
    assert "set-cookie" not in reply.headers


async def test_a_revoked_session_is_out_within_a_second_and_others_are_not(site) -> None:
    user, dead, alive = new_id(), new_id(), new_id()
    tokens = {sid: site.tokens.sign(site.tokens.claims(user, session=sid)) for sid in (dead, alive)}

    async def status(sid) -> int:
        return (await site.get("/api/me", headers={"Authorization": f"Bearer {tokens[sid]}"})).status

    assert (await status(dead), await status(alive)) == (200, 200)
    site.services.revoked.append({"session": str(dead), "user": str(user), "before": 0})
    async with asyncio.timeout(1):
        while await status(dead) != 401:
            await asyncio.sleep(0.01)
    assert await status(alive) == 200


async def test_a_revoked_user_is_out_with_every_token_made_before(site) -> None:
    user = new_id()
    old = site.tokens.sign(site.tokens.claims(user, at=datetime.now(UTC) - timedelta(seconds=10)))
    new = site.tokens.sign(site.tokens.claims(user))

    async def status(token: str) -> int:
        return (await site.get("/api/me", headers={"Authorization": f"Bearer {token}"})).status

    assert (await status(old), await status(new)) == (200, 200)
    before = int(datetime.now(UTC).timestamp()) - 5
    site.services.revoked.append({"session": None, "user": str(user), "before": before})
    async with asyncio.timeout(1):
        while await status(old) != 401:
            await asyncio.sleep(0.01)
    assert await status(new) == 200


async def test_a_silent_auth_changes_nothing(site) -> None:
    bearer = site.bearer()
    site.services.feed_status = 503
    try:
        await asyncio.sleep(0.2)
        assert (await site.get("/api/me", headers=bearer)).status == 200
        assert (await site.get("/api/me", headers=site.bearer())).status == 200
    finally:
        site.services.feed_status = 200


async def test_before_auth_was_ever_heard_of_no_token_is_taken(new_site, tmp_path) -> None:
    async with new_site(tmp_path) as site:
        site.gateway._parts.gatekeeper._revocations.known = False
        site.services.feed_status = 503
        async with asyncio.timeout(2):
            while (reply := await site.get("/api/me", headers=site.bearer())).status != 503:
                site.gateway._parts.gatekeeper._revocations.known = False
        assert reply.json()["code"] == "identity_unavailable"
        assert int(reply.headers["retry-after"]) >= 1
        assert (await site.get("/api/genres")).status == 200


async def test_before_the_keys_of_auth_are_known_a_token_is_to_come_again(new_site, tmp_path) -> None:
    nowhere = f"file://{tmp_path}/later/jwks-test.json"
    async with new_site(tmp_path, jwks_url=nowhere) as site:
        reply = await site.get("/api/me", headers=site.bearer())
        assert (reply.status, reply.json()["code"]) == (503, "keys_unavailable")
        assert int(reply.headers["retry-after"]) >= 1
        assert (await site.get("/readyz")).json()["missing"] == ["keys"]
        assert (await site.get("/api/genres")).status == 200
        (tmp_path / "later").mkdir()
        (tmp_path / "jwks-test.json").rename(tmp_path / "later/jwks-test.json")
        async with asyncio.timeout(5):
            while (await site.get("/readyz")).status != 200:
                await asyncio.sleep(0.05)
        assert (await site.get("/api/me", headers=site.bearer())).status == 200


async def test_what_is_for_administrators_is_for_nobody_else(site) -> None:
    gatekeeper = site.gateway._parts.gatekeeper

    async def admitted(headers: dict[str, str]) -> int:
        try:
            await gatekeeper.admit(Access.ADMIN, headers.get("authorization", "").encode() or None)
        except Refused as refused:
            return refused.status
        return 200

    assert await admitted(site.bearer(roles=("listener", "admin"))) == 200
    assert await admitted(site.bearer(roles=("listener", "artist"))) == 403
    assert await admitted({}) == 401


async def test_no_identity_header_of_a_client_arrives(site) -> None:
    forged = dict.fromkeys(("X-User-Id", "X-USER-ROLES", "x-internal-identity", "X-Request-Verified", "X-Auth-User", "Remote-User", "X-Forwarded-User", "Proxy-Authorization", "X-Real-IP", "Forwarded"), "00000000-0000-0000-0000-000000000000")  # fmt: skip
    reply = await site.get("/api/me", headers={**site.bearer(), **forged})
    assert set(dict(reply.json()["headers"])) == {
        "host", "authorization", "traceparent", "x-antiphon-client", "accept-encoding"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["X_User_Id", "x_forwarded_for", "Content_Length"])
async def test_an_underscore_in_a_name_is_refused(site, name: str) -> None:
    assert (await site.get("/api/genres", headers={name: "1"})).status == 400


async def test_a_valid_trace_is_continued_and_its_wish_to_be_recorded_is_not(site) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    reply = await site.get(
        "/api/me", headers={**site.bearer(), "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    )
    sent = dict(reply.json()["headers"])["traceparent"]
    assert sent.startswith(f"00-{trace}-")
    assert sent.endswith("-00")
    assert "b7ad6b7169203331" not in sent
    for wrong in (
        "00-0-0-0",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"ff-{trace}-b7ad6b7169203331-01",
        '{"a":1}',
    ):
        reply = await site.get("/api/me", headers={"traceparent": wrong})
        assert reply.status == 401
        assert reply.json()["trace_id"] not in (trace, "0" * 32)
        assert len(reply.json()["trace_id"]) == 32
