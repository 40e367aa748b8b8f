"""Plays over HTTP: what counts, what does not, and who learns of it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from antiphon_common.ids import new_id
from antiphon_common.testing.running import Recorder
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.catalog import TrackChanged
from antiphon_contracts.library import TrackPlaysCounted
from antiphon_contracts.stream import AudioServed
from antiphon_library.settings import Settings

Headers = dict[str, str]
Say = Callable[..., Awaitable[None]]
MakeTrack = Callable[..., TrackChanged]
MakeTracks = Callable[..., Awaitable[list[str]]]

NOW = datetime.now(UTC)


@pytest.fixture
def ada_id() -> UUID:
    return new_id()


@pytest.fixture
def ada(tokens: TokenMaker, ada_id: UUID) -> Headers:
    return tokens.bearer(ada_id)


@pytest.fixture
def eve(tokens: TokenMaker) -> Headers:
    return tokens.bearer()


def served(user_id: UUID, track_id: str, *, subject: UUID | None = None) -> AudioServed:
    return AudioServed(
        subject=subject or new_id(), revision=1, user_id=user_id, track_id=UUID(track_id), served_ms=60_000,
        started_at=NOW, served_at=NOW,
    )  # fmt: skip


def play(track_id: str, **fields: object) -> dict[str, object]:
    started_at = (NOW - timedelta(minutes=2)).isoformat()
    return {
        "play_id": str(new_id()),
        "track_id": track_id,
        "listened_ms": 45_000,
        "started_at": started_at,
        **fields,
    }


async def report(client: httpx.AsyncClient, headers: Headers, body: dict[str, object]) -> bool:
    """Report a play; whether it counted."""
    answer = await client.post("/api/plays", headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["play_id"] == body["play_id"]
    counted: bool = answer.json()["counted"]
    return counted


async def entries(
    client: httpx.AsyncClient, path: str, headers: Headers, **params: str
) -> list[dict[str, object]]:
    """A whole list, page by page, two at a time."""
    found: list[dict[str, object]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(path, headers=headers, params={"limit": "2", **params, **cursor})
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


@pytest.mark.parametrize("credit_first", [True, False])
async def test_a_play_counts_once_stream_vouches_for_it_whichever_comes_first(
    client: httpx.AsyncClient, settings: Settings, say: Say, ada: Headers, ada_id: UUID, tracks: MakeTracks,
    credit_first: bool,
) -> None:  # fmt: skip
    (track_id,) = await tracks(1)
    body, credit = play(track_id), served(ada_id, track_id)
    async with Recorder(settings.bus_url, TrackPlaysCounted) as recorder:
        if credit_first:
            await say(credit, credit)
            assert await report(client, ada, body) is True
        else:
            assert await report(client, ada, body) is False
            await say(credit, credit)
        assert await report(client, ada, body) is True
        # A second play needs a second credit.
        assert await report(client, ada, play(track_id)) is False
        (event,) = await recorder.wait_for(1)
    assert isinstance(event, TrackPlaysCounted)
    assert (str(event.subject), event.revision, event.play_count) == (track_id, 1, 1)


async def test_a_credit_backs_only_its_own_listener_and_track(
    client: httpx.AsyncClient, say: Say, ada: Headers, eve: Headers, ada_id: UUID, tracks: MakeTracks
) -> None:
    one, two = await tracks(2)
    await say(served(ada_id, one))
    assert await report(client, eve, play(one)) is False
    assert await report(client, ada, play(two)) is False
    assert await report(client, ada, play(one)) is True


async def test_a_repeated_credit_with_another_message_id_backs_one_play_only(
    client: httpx.AsyncClient, say: Say, ada: Headers, ada_id: UUID, tracks: MakeTracks
) -> None:
    (track_id,) = await tracks(1)
    subject = new_id()
    await say(served(ada_id, track_id, subject=subject))
    assert await report(client, ada, play(track_id)) is True
    await say(served(ada_id, track_id, subject=subject))
    assert await report(client, ada, play(track_id)) is False


async def test_a_play_counts_from_thirty_seconds_or_nine_tenths_of_a_shorter_track(
    client: httpx.AsyncClient, say: Say, ada: Headers, ada_id: UUID, track: MakeTrack
) -> None:
    for duration_ms, listened_ms, counts in [
        (240_000, 30_000, True), (240_000, 29_999, False), (30_000, 30_000, True), (30_000, 29_999, False),
        (29_999, 27_000, True), (29_999, 26_999, False), (10_000, 9_000, True), (10_000, 8_999, False),
        (240_000, 0, False), (0, 0, False),
    ]:  # fmt: skip
        event = track(duration_ms=duration_ms)
        track_id = str(event.subject)
        await say(event, served(ada_id, track_id))
        assert await report(client, ada, play(track_id, listened_ms=listened_ms)) is counts
        # A play that was too short leaves the credit to a better one.
        assert await report(client, ada, play(track_id, listened_ms=60_000)) is not counts
    assert len(await entries(client, "/api/me/history", ada)) == 20


async def test_a_play_id_stands_for_one_report_of_one_listener(
    client: httpx.AsyncClient, say: Say, ada: Headers, eve: Headers, tracks: MakeTracks
) -> None:
    one, two = await tracks(2)
    body = play(one, context={"type": "album", "id": str(new_id())})
    assert await report(client, ada, body) is False
    assert await report(client, ada, body) is False
    changes: list[dict[str, object]] = [
        {"track_id": two}, {"listened_ms": 1}, {"started_at": NOW.isoformat()}, {"context": None},
        {"context": {"type": "album"}},
    ]  # fmt: skip
    answers = [await client.post("/api/plays", headers=ada, json={**body, **change}) for change in changes]
    answers.append(await client.post("/api/plays", headers=eve, json=body))
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (409, "play_id_taken")
    assert len(await entries(client, "/api/me/history", ada)) == 1
    assert await entries(client, "/api/me/history", eve) == []


async def test_a_play_of_the_future_or_of_long_ago_is_refused(
    client: httpx.AsyncClient, ada: Headers, tracks: MakeTracks
) -> None:
    (track_id,) = await tracks(1)
    for shift, status in [
        (timedelta(minutes=4), 200), (timedelta(hours=1), 422), (timedelta(days=-29), 200),
        (timedelta(days=-31), 422), (timedelta(days=-3000), 422), (timedelta(days=365_000), 422),
    ]:  # fmt: skip
        body = play(track_id, started_at=(NOW + shift).isoformat())
        answer = await client.post("/api/plays", headers=ada, json=body)
        assert answer.status_code == status
        if status == 422:
            assert answer.json()["errors"][0]["loc"] == "body.started_at"
    assert len(await entries(client, "/api/me/history", ada)) == 2


async def test_a_bad_report_is_refused(client: httpx.AsyncClient, ada: Headers, tracks: MakeTracks) -> None:
    (track_id,) = await tracks(1)
    changes: list[dict[str, object]] = [
        {"play_id": "x"}, {"track_id": None}, {"listened_ms": -1}, {"listened_ms": 86_400_001},
        {"listened_ms": 1.5}, {"listened_ms": "1"}, {"listened_ms": True}, {"listened_ms": 10**30},
        {"started_at": 1_700_000_000}, {"started_at": "1700000000"}, {"started_at": "2026-01-01"},
        {"started_at": "2026-01-01T00:00:00"}, {"started_at": "9999-12-31T23:59:59-23:59"},
        {"started_at": "0001-01-01T00:00:00+23:59"}, {"context": {"type": "secret"}}, {"context": "album"},
        {"context": {"type": "album", "id": 7}}, {"counted": True}, {"user_id": str(new_id())},
    ]  # fmt: skip
    for change in changes:
        answer = await client.post("/api/plays", headers=ada, json={**play(track_id), **change})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), (
            change
        )
    assert await entries(client, "/api/me/history", ada) == []


async def test_a_track_that_the_listener_cannot_see_is_not_found(
    client: httpx.AsyncClient, say: Say, ada: Headers, ada_id: UUID, track: MakeTrack
) -> None:
    private, own = track(visibility="private"), track(owner_id=ada_id, visibility="private")
    await say(private, own)
    problems = set()
    for track_id in (private.subject, new_id()):
        answer = await client.post("/api/plays", headers=ada, json=play(str(track_id)))
        problems.add((answer.status_code, answer.json()["code"]))
    assert problems == {(404, "track_not_found")}
    assert await report(client, ada, play(str(own.subject))) is False


async def test_recently_played_names_each_track_once_by_its_latest_play(
    client: httpx.AsyncClient, ada: Headers, eve: Headers, tracks: MakeTracks
) -> None:
    a, b, c, skipped = await tracks(4)
    for track_id, minutes in [(a, 50), (b, 40), (a, 30), (c, 45), (b, 60)]:
        started_at = (NOW - timedelta(minutes=minutes)).isoformat()
        await report(client, ada, play(track_id, started_at=started_at))
    await report(client, ada, play(skipped, listened_ms=3_000))
    recent = await entries(client, "/api/me/recently-played", ada)
    assert [item["track"]["id"] for item in recent] == [a, b, c]  # type: ignore[index]
    assert await entries(client, "/api/me/recently-played", eve) == []


async def test_history_is_every_play_within_the_asked_time(
    client: httpx.AsyncClient, say: Say, ada: Headers, ada_id: UUID, eve: Headers, tracks: MakeTracks
) -> None:
    (track_id,) = await tracks(1)
    await say(served(ada_id, track_id))
    album = str(new_id())
    for minutes in (10, 20, 30, 40, 50):
        started_at = (NOW - timedelta(minutes=minutes)).isoformat()
        await report(
            client, ada, play(track_id, started_at=started_at, context={"type": "album", "id": album})
        )
    whole = await entries(client, "/api/me/history", ada)
    assert [item["counted"] for item in whole] == [True, False, False, False, False]
    assert whole[0]["context"] == {"type": "album", "id": album}
    assert [item["started_at"] for item in whole] == sorted(
        (str(i["started_at"]) for i in whole), reverse=True
    )
    since, until = (NOW - timedelta(minutes=40)).isoformat(), (NOW - timedelta(minutes=20)).isoformat()
    some = await entries(client, "/api/me/history", ada, **{"from": since, "to": until})
    assert some == whole[2:4]
    assert await entries(client, "/api/me/history", eve) == []


async def test_a_history_needs_real_moments(client: httpx.AsyncClient, ada: Headers) -> None:
    for query in ("from=yesterday", "from=0", "to=9999-12-31T23:59:59-23:59", "to=2026-01-01T00:00:00"):
        assert (await client.get(f"/api/me/history?{query}", headers=ada)).status_code == 422, query


async def test_played_tracks_that_become_hidden_leave_the_lists(
    client: httpx.AsyncClient, say: Say, ada: Headers, track: MakeTrack
) -> None:
    event = track(title="Secret")
    await say(event)
    await report(client, ada, play(str(event.subject)))
    await say(track(event.subject, revision=2, visibility="private"))
    for path in ("/api/me/recently-played", "/api/me/history"):
        assert (await client.get(path, headers=ada)).json() == {"items": [], "next_cursor": None}


async def test_a_cleared_history_is_empty_and_no_longer_counted(
    client: httpx.AsyncClient, settings: Settings, say: Say, ada: Headers, ada_id: UUID, eve: Headers,
    tracks: MakeTracks, tokens: TokenMaker,
) -> None:  # fmt: skip
    (track_id,) = await tracks(1)
    bob_id = new_id()
    bob = tokens.bearer(bob_id)
    await say(
        served(ada_id, track_id), served(ada_id, track_id), served(ada_id, track_id), served(bob_id, track_id)
    )
    assert [await report(client, who, play(track_id)) for who in (ada, ada, bob)] == [True] * 3
    async with Recorder(settings.bus_url, TrackPlaysCounted) as recorder:
        assert (await client.delete("/api/me/history", headers=ada)).status_code == 204
        assert (await client.delete("/api/me/history", headers=ada)).status_code == 204
        await recorder.find(lambda event: event.revision == 4)
    assert [
        e.play_count for e in recorder.events if isinstance(e, TrackPlaysCounted) and e.revision == 4
    ] == [1]
    for path in ("/api/me/recently-played", "/api/me/history"):
        assert await entries(client, path, ada) == []
        assert len(await entries(client, path, bob)) == 1
    # The unspent credit went, too: it says what was listened to.
    assert await report(client, ada, play(track_id)) is False


async def test_a_deleted_account_takes_its_plays_along_also_those_that_stream_reports_later(
    client: httpx.AsyncClient, settings: Settings, say: Say, ada: Headers, ada_id: UUID, tracks: MakeTracks
) -> None:
    (track_id,) = await tracks(1)
    await say(served(ada_id, track_id))
    assert await report(client, ada, play(track_id)) is True
    async with Recorder(settings.bus_url, TrackPlaysCounted) as recorder:
        await say(AccountDeleted(subject=ada_id, revision=2), served(ada_id, track_id))
        event = await recorder.find(lambda event: event.revision == 2)
    assert isinstance(event, TrackPlaysCounted)
    assert event.play_count == 0
    assert (await client.post("/api/plays", headers=ada, json=play(track_id))).status_code == 401
    assert await entries(client, "/api/me/history", ada) == []


async def test_every_operation_needs_a_user(client: httpx.AsyncClient) -> None:
    for method, path in [
        ("POST", "/api/plays"), ("GET", "/api/me/recently-played"), ("GET", "/api/me/history"),
        ("DELETE", "/api/me/history"),
    ]:  # fmt: skip
        assert (await client.request(method, path)).status_code == 401
