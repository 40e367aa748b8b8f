"""What is in a playlist, over HTTP: adding, skipping, moving, removing, paging and tombstones."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx
import pytest

from antiphon_common.ids import new_id
from antiphon_common.testing.running import Recorder
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_contracts.playlist import PlaylistChanged
from antiphon_playlist.settings import Settings

Headers = dict[str, str]
Say = Callable[..., Awaitable[None]]
MakeTrack = Callable[..., TrackChanged]
MakeTracks = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def ada_id() -> UUID:
    return new_id()


@pytest.fixture
def ada(tokens: TokenMaker, ada_id: UUID) -> Headers:
    return tokens.bearer(ada_id)


@pytest.fixture
def eve(tokens: TokenMaker) -> Headers:
    return tokens.bearer()


@pytest.fixture
async def path(client: httpx.AsyncClient, ada: Headers) -> str:
    """The path of Ada's public playlist."""
    body = {"title": "Mix", "visibility": "public"}
    return f"/api/playlists/{(await client.post('/api/playlists', headers=ada, json=body)).json()['id']}"


async def add(
    client: httpx.AsyncClient, path: str, headers: Headers, track_ids: list[str], **more: object
) -> list[str]:
    """Add tracks; the ids of the new items."""
    body = {"track_ids": track_ids, **more}
    answer = await client.post(f"{path}/tracks", headers=headers, json=body)
    assert answer.status_code == 201, answer.text
    assert [item["track_id"] for item in answer.json()["items"]] == track_ids
    return [item["item_id"] for item in answer.json()["items"]]


