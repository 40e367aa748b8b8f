"""Likes and saves over HTTP: keeping, listing and dropping, whose they are, and what must not leak."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx
import pytest

from antiphon_common.ids import new_id
from antiphon_common.testing.running import Recorder
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.catalog import AlbumChanged, AlbumDeleted, TrackChanged, TrackDeleted
from antiphon_contracts.event import Event
from antiphon_contracts.library import TrackLikesCounted
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_library.settings import Settings

Headers = dict[str, str]
Say = Callable[..., Awaitable[None]]
MakeTrack = Callable[..., TrackChanged]
MakeTracks = Callable[..., Awaitable[list[str]]]
Shelf = tuple[str, str, Callable[..., Event], Callable[..., Event]]


@pytest.fixture
def ada_id() -> UUID:
    return new_id()


@pytest.fixture
def ada(tokens: TokenMaker, ada_id: UUID) -> Headers:
    return tokens.bearer(ada_id)


@pytest.fixture
def eve(tokens: TokenMaker) -> Headers:
    return tokens.bearer()


@pytest.fixture(params=["tracks", "albums", "playlists"])
def shelf(
    request: pytest.FixtureRequest, track: MakeTrack, album: Callable[..., AlbumChanged],
    playlist: Callable[..., PlaylistChanged],
) -> Shelf:  # fmt: skip
    """A path, the name of its things, and what makes such a thing reachable and hidden."""
    if request.param == "tracks":
        return "/api/me/tracks", "track", track, lambda *a, **k: track(*a, **k, status="withdrawn")
    if request.param == "albums":
        return "/api/me/albums", "album", album, lambda *a, **k: album(*a, **k, listed=False)
    return "/api/me/playlists", "playlist", playlist, lambda *a, **k: playlist(*a, **k, visibility="private")


async def listed(client: httpx.AsyncClient, path: str, headers: Headers, *, limit: int = 100) -> list[str]:
    """The ids of a whole list, page by page."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(path, headers=headers, params={"limit": limit, **cursor})
        assert answer.status_code == 200, answer.text
        for item in answer.json()["items"]:
            (name,) = item.keys() - {"added_at", "played_at"}
            found.append(item[name]["id"])
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


async def test_what_is_kept_is_listed_newest_first_in_pages(
    client: httpx.AsyncClient, ada: Headers, eve: Headers, say: Say, shelf: Shelf
) -> None:
    path, _, make, _ = shelf
    events = [make() for _ in range(5)]
    await say(*events)
    for event in events:
        assert (await client.put(f"{path}/{event.subject}", headers=ada)).status_code == 204
    newest_first = [str(event.subject) for event in reversed(events)]
    for limit in (1, 2, 5, 6):
        assert await listed(client, path, ada, limit=limit) == newest_first
    assert await listed(client, path, eve) == []


