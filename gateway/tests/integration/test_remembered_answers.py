"""The cache: nobody sees what was made for another, and what was hidden is gone at once."""

import asyncio

import orjson
import pytest

from antiphon_common.ids import new_id
from antiphon_common.testing.running import publish
from antiphon_contracts.playlist import PlaylistChanged

pytestmark = pytest.mark.asyncio(loop_scope="module")


def changed(playlist) -> PlaylistChanged:
    return PlaylistChanged(
        subject=playlist, revision=2, owner_id=new_id(), title="t", visibility="private", item_count=0
    )


def counting(site, body: bytes = b'{"n":%d}', headers: dict[str, str] | None = None, status: int = 200):
    """An answer that says how often it was asked for."""
    calls = []

    async def answer(seen, send) -> None:
        calls.append(seen)
        raw = body % len(calls) if b"%d" in body else body
        await site.services.reply(send, status, raw, headers)

    return calls, answer


async def test_a_public_answer_is_asked_for_once(site) -> None:
    calls, site.services.handlers["/api/genres"] = counting(site)
    bodies = [(await site.get("/api/genres?cursor=once")).body for _ in range(3)]
    assert bodies == [b'{"n":1}'] * 3
    assert len(calls) == 1


async def test_the_order_of_parameters_does_not_matter_and_their_values_do(site) -> None:
    calls, site.services.handlers["/api/tracks"] = counting(site)
    first = await site.get("/api/tracks?sort=title&limit=5")
    assert (await site.get("/api/tracks?limit=5&sort=title")).body == first.body
    for other in ("limit=6&sort=title", "limit=5", "limit=5&sort=title&cursor=x", "limit=5&sort=recent"):
        assert (await site.get(f"/api/tracks?{other}")).body != first.body
    assert len(calls) == 5


async def test_what_no_service_looks_at_makes_no_second_copy(site) -> None:
    calls, site.services.handlers["/api/tracks"] = counting(site)
    first = await site.get("/api/tracks?sort=recent&year_from=1990")
    for other in ("sort=recent&year_from=1990&x=1", "_=2&year_from=1990&sort=recent", "sort=a&year_from=1990&sort=recent",
                  "SORT=x&sort=recent&year_from=1990"):  # fmt: skip
        assert (await site.get(f"/api/tracks?{other}")).body == first.body
    assert [seen.query for seen in calls] == ["sort=recent&year_from=1990"]


async def test_who_has_a_token_is_forwarded_with_all_that_he_asked(site) -> None:
    reply = await site.get("/api/tracks?x=1&sort=recent&sort=title", headers=site.bearer())
    assert reply.json()["query"] == "x=1&sort=recent&sort=title"


async def test_what_a_user_sees_is_never_given_to_another(site) -> None:
    """A, anonymous, B, A again over every route that is remembered: no canary of A leaves its owner."""
    secret = f"canary-{new_id()}".encode()
    track = new_id()

    async def personal(seen, send) -> None:
        owner = seen.header("authorization") == a["authorization"]
        await site.services.reply(
            send, 200, {"secret": secret.decode() if owner else None}, {"etag": '"same"'}
        )

    a, b = site.bearer(), site.bearer()
    paths = ["/api/tracks", "/api/tracks/popular", "/api/tracks/recent", f"/api/tracks/{track}", "/api/artists",
             f"/api/tracks/{track}/waveform", f"/api/artists/{track}", "/api/albums", f"/api/albums/{track}",
             "/api/genres", "/api/playlists/public", f"/api/images/{track}", "/api/me", "/api/search",
             f"/api/playlists/{track}", f"/api/users/{track}"]  # fmt: skip
    for path in paths:
        site.services.handlers[path] = personal
        for method in ("GET", "HEAD"):
            for extra in ({}, {"If-None-Match": '"same"'}, {"Range": "bytes=0-5"}):
                for who in (a, {}, b, {}, a):
                    target = f"{path}?cursor=canary"
                    reply = await site.get(target, headers={**who, **extra}, method=method)
                    if who is not a:
                        assert secret not in reply.body, (path, extra)
                    elif "images" not in path and "genres" not in path and method == "GET" and not extra:
                        assert secret in reply.body, path


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"cache-control": "private"}, 200), ({"cache-control": "no-store"}, 200),
        ({"cache-control": "public, No-Store"}, 200), ({"set-cookie": "a=1"}, 200), ({"vary": "*"}, 200),
        ({"vary": "Accept-Language"}, 200), ({"vary": "Cookie"}, 200), ({}, 201), ({}, 206), ({}, 404), ({},
        500),
    ],
)  # fmt: skip
async def test_what_is_not_plainly_public_is_not_kept(site, headers, status) -> None:
    calls, site.services.handlers["/api/genres"] = counting(site, headers=headers, status=status)
    query = f"/api/genres?cursor={new_id()}"
    for _ in range(2):
        assert "set-cookie" not in (await site.get(query)).headers
    assert len(calls) == 2