async def order(client: httpx.AsyncClient, path: str, *, limit: int = 100) -> list[str]:
    """The ids of all items in their order."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await client.get(f"{path}/items", params={"limit": limit, **cursor})).json()
        found += [item["item_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_tracks_are_added_at_the_end_in_their_order(
    client: httpx.AsyncClient, ada: Headers, path: str, tracks: MakeTracks, settings: Settings
) -> None:
    ids = await tracks(4)
    async with Recorder(settings.bus_url, PlaylistChanged) as recorder:
        first = await add(client, path, ada, ids[:2])
        second = await add(client, path, ada, [ids[3], ids[2], ids[3]])
        events = await recorder.wait_for(2)
    assert await order(client, path) == first + second
    last = events[-1]
    assert isinstance(last, PlaylistChanged)
    assert (last.item_count, last.revision) == (5, 3)
    playlist = (await client.get(path)).json()
    assert (playlist["item_count"], playlist["revision"]) == (5, 3)


async def test_an_item_shows_its_track_to_everybody(
    client: httpx.AsyncClient, ada: Headers, ada_id: UUID, path: str, tracks: MakeTracks
) -> None:
    (track_id,) = await tracks(1)
    (item_id,) = await add(client, path, ada, [track_id])
    (item,) = (await client.get(f"{path}/items")).json()["items"]
    assert (item["item_id"], item["added_by"]) == (item_id, str(ada_id))
    shown = item["track"]
    assert (shown["id"], shown["available"], shown["title"]) == (track_id, True, "Song 0")
    assert (shown["artists"][0]["name"], shown["album"]["title"]) == ("Ada", "First")
    assert shown["duration_ms"] == 61_000
    assert not {"owner_id", "upload_id", "audio", "status", "visibility"} & shown.keys()


async def test_tracks_can_be_added_after_an_item_and_at_the_beginning(
    client: httpx.AsyncClient, ada: Headers, path: str, tracks: MakeTracks
) -> None:
    ids = await tracks(3)
    one, two = await add(client, path, ada, ids[:2])
    middle = await add(client, path, ada, ids, after_item_id=one)
    front = await add(client, path, ada, ids[:1], after_item_id=None)
    assert await order(client, path) == [*front, one, *middle, two]


@pytest.mark.parametrize("spot", ["unknown", "foreign"])
async def test_an_unknown_spot_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, ada: Headers, path: str, tracks: MakeTracks, spot: str
) -> None:
    ids = await tracks(1)
    other = (await client.post("/api/playlists", headers=ada, json={"title": "Other"})).json()["id"]
    (foreign,) = await add(client, f"/api/playlists/{other}", ada, ids)
    (mine,) = await add(client, path, ada, ids)
    after = foreign if spot == "foreign" else str(new_id())
    for tail, body in [
        ("/tracks", {"track_ids": ids, "after_item_id": after}),
        ("/tracks?on_duplicate=skip", {"track_ids": ids, "after_item_id": after}),
        (f"/items/{mine}/move", {"after_item_id": after}),
    ]:
        answer = await client.post(path + tail, headers=ada, json=body)
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, "body.after_item_id")
    assert (
        await client.post(f"{path}/items/{foreign}/move", headers=ada, json={"after_item_id": None})
    ).status_code == 404
    assert (await client.delete(f"{path}/items/{foreign}", headers=ada)).status_code == 404
    assert await order(client, path) == [mine]
    assert (await client.get(path)).json()["revision"] == 2


async def test_duplicates_are_added_or_skipped_as_asked(
    client: httpx.AsyncClient, ada: Headers, path: str, tracks: MakeTracks
) -> None:
    a, b, c = await tracks(3)
    await add(client, path, ada, [a, a])
    body = {"track_ids": [b, a, b, c]}
    answer = await client.post(f"{path}/tracks?on_duplicate=skip", headers=ada, json=body)
    assert answer.status_code == 201
    assert [item["track_id"] for item in answer.json()["items"]] == [b, c]
    again = await client.post(f"{path}/tracks?on_duplicate=skip", headers=ada, json=body)
    assert (again.status_code, again.json()["items"]) == (200, [])
    assert again.json()["revision"] == answer.json()["revision"]
    assert (await client.get(path)).json()["item_count"] == 4


async def test_tracks_that_the_adder_cannot_see_are_refused_like_unknown_ones(
    client: httpx.AsyncClient, ada: Headers, path: str, say: Say, track: MakeTrack
) -> None:
    hidden = [track(visibility="private"), track(status="draft"), track(status="withdrawn"), track()]
    good = track()
    await say(
        *hidden,
        good,
        TrackDeleted(subject=hidden[3].subject, revision=2, owner_id=new_id(), upload_id=new_id()),
    )
    seen = set()
    for track_id in [event.subject for event in hidden] + [new_id()]:
        body = {"track_ids": [str(good.subject), str(track_id)]}
        answer = await client.post(f"{path}/tracks", headers=ada, json=body)
        problem = answer.json()
        assert str(track_id) not in answer.text
        seen.add((answer.status_code, problem["code"], problem["detail"], str(problem["errors"])))
    assert len(seen) == 1
    assert next(iter(seen))[0] == 422
    assert await order(client, path) == []


async def test_what_is_unlisted_or_ones_own_can_be_added(
    client: httpx.AsyncClient, ada: Headers, ada_id: UUID, path: str, say: Say, track: MakeTrack
) -> None:
    events = [
        track(visibility="unlisted"),
        track(owner_id=ada_id, visibility="private"),
        track(owner_id=ada_id, status="draft"),
    ]
    await say(*events)
    assert len(await add(client, path, ada, [str(event.subject) for event in events])) == 3


async def test_another_owners_private_track_is_a_tombstone(
    client: httpx.AsyncClient, ada: Headers, eve: Headers, tokens: TokenMaker, ada_id: UUID, path: str,
    say: Say, track: MakeTrack,
) -> None:  # fmt: skip
    private = track(owner_id=ada_id, visibility="private", title="Secret")
    await say(private)
    await add(client, path, ada, [str(private.subject)])
    tombstone = {"id": str(private.subject), "available": False}
    for headers in (eve, {}):
        answer = await client.get(f"{path}/items", headers=headers)
        assert answer.json()["items"][0]["track"] == tombstone
        assert "Secret" not in answer.text
    for headers in (ada, tokens.bearer(roles=("admin",))):
        answer = await client.get(f"{path}/items", headers=headers)
        assert answer.json()["items"][0]["track"]["title"] == "Secret"


@pytest.mark.parametrize("stale_first", [True, False])
async def test_a_withdrawn_or_deleted_track_stays_as_a_tombstone_in_any_order_of_events(
    client: httpx.AsyncClient, ada: Headers, path: str, say: Say, track: MakeTrack, stale_first: bool
) -> None:
    one, two = track(revision=1), track(revision=1)
    await say(one, two)
    items = await add(client, path, ada, [str(one.subject), str(two.subject)])
    withdrawn = track(one.subject, owner_id=one.owner_id, revision=3, status="withdrawn", title="Gone")
    deleted = TrackDeleted(subject=two.subject, revision=2, owner_id=two.owner_id, upload_id=two.upload_id)
    stale = [track(one.subject, revision=2, title="Old"), track(two.subject, revision=5, title="Old")]
    newest = [deleted, deleted, withdrawn, withdrawn]
    await say(*([*stale, *newest] if stale_first else [*newest, *stale]))
    answer = await client.get(f"{path}/items", headers=ada)
    shown = [(item["item_id"], item["track"]) for item in answer.json()["items"]]
    expected = [{"id": str(event.subject), "available": False} for event in (one, two)]
    assert shown == list(zip(items, expected, strict=True))


async def test_a_track_that_comes_back_shows_again(
    client: httpx.AsyncClient, ada: Headers, path: str, say: Say, track: MakeTrack
) -> None:
    event = track()
    await say(event)
    await add(client, path, ada, [str(event.subject)])
    for revision, status, available in [(2, "withdrawn", False), (3, "published", True)]:
        await say(track(event.subject, revision=revision, status=status))
        (item,) = (await client.get(f"{path}/items")).json()["items"]
        assert item["track"]["available"] is available


async def test_moving_puts_an_item_exactly_there(
    client: httpx.AsyncClient, ada: Headers, path: str, tracks: MakeTracks
) -> None:
    a, b, c, d = await add(client, path, ada, await tracks(4))
    for item, after, expected in [
        (d, None, [d, a, b, c]), (d, c, [a, b, c, d]), (a, b, [b, a, c, d]), (a, d, [b, c, d, a]),
        (c, b, [b, c, d, a]), (c, c, [b, c, d, a]), (b, None, [b, c, d, a]),
    ]:  # fmt: skip
        answer = await client.post(f"{path}/items/{item}/move", headers=ada, json={"after_item_id": after})
        assert answer.status_code == 200
        assert await order(client, path) == expected
    # Three of these moves changed nothing, and so did not count.
    assert answer.json()["revision"] == 6
    assert answer.headers["etag"] == '"6"'


async def test_removing_takes_one_item_or_every_occurrence(
    client: httpx.AsyncClient, ada: Headers, path: str, tracks: MakeTracks
) -> None:
    x, y = await tracks(2)
    items = await add(client, path, ada, [x, y, x, y, x])
    assert (await client.delete(f"{path}/items/{items[1]}", headers=ada)).status_code == 204
    assert await order(client, path) == [items[0], *items[2:]]
    assert (await client.delete(f"{path}/tracks/{x}", headers=ada)).status_code == 204
    assert await order(client, path) == [items[3]]
    assert (await client.get(path)).json()["item_count"] == 1
    for tail in (f"/items/{items[1]}", f"/tracks/{x}", f"/tracks/{new_id()}"):
        assert (await client.delete(path + tail, headers=ada)).status_code == 404
    assert (await client.get(path)).json()["revision"] == 4


async def test_others_may_not_touch_the_items(
    client: httpx.AsyncClient, ada: Headers, eve: Headers, path: str, tracks: MakeTracks
) -> None:
    ids = await tracks(1)
    (item,) = await add(client, path, ada, ids)
    answers = [
        await client.post(f"{path}/tracks", headers=eve, json={"track_ids": ids}),
        await client.delete(f"{path}/tracks/{ids[0]}", headers=eve),
        await client.delete(f"{path}/items/{item}", headers=eve),
        await client.post(f"{path}/items/{item}/move", headers=eve, json={"after_item_id": None}),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert await order(client, path) == [item]


async def test_every_item_write_honours_if_match(
    client: httpx.AsyncClient, ada: Headers, path: str, tracks: MakeTracks
) -> None:
    ids = await tracks(1)
    (item,) = await add(client, path, ada, ids)
    stale = {**ada, "if-match": '"1"'}
    answers = [
        await client.post(f"{path}/tracks", headers=stale, json={"track_ids": ids}),
        await client.delete(f"{path}/tracks/{ids[0]}", headers=stale),
        await client.delete(f"{path}/items/{item}", headers=stale),
        await client.post(f"{path}/items/{item}/move", headers=stale, json={"after_item_id": None}),
    ]
    assert [answer.status_code for answer in answers] == [412] * 4
    fresh = {**ada, "if-match": '"2"'}
    assert (await client.delete(f"{path}/items/{item}", headers=fresh)).status_code == 204


async def test_pages_join_without_gap_or_repeat(
    client: httpx.AsyncClient, ada: Headers, path: str, tracks: MakeTracks
) -> None:
    items = await add(client, path, ada, (await tracks(3)) * 3)
    for limit in (1, 2, 4, 9, 10):
        assert await order(client, path, limit=limit) == items


async def test_a_cursor_of_another_playlist_or_a_changed_one_is_refused(
    client: httpx.AsyncClient, ada: Headers, path: str, tracks: MakeTracks
) -> None:
    await add(client, path, ada, (await tracks(1)) * 2)
    cursor = (await client.get(f"{path}/items", params={"limit": 1})).json()["next_cursor"]
    other = (await client.post("/api/playlists", headers=ada, json={"title": "Other"})).json()["id"]
    answers = [
        await client.get(f"/api/playlists/{other}/items", headers=ada, params={"cursor": cursor}),
        await client.get(f"{path}/items", params={"cursor": cursor[:-1]}),
        await client.get(f"{path}/items", params={"cursor": "A" * 501}),
    ]
    assert [answer.status_code for answer in answers] == [422] * 3


async def test_a_bad_addition_is_refused(client: httpx.AsyncClient, ada: Headers, path: str) -> None:
    some = b'"018f0000-0000-7000-8000-000000000000"'
    bodies = [
        b"{}", b'{"track_ids": []}', b'{"track_ids": "x"}', b'{"track_ids": ["x"]}', b'{"track_ids": [1]}',
        b'{"track_ids": null}', b'{"tracks": []}', b'{"track_ids": [' + some + b'], "position": 3}',
        b'{"track_ids": [' + some + b'], "after_item_id": 3}',
        b'{"track_ids": [' + b",".join([some] * 101) + b"]}",
    ]  # fmt: skip
    for body in bodies:
        headers = {**ada, "content-type": "application/json"}
        answer = await client.post(f"{path}/tracks", headers=headers, content=body)
        assert answer.status_code == 422, body


async def test_a_move_must_say_where_to(client: httpx.AsyncClient, ada: Headers, path: str) -> None:
    for body in ({}, {"after_item_id": "x"}, {"after_item_id": None, "x": 1}, {"before": None}):
        answer = await client.post(f"{path}/items/{new_id()}/move", headers=ada, json=body)
        assert answer.status_code == 422
    assert (await client.delete(f"{path}/items/7", headers=ada)).status_code == 422
    answer = await client.post(
        f"{path}/tracks?on_duplicate=maybe", headers=ada, json={"track_ids": [str(new_id())]}
    )
    assert answer.status_code == 422


async def test_concurrent_additions_and_moves_lose_nothing(
    client: httpx.AsyncClient, ada: Headers, path: str, tracks: MakeTracks
) -> None:
    ids = await tracks(3)
    start = await add(client, path, ada, ids)

    async def grow(index: int) -> list[str]:
        return await add(client, path, ada, [ids[index % 3]], after_item_id=start[0])

    async def shuffle(index: int) -> None:
        body = {"after_item_id": start[index % 2]}
        answer = await client.post(f"{path}/items/{start[2]}/move", headers=ada, json=body)
        assert answer.status_code == 200

    grown, _ = await asyncio.gather(
        asyncio.gather(*(grow(index) for index in range(12))),
        asyncio.gather(*(shuffle(index) for index in range(12))),
    )
    final = await order(client, path)
    assert sorted(final) == sorted([*start, *(item for part in grown for item in part)])
    assert (await client.get(path)).json()["item_count"] == len(final) == 15
    assert final.index(start[0]) == 0
