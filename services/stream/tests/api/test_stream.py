"""Audio over HTTP: ranges, who may hear, signed addresses, and what is credited."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from antiphon_common.clock import FixedClock
from antiphon_common.ids import new_id
from antiphon_common.testing.running import Recorder
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.stream import AudioServed
from antiphon_stream.settings import Settings


async def resolved(
    client: httpx.AsyncClient, headers: dict[str, str], *track_ids: UUID, **more: Any
) -> list[dict]:
    body = {"track_ids": [str(one) for one in track_ids], **more}
    answer = await client.post("/api/stream/resolve", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_whole_file_and_any_range_equal_the_bytes(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any, audio: bytes
) -> None:
    path, headers = f"/api/stream/{await catalogue.track()}", tokens.bearer()
    whole = await client.get(path, headers=headers)
    assert (whole.status_code, whole.content) == (200, audio)
    assert whole.headers["content-length"] == str(len(audio))
    assert whole.headers["content-type"] == "audio/mpeg"
    assert whole.headers["accept-ranges"] == "bytes"
    for first, last in (
        (0, 0),
        (5, 9),
        (262_143, 262_144),
        (100_000, 900_000),
        (len(audio) - 1, len(audio) - 1),
    ):
        part = await client.get(path, headers={**headers, "range": f"bytes={first}-{last}"})
        assert (part.status_code, part.content) == (206, audio[first : last + 1])
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(audio)}"
        assert part.headers["content-length"] == str(last - first + 1)


async def test_the_headers_keep_audio_and_refusals_private_and_inert_without_a_gateway_in_front(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any
) -> None:
    path = f"/api/stream/{await catalogue.track()}"
    audio = await client.get(path, headers=tokens.bearer())
    beyond = await client.get(path, headers={**tokens.bearer(), "range": "bytes=9999999-"})
    refusals = [
        await client.get(path), await client.get(f"{path}?ticket=x"), await client.get("/api/stream/x"),
        await client.get(f"/api/stream/{new_id()}", headers=tokens.bearer()), await client.post(path),
    ]  # fmt: skip
    assert [answer.status_code for answer in (audio, beyond, *refusals)] == [
        200,
        416,
        401,
        403,
        422,
        404,
        405,
    ]
    assert audio.headers["cache-control"].startswith("private")
    for answer in (audio, beyond, *refusals):
        assert answer.headers.get_list("content-security-policy") == [
            "default-src 'none'; frame-ancestors 'none'; sandbox"
        ]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    for answer in refusals:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"


async def test_head_announces_and_sends_nothing(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any, audio: bytes
) -> None:
    path = f"/api/stream/{await catalogue.track()}"
    answer = await client.head(path, headers={**tokens.bearer(), "range": "bytes=0-9"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(audio))


async def test_conditions_and_bad_ranges(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any
) -> None:
    path, headers = f"/api/stream/{await catalogue.track()}", tokens.bearer()
    etag = (await client.head(path, headers=headers)).headers["etag"]
    assert etag.startswith('"')
    for more, status in (
        ({"if-none-match": etag}, 304),
        ({"if-match": '"other"'}, 412),
        ({"range": "bytes=0-9", "if-range": etag}, 206),
        ({"range": "bytes=0-9", "if-range": '"other"'}, 200),
        ({"range": "bytes=9999999-"}, 416),
        ({"range": "bytes=0-1,5-6"}, 200),
        ({"range": "items=0-1"}, 200),
        ({"range": "bytes=" + "0-0," * 100_000 + "1-1"}, 200),
    ):
        answer = await client.get(path, headers={**headers, **more})
        assert answer.status_code == status, more
        if status in (412, 416):
            assert answer.headers["content-type"] == "application/problem+json"
    beyond = await client.get(path, headers={**headers, "range": "bytes=1048576-"})
    assert beyond.headers["content-range"] == "bytes */1048576"
    assert beyond.json()["code"] == "range_not_satisfiable"


async def test_two_range_headers_are_several_ranges(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any
) -> None:
    path = f"/api/stream/{await catalogue.track()}"
    headers = [*tokens.bearer().items(), ("range", "bytes=0-1"), ("range", "bytes=5-6")]
    assert (await client.get(path, headers=headers)).status_code == 200


async def test_without_a_token_or_with_a_bad_one_nothing_is_played(
    client: httpx.AsyncClient, catalogue: Any
) -> None:
    path = f"/api/stream/{await catalogue.track()}"
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": "Basic x"}):
        answer = await client.get(path, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "hidden",
    [{"status": "draft"}, {"status": "withdrawn"}, {"visibility": "private"}],
)
async def test_a_hidden_track_looks_like_an_unknown_one_to_others(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any, owner: UUID, hidden: dict[str, str]
) -> None:
    track_id, unknown = await catalogue.track(**hidden), new_id()
    stranger = tokens.bearer()
    told = []
    for one in (track_id, unknown):
        answer = await client.get(f"/api/stream/{one}", headers=stranger)
        told.append(
            (answer.status_code, {**answer.json(), "instance": "", "trace_id": ""}, sorted(answer.headers))
        )
        refused = await client.post("/api/stream/resolve", json={"track_ids": [str(one)]}, headers=stranger)
        assert refused.status_code == 404
    assert told[0] == told[1]
    assert told[0][0] == 404
    assert (await client.get(f"/api/stream/{track_id}", headers=tokens.bearer(owner))).status_code == 200
    admin = tokens.bearer(roles=("admin",))
    assert (await client.get(f"/api/stream/{track_id}", headers=admin)).status_code == 200
    (mine,) = await resolved(client, tokens.bearer(owner), track_id)
    assert (await client.get(mine["url"])).status_code == 200


async def test_an_unlisted_track_can_be_played_by_its_id(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any
) -> None:
    track_id = await catalogue.track(visibility="unlisted")
    assert (await client.get(f"/api/stream/{track_id}", headers=tokens.bearer())).status_code == 200


async def test_an_address_is_resolved_for_each_track_in_order(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any, audio: bytes
) -> None:
    ids = [await catalogue.track(duration_ms=ms) for ms in (200_000, 7_200_000)]
    answers = await resolved(client, tokens.bearer(), *ids)
    assert [answer["track_id"] for answer in answers] == [str(one) for one in ids]
    first = answers[0]
    assert (first["mime"], first["bytes"], first["gain_db"]) == ("audio/mpeg", len(audio), -3.5)
    assert first["expires_at"] < answers[1]["expires_at"]
    assert (await client.get(first["url"])).content == audio
    assert (await client.get(first["url"], headers={"range": "bytes=7-9"})).content == audio[7:10]


async def test_a_changed_address_is_refused(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any
) -> None:
    track_id, other = await catalogue.track(), await catalogue.track()
    url = (await resolved(client, tokens.bearer(), track_id))[0]["url"]
    # Once it was found good, nothing that differs from it may profit.
    assert (await client.get(url)).status_code == 200
    for changed in (
        url.replace(str(track_id), str(other)),
        url.replace("variant=original", "variant=high"),
        url.replace("variant=original&", ""),
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.replace("ticket=", "ticket=%20"),
    ):
        answer = await client.get(changed)
        expected = 200 if changed == url.replace("variant=original&", "") else 403
        assert answer.status_code == expected, changed
    assert (await client.get(url + "&ticket=x")).status_code == 422


async def test_an_address_that_was_good_ends_at_its_expiry(
    app: FastAPI, client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any
) -> None:
    clock = FixedClock(datetime.now(UTC))
    # The service's clock, seen only by what checks addresses; tokens keep the machine's.
    deps = app.state.deps
    deps.tickets._clock = clock
    url = (await resolved(client, tokens.bearer(), await catalogue.track()))[0]["url"]
    assert (await client.get(url)).status_code == 200
    clock.advance(timedelta(hours=2, seconds=1))
    answer = await client.get(url)
    assert (answer.status_code, answer.json()["code"]) == (403, "ticket_expired")


async def test_every_known_variant_is_answered_with_the_original_and_others_are_refused(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any, audio: bytes
) -> None:
    track_id, headers = await catalogue.track(), tokens.bearer()
    for variant in ("original", "high", "normal", "low"):
        (one,) = await resolved(client, headers, track_id, variant=variant)
        assert (await client.get(one["url"])).content == audio
    for variant in ("..%2f..%2fother", "../../other", "", "lossless"):
        answer = await client.get(f"/api/stream/{track_id}?variant={variant}", headers=headers)
        assert answer.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {}, {"track_ids": []}, {"track_ids": ["x"]}, {"track_ids": [str(new_id())] * 6}, {"track_ids": None},
        {"track_ids": [str(new_id())], "variant": "flac"}, {"track_ids": [str(new_id())], "user": "x"},
    ],
)  # fmt: skip
async def test_a_bad_resolve_is_refused(
    client: httpx.AsyncClient, tokens: TokenMaker, body: dict[str, Any]
) -> None:
    answer = await client.post("/api/stream/resolve", json=body, headers=tokens.bearer())
    assert answer.status_code == 422


async def test_one_unknown_track_among_five_refuses_all(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any
) -> None:
    body = {"track_ids": [str(await catalogue.track()), str(new_id())]}
    answer = await client.post("/api/stream/resolve", json=body, headers=tokens.bearer())
    assert answer.status_code == 404
    assert "ticket" not in answer.text


async def test_resolving_needs_a_token(client: httpx.AsyncClient, catalogue: Any) -> None:
    body = {"track_ids": [str(await catalogue.track())]}
    assert (await client.post("/api/stream/resolve", json=body)).status_code == 401


async def test_a_withdrawn_track_is_dead_at_the_next_request_also_by_its_owners_address(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any, owner: UUID
) -> None:
    track_id = await catalogue.track()
    urls = [
        (await resolved(client, headers, track_id))[0]["url"]
        for headers in (tokens.bearer(), tokens.bearer(owner))
    ]
    assert [(await client.get(url)).status_code for url in urls] == [200, 200]
    await catalogue.track(track_id, revision=2, status="withdrawn")
    assert [(await client.get(url)).status_code for url in urls] == [404, 404]
    assert (await client.get(f"/api/stream/{track_id}", headers=tokens.bearer())).status_code == 404
    await catalogue.track(track_id, revision=3)
    assert [(await client.get(url)).status_code for url in urls] == [200, 200]


async def test_a_deleted_track_is_dead_for_all_and_stays_so(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any, owner: UUID
) -> None:
    track_id = await catalogue.track()
    await catalogue.deletes(track_id, revision=5)
    await catalogue.track(track_id, revision=4)
    for headers in (tokens.bearer(), tokens.bearer(owner), tokens.bearer(roles=("admin",))):
        assert (await client.get(f"/api/stream/{track_id}", headers=headers)).status_code == 404


async def test_an_older_event_that_arrives_late_is_ignored(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any
) -> None:
    track_id = await catalogue.track(revision=3, visibility="private")
    await catalogue.track(track_id, revision=2)
    assert (await client.get(f"/api/stream/{track_id}", headers=tokens.bearer())).status_code == 404


async def test_audio_that_is_gone_or_cut_is_an_error_and_never_a_short_200(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any
) -> None:
    missing, cut = await catalogue.track(), await catalogue.track()
    catalogue.blob(missing).unlink()
    catalogue.blob(cut).write_bytes(b"short")
    assert (await client.get(f"/api/stream/{missing}", headers=tokens.bearer())).status_code == 404
    answer = await client.get(f"/api/stream/{cut}", headers=tokens.bearer())
    assert (answer.status_code, answer.json()["code"]) == (503, "audio_unavailable")


@pytest.mark.parametrize("path", ["x", "018f", "0" * 36, "018f0000-0000-7000-8000-00000000000g", "a/b"])
async def test_what_is_no_track_id_is_refused(
    client: httpx.AsyncClient, tokens: TokenMaker, path: str
) -> None:
    assert (await client.get(f"/api/stream/{path}", headers=tokens.bearer())).status_code in (404, 422)


async def test_thirty_served_seconds_are_credited_once(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any, settings: Settings
) -> None:
    track_id, listener = await catalogue.track(), new_id()
    headers = tokens.bearer(listener)
    url = (await resolved(client, headers, track_id))[0]["url"]
    async with Recorder(settings.bus_url, AudioServed) as recorder:
        await client.head(url)
        assert (await client.get(url, headers={"range": "bytes=0-299999"})).status_code == 206
        for _ in range(5):
            await client.get(url, headers={"range": "bytes=0-299999"})
        assert recorder.events == []
        await client.get(url, headers={"range": "bytes=300000-320000"})
        (event,) = await recorder.wait_for(1)
        assert isinstance(event, AudioServed)
        assert (event.user_id, event.track_id, event.revision) == (listener, track_id, 1)
        assert 30_000 <= event.served_ms < 31_000
        await client.get(url)
        other = tokens.bearer()
        await client.get((await resolved(client, other, track_id))[0]["url"])
        events = await recorder.wait_for(2)
        assert len(events) == 2
        assert len({event.subject for event in events}) == 2


async def test_many_addresses_at_once_are_one_listen_of_their_listener(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any, settings: Settings
) -> None:
    track_id, listener = await catalogue.track(duration_ms=40_000), new_id()
    headers = tokens.bearer(listener)
    async with Recorder(settings.bus_url, AudioServed) as recorder:
        for _ in range(10):
            url = (await resolved(client, headers, track_id))[0]["url"]
            assert (await client.get(url)).status_code == 200
        # Credits are announced in order: once this one is here, no other is on its way.
        last = new_id()
        await client.get((await resolved(client, tokens.bearer(last), track_id))[0]["url"])
        await recorder.find(lambda event: isinstance(event, AudioServed) and event.user_id == last)
        assert [event.user_id for event in recorder.events] == [listener, last]


async def test_the_same_address_twice_at_once_is_one_listen(
    client: httpx.AsyncClient, tokens: TokenMaker, catalogue: Any, settings: Settings
) -> None:
    track_id = await catalogue.track()
    url = (await resolved(client, tokens.bearer(), track_id))[0]["url"]
    other = (await resolved(client, tokens.bearer(), track_id))[0]["url"]
    async with Recorder(settings.bus_url, AudioServed) as recorder:
        for _ in range(20):
            await client.get(url)
        await client.get(other)
        assert len(await recorder.wait_for(2)) == 2