async def test_nothing_a_client_adds_can_change_what_others_get(site) -> None:
    poison = {"X-Forwarded-Host": "evil", "X-Original-URL": "/evil", "Accept-Language": "x" * 1000, "User-Agent": "evil",
              "Accept": "text/evil", "Range": "bytes=0-1", "Cookie": "evil=1", "Idempotency-Key": "evil"}  # fmt: skip
    reply = await site.get("/api/genres?cursor=poison", headers=poison)
    assert reply.status == 200
    assert b"evil" not in reply.body
    assert set(dict(reply.json()["headers"])) == {"host", "traceparent", "accept-encoding"}


async def test_a_hundred_at_once_are_one_question(site) -> None:
    asked = 0

    async def slow(seen, send) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.1)
        await site.services.reply(send, 200, {"n": asked})

    site.services.handlers["/api/genres"] = slow
    replies = await asyncio.gather(*(site.get("/api/genres?cursor=herd") for _ in range(100)))
    assert {reply.body for reply in replies} == {b'{"n":1}'}
    assert asked == 1


async def test_a_client_that_leaves_does_not_take_the_answer_from_others(site) -> None:
    release = asyncio.Event()

    async def slow(seen, send) -> None:
        await release.wait()
        await site.services.reply(send, 200, {})

    site.services.handlers["/api/genres"] = slow
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /api/genres?cursor=leave HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await writer.drain()
    async with asyncio.timeout(5):
        while not site.services.seen:
            await asyncio.sleep(0.005)
    second = asyncio.create_task(site.get("/api/genres?cursor=leave"))
    writer.close()
    await asyncio.sleep(0.05)
    release.set()
    assert (await second).status == 200
    assert len(site.services.seen) == 1


async def test_a_copy_that_is_still_right_is_not_sent_again(site) -> None:
    calls, site.services.handlers["/api/genres"] = counting(site, headers={"etag": 'W/"v1"'})
    first = await site.get("/api/genres?cursor=etag")
    assert first.headers["etag"] == 'W/"v1"'
    for value in ('W/"v1"', '"v1"', '"v0", W/"v1"', "*"):
        again = await site.get("/api/genres?cursor=etag", headers={"If-None-Match": value})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == 'W/"v1"'
        assert "x-content-type-options" in again.headers
    assert (await site.get("/api/genres?cursor=etag", headers={"If-None-Match": '"v2"'})).status == 200
    assert len(calls) == 1