async def test_keeping_twice_is_keeping_once(
    client: httpx.AsyncClient, ada: Headers, say: Say, shelf: Shelf
) -> None:
    path, name, make, _ = shelf
    event = make()
    await say(event)
    body = {f"{name}_id": str(event.subject)}
    first = await client.post(path, headers=ada, json=body)
    again = await client.post(path, headers=ada, json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (await client.put(f"{path}/{event.subject}", headers=ada)).status_code == 204
    assert await listed(client, path, ada) == [str(event.subject)]


async def test_dropping_is_idempotent_and_ones_own_affair(
    client: httpx.AsyncClient, ada: Headers, eve: Headers, say: Say, shelf: Shelf
) -> None:
    path, _, make, _ = shelf
    event = make()
    await say(event)
    for headers in (ada, eve):
        await client.put(f"{path}/{event.subject}", headers=headers)
    for _ in range(2):
        assert (await client.delete(f"{path}/{event.subject}", headers=eve)).status_code == 204
    assert (await client.delete(f"{path}/{new_id()}", headers=eve)).status_code == 204
    assert await listed(client, path, eve) == []
    assert await listed(client, path, ada) == [str(event.subject)]


async def test_what_cannot_be_seen_is_not_found_like_what_never_was(
    client: httpx.AsyncClient, ada: Headers, say: Say, shelf: Shelf
) -> None:
    path, name, _, hide = shelf
    hidden = hide()
    await say(hidden)
    answers = set()
    for item_id in (hidden.subject, new_id()):
        answer = await client.post(path, headers=ada, json={f"{name}_id": str(item_id)})
        problem = answer.json()
        answers.add((answer.status_code, problem["code"], problem["detail"]))
        assert (await client.put(f"{path}/{item_id}", headers=ada)).status_code == 404
    assert answers == {(404, f"{name}_not_found", f"There is no such {name}.")}
    assert await listed(client, path, ada) == []


async def test_owners_and_admins_may_keep_what_is_hidden_from_others(
    client: httpx.AsyncClient, tokens: TokenMaker, ada: Headers, ada_id: UUID, say: Say, shelf: Shelf
) -> None:
    path, _, _, hide = shelf
    event = hide(owner_id=ada_id)
    await say(event)
    for headers in (ada, tokens.bearer(roles=("admin",))):
        assert (await client.put(f"{path}/{event.subject}", headers=headers)).status_code == 204
        assert await listed(client, path, headers) == [str(event.subject)]


async def test_what_becomes_hidden_leaves_the_lists_and_comes_back_with_it(
    client: httpx.AsyncClient, ada: Headers, say: Say, shelf: Shelf
) -> None:
    path, _, make, hide = shelf
    event = make(title="Secret plan")
    await say(event)
    await client.put(f"{path}/{event.subject}", headers=ada)
    await say(hide(event.subject, revision=2, title="Secret plan"))
    answer = await client.get(path, headers=ada)
    assert answer.json() == {"items": [], "next_cursor": None}
    await say(make(event.subject, revision=3))
    assert await listed(client, path, ada) == [str(event.subject)]


async def test_hidden_things_leave_no_hole_in_the_pages(
    client: httpx.AsyncClient, ada: Headers, say: Say, shelf: Shelf
) -> None:
    path, _, make, hide = shelf
    events = [make() for _ in range(6)]
    await say(*events)
    for event in events:
        await client.put(f"{path}/{event.subject}", headers=ada)
    await say(*(hide(event.subject, revision=2) for event in events[1:5]))
    page = (await client.get(path, headers=ada, params={"limit": 2})).json()
    assert [len(page["items"]), page["next_cursor"]] == [2, None]


async def test_events_may_come_late_twice_and_after_a_deletion(
    client: httpx.AsyncClient, tokens: TokenMaker, ada: Headers, say: Say, shelf: Shelf
) -> None:
    path, name, make, hide = shelf
    event = make(revision=5)
    await say(event, event, hide(event.subject, revision=4))
    root = tokens.bearer(roles=("admin",))
    for headers in (ada, root):
        assert (await client.put(f"{path}/{event.subject}", headers=headers)).status_code == 204
    deleted: dict[str, Event] = {
        "track": TrackDeleted(subject=event.subject, revision=6, owner_id=new_id(), upload_id=new_id()),
        "album": AlbumDeleted(subject=event.subject, revision=6),
        "playlist": PlaylistDeleted(subject=event.subject, revision=6, owner_id=new_id()),
    }
    await say(deleted[name], deleted[name], make(event.subject, revision=7))
    for headers in (ada, root):
        assert await listed(client, path, headers) == []
    assert (await client.put(f"{path}/{event.subject}", headers=ada)).status_code == 204
    await client.delete(f"{path}/{event.subject}", headers=ada)
    assert (await client.put(f"{path}/{event.subject}", headers=ada)).status_code == 404


async def test_contains_answers_each_id_once_in_the_order_asked(
    client: httpx.AsyncClient, ada: Headers, eve: Headers, say: Say, shelf: Shelf
) -> None:
    path, _, make, _ = shelf
    event = make()
    await say(event)
    await client.put(f"{path}/{event.subject}", headers=ada)
    here, other = str(event.subject), str(new_id())
    for headers, found in ((ada, True), (eve, False)):
        answer = await client.get(f"{path}/contains?ids={other},{here},{other.upper()}", headers=headers)
        assert answer.json() == {
            "items": [{"id": other, "contained": False}, {"id": here, "contained": found}]
        }


async def test_contains_refuses_what_is_no_short_list_of_ids(
    client: httpx.AsyncClient, ada: Headers, shelf: Shelf
) -> None:
    path, too_many = f"{shelf[0]}/contains", ",".join([str(new_id())] * 101)
    for query in ("?ids=", "?ids=,", "?ids=x", "?ids=%00", f"?ids={'a' * 4000}", f"?ids={too_many}", ""):
        assert (await client.get(path + query, headers=ada)).status_code == 422, query


async def test_a_hundred_ids_are_not_too_many(client: httpx.AsyncClient, ada: Headers, shelf: Shelf) -> None:
    ids = [str(new_id()) for _ in range(100)]
    answer = await client.get(f"{shelf[0]}/contains", headers=ada, params={"ids": ",".join(ids)})
    assert [item["id"] for item in answer.json()["items"]] == ids


async def test_bad_bodies_ids_and_cursors_are_refused(
    client: httpx.AsyncClient, ada: Headers, say: Say, shelf: Shelf
) -> None:
    path, name, make, _ = shelf
    some = str(new_id())
    for body in (
        {},
        {f"{name}_id": "x"},
        {f"{name}_id": 1},
        {f"{name}_id": None},
        {f"{name}_id": some, "x": 1},
    ):
        assert (await client.post(path, headers=ada, json=body)).status_code == 422
    for method in ("PUT", "DELETE"):
        assert (await client.request(method, f"{path}/1", headers=ada)).status_code == 422
    for event in (make(), make()):
        await say(event)
        await client.put(f"{path}/{event.subject}", headers=ada)
    good = (await client.get(path, headers=ada, params={"limit": 1})).json()["next_cursor"]
    for bad in (good[:-1], good + "A", "", "ä", "A" * 501):
        assert (await client.get(path, headers=ada, params={"cursor": bad})).status_code == 422
    answer = await client.get("/api/me/recently-played", headers=ada, params={"cursor": good})
    assert answer.status_code == 422
    for limit in ("0", "101", "x"):
        assert (await client.get(path, headers=ada, params={"limit": limit})).status_code == 422


async def test_every_operation_needs_a_user(client: httpx.AsyncClient, shelf: Shelf) -> None:
    for method, tail in [
        ("GET", ""),
        ("POST", ""),
        ("PUT", f"/{new_id()}"),
        ("DELETE", f"/{new_id()}"),
        ("GET", f"/contains?ids={new_id()}"),
    ]:
        assert (await client.request(method, shelf[0] + tail)).status_code == 401


async def test_liked_is_another_name_for_liked_tracks(
    client: httpx.AsyncClient, ada: Headers, tracks: MakeTracks
) -> None:
    one, two = await tracks(2)
    answer = await client.post("/api/me/liked", headers=ada, json={"track_id": one})
    assert answer.status_code == 201
    await client.put(f"/api/me/tracks/{two}", headers=ada)
    assert await listed(client, "/api/me/liked", ada, limit=1) == [two, one]
    assert await listed(client, "/api/me/tracks", ada) == [two, one]
    assert (await client.delete(f"/api/me/liked/{two}", headers=ada)).status_code == 204
    assert await listed(client, "/api/me/tracks", ada) == [one]


async def test_a_card_shows_what_a_list_needs_and_nothing_of_the_inside(
    client: httpx.AsyncClient, ada: Headers, say: Say, shelf: Shelf
) -> None:
    path, name, make, _ = shelf
    event = make(title="Shown")
    await say(event)
    await client.put(f"{path}/{event.subject}", headers=ada)
    (item,) = (await client.get(path, headers=ada)).json()["items"]
    assert item[name]["title"] == "Shown"
    assert not {"upload_id", "audio", "status", "revision", "listed", "deleted"} & item[name].keys()


async def test_likes_are_counted_once_a_listener_and_announced_as_absolute_values(
    client: httpx.AsyncClient, settings: Settings, ada: Headers, eve: Headers, tracks: MakeTracks
) -> None:
    (track_id,) = await tracks(1)
    path = f"/api/me/tracks/{track_id}"
    async with Recorder(settings.bus_url, TrackLikesCounted) as recorder:
        for method, headers in [
            ("PUT", ada), ("PUT", ada), ("PUT", eve), ("DELETE", ada), ("DELETE", ada), ("PUT", ada),
        ]:  # fmt: skip
            assert (await client.request(method, path, headers=headers)).status_code == 204
        await recorder.find(lambda event: event.revision == 4)
    said = [
        (event.revision, event.like_count)
        for event in recorder.events
        if isinstance(event, TrackLikesCounted)
    ]
    assert said == [(1, 1), (2, 2), (3, 1), (4, 2)]
    assert {str(event.subject) for event in recorder.events} == {track_id}


async def test_a_deleted_account_takes_its_likes_along_and_leaves_nothing_behind(
    client: httpx.AsyncClient, settings: Settings, say: Say, ada: Headers, ada_id: UUID, eve: Headers,
    tracks: MakeTracks,
) -> None:  # fmt: skip
    one, two = await tracks(2)
    async with Recorder(settings.bus_url, TrackLikesCounted) as recorder:
        for headers, track_id in [(ada, one), (ada, two), (eve, one)]:
            await client.put(f"/api/me/tracks/{track_id}", headers=headers)
        gone = AccountDeleted(subject=ada_id, revision=2)
        await say(gone, gone)
        counts = [e for e in await recorder.wait_for(5) if isinstance(e, TrackLikesCounted)]
    assert {(str(e.subject), e.revision, e.like_count) for e in counts[3:]} == {(one, 3, 1), (two, 2, 0)}
    # The token outlives the account by some minutes.
    assert (await client.put(f"/api/me/tracks/{one}", headers=ada)).status_code == 401
    assert await listed(client, "/api/me/tracks", ada) == []
    assert await listed(client, "/api/me/tracks", eve) == [one]
