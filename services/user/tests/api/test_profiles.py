"""Profiles over HTTP, fed by the events of auth and playlist."""

from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from antiphon_common.ids import new_id
from antiphon_common.testing.running import Recorder, drained, publish
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.auth import AccountChanged, AccountDeleted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_contracts.user import ProfileChanged
from antiphon_user.settings import Settings


def account(user_id: UUID, *, revision: int = 1, email: str = "ada@example.org") -> AccountChanged:
    return AccountChanged(
        subject=user_id, revision=revision, email=email, name="Ada", roles=("listener",), email_verified=True,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.fixture
async def ada(client: httpx.AsyncClient, settings: Settings) -> UUID:
    user_id = new_id()
    await publish(settings.bus_url, [account(user_id)])
    await drained(settings.bus_url, "user")
    return user_id


async def test_an_account_event_makes_a_profile(
    client: httpx.AsyncClient, tokens: TokenMaker, ada: UUID
) -> None:
    me = (await client.get("/api/me", headers=tokens.bearer(ada))).json()
    assert me["id"] == str(ada)
    assert me["email"] == "ada@example.org"
    assert me["created_at"] == "2026-01-01T00:00:00Z"


async def test_a_profile_that_is_still_on_its_way_is_a_503_to_be_retried(
    client: httpx.AsyncClient, tokens: TokenMaker
) -> None:
    answer = await client.get("/api/me", headers=tokens.bearer())
    assert (answer.status_code, answer.json()["code"]) == (503, "profile_pending")
    assert answer.headers["retry-after"] == "1"


async def test_a_patch_changes_only_what_it_names_and_is_announced(
    client: httpx.AsyncClient, tokens: TokenMaker, settings: Settings, ada: UUID
) -> None:
    async with Recorder(settings.bus_url, ProfileChanged) as recorder:
        headers = tokens.bearer(ada)
        answer = await client.patch("/api/me", headers=headers, json={"username": "Ada.L", "country": "GB"})
        assert answer.status_code == 200
        assert (answer.json()["username"], answer.json()["name"]) == ("ada.l", "Ada")
        event = await recorder.find(lambda event: event.revision == 2)
    assert isinstance(event, ProfileChanged)
    assert event.username == "ada.l"


async def test_a_taken_username_is_a_conflict_and_changes_nothing(
    client: httpx.AsyncClient, tokens: TokenMaker, settings: Settings, ada: UUID
) -> None:
    other = new_id()
    await publish(settings.bus_url, [account(other, email="eve@example.org")])
    await drained(settings.bus_url, "user")
    assert (
        await client.patch("/api/me", headers=tokens.bearer(ada), json={"username": "ada"})
    ).status_code == 200
    answer = await client.patch("/api/me", headers=tokens.bearer(other), json={"username": "ADA", "bio": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "username_taken")
    assert (await client.get("/api/me", headers=tokens.bearer(other))).json()["bio"] is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"nickname": "x"}', b'{"name": ""}',
        b'{"name": 7}', b'{"name": "a\\u0000b"}', b'{"name": "\\ud800"}',
        b'{"country": "gb"}', b'{"username": "a b"}', b'{"id": "018f0000-0000-7000-8000-000000000000"}',
        b'{"roles": ["admin"]}',
    ],
)  # fmt: skip
async def test_a_bad_patch_is_refused_without_repeating_it(
    client: httpx.AsyncClient, tokens: TokenMaker, ada: UUID, body: bytes
) -> None:
    headers = {**tokens.bearer(ada), "content-type": "application/json"}
    answer = await client.patch("/api/me", headers=headers, content=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert '"input"' not in answer.text


@pytest.mark.parametrize("body", [b"{", b'{"name": NaN}', b'{"name":"a","name":"b"}', b"[" * 40 + b"]" * 40])
async def test_what_is_no_json_is_malformed(
    client: httpx.AsyncClient, tokens: TokenMaker, ada: UUID, body: bytes
) -> None:
    headers = {**tokens.bearer(ada), "content-type": "application/json"}
    assert (await client.patch("/api/me", headers=headers, content=body)).status_code == 400


async def test_preferences_keep_what_is_not_sent(
    client: httpx.AsyncClient, tokens: TokenMaker, ada: UUID
) -> None:
    headers = tokens.bearer(ada)
    await client.patch("/api/me/preferences", headers=headers, json={"theme": "dark"})
    answer = await client.patch("/api/me/preferences", headers=headers, json={"crossfade_ms": 5000})
    assert (answer.json()["theme"], answer.json()["crossfade_ms"]) == ("dark", 5000)
    refused = await client.patch("/api/me/preferences", headers=headers, json={"crossfade_ms": 99_999})
    assert refused.status_code == 422


async def test_the_public_profile_shows_nothing_private(client: httpx.AsyncClient, ada: UUID) -> None:
    answer = await client.get(f"/api/users/{ada}")
    assert answer.status_code == 200
    assert set(answer.json()) == {"id", "name", "username", "avatar", "public_playlist_count"}


async def test_an_older_account_event_that_arrives_late_is_ignored(
    client: httpx.AsyncClient, tokens: TokenMaker, settings: Settings, ada: UUID
) -> None:
    await publish(
        settings.bus_url, [account(ada, revision=3, email="new@example.org"), account(ada, revision=2)]
    )
    await drained(settings.bus_url, "user")
    assert (await client.get("/api/me", headers=tokens.bearer(ada))).json()["email"] == "new@example.org"


async def test_a_deleted_account_stays_deleted(
    client: httpx.AsyncClient, tokens: TokenMaker, settings: Settings, ada: UUID
) -> None:
    await publish(settings.bus_url, [AccountDeleted(subject=ada, revision=2), account(ada, revision=3)])
    await drained(settings.bus_url, "user")
    assert (await client.get("/api/me", headers=tokens.bearer(ada))).status_code == 404
    assert (await client.get(f"/api/users/{ada}")).status_code == 404


async def test_an_account_that_was_deleted_before_it_was_heard_of_is_not_made(
    client: httpx.AsyncClient, tokens: TokenMaker, settings: Settings, ada: UUID
) -> None:
    gone = new_id()
    async with Recorder(settings.bus_url, ProfileChanged) as recorder:
        await publish(settings.bus_url, [AccountDeleted(subject=gone, revision=2), account(gone, revision=1)])
        await drained(settings.bus_url, "user")
        await client.patch("/api/me", headers=tokens.bearer(ada), json={"country": "GB"})
        await recorder.find(lambda event: event.subject == ada and event.revision == 2)
        assert gone not in {event.subject for event in recorder.events}
    assert (await client.get(f"/api/users/{gone}")).status_code == 404
    assert (await client.get("/api/me", headers=tokens.bearer(gone))).status_code == 404


async def test_only_public_playlists_are_counted_once_each(
    client: httpx.AsyncClient, settings: Settings, ada: UUID
) -> None:
    first, second, gone = new_id(), new_id(), new_id()

    def playlist(subject: UUID, visibility: str, revision: int) -> PlaylistChanged:
        return PlaylistChanged.model_validate(
            {"subject": subject, "revision": revision, "owner_id": ada, "title": "x",
             "visibility": visibility, "item_count": 0}
        )  # fmt: skip

    events = [
        playlist(first, "public", 1), playlist(first, "public", 1), playlist(second, "private", 2),
        playlist(second, "public", 1), PlaylistDeleted(subject=gone, revision=2, owner_id=ada),
        playlist(gone, "public", 1),
    ]  # fmt: skip
    await publish(settings.bus_url, events)
    await drained(settings.bus_url, "user")
    assert (await client.get(f"/api/users/{ada}")).json()["public_playlist_count"] == 1


async def test_every_route_needs_a_good_token_where_it_says_so(client: httpx.AsyncClient) -> None:
    for method, path in [("GET", "/api/me"), ("PATCH", "/api/me"), ("GET", "/api/me/preferences")]:
        answer = await client.request(method, path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