async def test_head_is_the_answer_of_get_without_its_body(site) -> None:
    calls, site.services.handlers["/api/genres"] = counting(site)
    get = await site.get("/api/genres?cursor=head")
    head = await site.get("/api/genres?cursor=head", method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (
        200,
        b"",
        get.headers["content-length"],
    )
    assert head.headers["etag"] == get.headers["etag"]
    assert len(calls) == 1


async def test_what_becomes_private_is_gone_within_a_second_also_for_who_has_a_copy(site) -> None:
    track = new_id()
    path = f"/api/tracks/{track}"
    hidden = False

    async def answer(seen, send) -> None:
        if hidden:
            body = {"status": 404, "code": "not_found"}
            await site.services.reply(send, 404, body, kind="application/problem+json")
        else:
            await site.services.reply(send, 200, {"title": "canary"}, {"etag": '"1"'})

    site.services.handlers[path] = answer
    assert (await site.get(path, headers={"If-None-Match": '"1"'})).status == 304
    hidden = True
    body = orjson.dumps(
        {"id": str(new_id()), "type": "catalog.track_changed", "subject": str(track), "revision": 2,
         "occurred_at": "2026-01-01T00:00:00+00:00", "traceparent": None, "data": {}}
    )  # fmt: skip
    await publish_raw(site, body)
    async with asyncio.timeout(1):
        while (reply := await site.get(path, headers={"If-None-Match": '"1"'})).status != 404:
            await asyncio.sleep(0.01)
    assert b"canary" not in reply.body
    assert (await site.get(path)).status == 404


async def publish_raw(site, body: bytes) -> None:
    """As a publisher of any version would: only the envelope matters to the gateway."""
    from antiphon_common.bus import Envelope, open_bus

    bus = open_bus(site.settings.bus_url)
    await bus.start()
    await bus.publish([Envelope.from_bytes(body)])
    await bus.stop()


async def test_a_list_changes_when_one_of_its_things_does(site) -> None:
    _, site.services.handlers["/api/playlists/public"] = counting(site)
    assert (await site.get("/api/playlists/public")).body == b'{"n":1}'
    await publish(site.settings.bus_url, [changed(new_id())])
    async with asyncio.timeout(1):
        while (await site.get("/api/playlists/public")).body == b'{"n":1}':
            await asyncio.sleep(0.01)


async def test_an_answer_that_began_before_a_purge_is_neither_kept_nor_joined(site) -> None:
    track = new_id()
    path = f"/api/tracks/{track}"
    release, calls = asyncio.Event(), 0

    async def answer(seen, send) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await release.wait()
            await site.services.reply(send, 200, {"title": "old"})
        else:
            await site.services.reply(send, 200, {"title": "new"})

    site.services.handlers[path] = answer
    first = asyncio.create_task(site.get(path))
    async with asyncio.timeout(5):
        while calls == 0:
            await asyncio.sleep(0.005)
    await site.gateway._parts.answers._answers.purge([f"track:{track}"])
    # Not joined: who asks after the purge is not given the answer of before.
    assert (await site.get(path)).json() == {"title": "new"}
    release.set()
    assert (await first).json() == {"title": "old"}
    # Not kept: the old answer came last and is not remembered.
    assert (await site.get(path)).json() == {"title": "new"}


async def test_a_stale_answer_is_given_while_a_new_one_is_fetched(site) -> None:
    calls, site.services.handlers["/api/genres"] = counting(site)
    answers = site.gateway._parts.answers._answers
    assert (await site.get("/api/genres?cursor=stale")).body == b'{"n":1}'
    real = answers._now
    answers._now = lambda: real() + 61
    try:
        assert (await site.get("/api/genres?cursor=stale")).body == b'{"n":1}'
        async with asyncio.timeout(2):
            while len(calls) < 2:
                await asyncio.sleep(0.005)
            while (await site.get("/api/genres?cursor=stale")).body != b'{"n":2}':
                await asyncio.sleep(0.005)
        assert len(calls) == 2
    finally:
        answers._now = real


async def test_an_answer_that_is_too_old_is_still_better_than_an_error(site) -> None:
    down = False

    async def answer(seen, send) -> None:
        await site.services.reply(send, 503 if down else 200, {"n": 1})

    site.services.handlers["/api/genres"] = answer
    answers = site.gateway._parts.answers._answers
    assert (await site.get("/api/genres?cursor=old")).status == 200
    down = True
    real = answers._now
    answers._now = lambda: real() + 150
    try:
        assert (await site.get("/api/genres?cursor=old")).status == 200
        assert (await site.get("/api/genres?cursor=never")).status == 503
    finally:
        answers._now = real


async def test_browsers_are_told_that_a_token_makes_a_difference(site) -> None:
    for headers in ({}, site.bearer()):
        assert (await site.get("/api/tracks", headers=headers)).headers["vary"] == "authorization"
        assert (await site.get("/api/search", headers=headers)).headers["vary"] == "authorization"


async def test_what_a_refresh_finds_gone_is_gone(site) -> None:
    image = f"/api/images/{new_id()}"
    gone = False

    async def answer(seen, send) -> None:
        await site.services.reply(send, 404 if gone else 200, {"n": 1})

    site.services.handlers[image] = answer
    answers = site.gateway._parts.answers._answers
    assert (await site.get(image)).status == 200
    gone = True
    real = answers._now
    answers._now = lambda: real() + 61
    try:
        async with asyncio.timeout(2):
            while (await site.get(image)).status != 404:
                await asyncio.sleep(0.01)
    finally:
        answers._now = real
