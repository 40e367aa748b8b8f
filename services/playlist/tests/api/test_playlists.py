"""Playlists over HTTP: making, reading, changing and deleting them, and who may."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from antiphon_common.ids import new_id
from antiphon_common.testing.running import Recorder
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_contracts.user import ProfileChanged
from antiphon_playlist.settings import Settings

Headers = dict[str, str]


@pytest.fixture
def ada(tokens: TokenMaker) -> Headers:
    return tokens.bearer()


@pytest.fixture
def eve(tokens: TokenMaker) -> Headers:
    return tokens.bearer()


@pytest.fixture
def root(tokens: TokenMaker) -> Headers:
    return tokens.bearer(roles=("admin",))


async def make(client: httpx.AsyncClient, headers: Headers, **fields: object) -> dict[str, object]:
    answer = await client.post("/api/playlists", headers=headers, json={"title": "Mix", **fields})
    assert answer.status_code == 201, answer.text
    body: dict[str, object] = answer.json()
    return body


async def titles(client: httpx.AsyncClient, path: str, headers: Headers, *, limit: int = 2) -> list[str]:
    """All titles of a list, page by page."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(path, headers=headers, params={"limit": limit, **cursor})
        assert answer.status_code == 200, answer.text
        found += [item["title"] for item in answer.json()["items"]]
        if answer.json()["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json()["next_cursor"]}


async def test_a_new_playlist_is_private_empty_and_announced(
    client: httpx.AsyncClient, settings: Settings, ada: Headers
) -> None:
    async with Recorder(settings.bus_url, PlaylistChanged) as recorder:
        answer = await client.post("/api/playlists", headers=ada, json={"title": "  Mix  "})
        events = await recorder.wait_for(1)
    made = answer.json()
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert (made["title"], made["visibility"], made["item_count"]) == ("Mix", "private", 0)
    event = events[0]
    assert isinstance(event, PlaylistChanged)
    assert (str(event.subject), event.revision, event.item_count) == (made["id"], 1, 0)


async def test_who_may_read_depends_on_the_visibility(
    client: httpx.AsyncClient, ada: Headers, eve: Headers, root: Headers
) -> None:
    expected = {
        "private": {"owner": 200, "other": 404, "admin": 200, "nobody": 404},
        "unlisted": {"owner": 200, "other": 200, "admin": 200, "nobody": 200},
        "public": {"owner": 200, "other": 200, "admin": 200, "nobody": 200},
    }
    for visibility, statuses in expected.items():
        made = await make(client, ada, visibility=visibility)
        for path in (f"/api/playlists/{made['id']}", f"/api/playlists/{made['id']}/items"):
            for who, headers in (("owner", ada), ("other", eve), ("admin", root), ("nobody", {})):
                answer = await client.get(path, headers=headers)
                assert answer.status_code == statuses[who], (visibility, who, path)


async def test_a_hidden_playlist_answers_like_one_that_never_was(
    client: httpx.AsyncClient, ada: Headers, eve: Headers
) -> None:
    hidden, unknown = (await make(client, ada))["id"], new_id()
    requests: list[tuple[str, str, dict[str, object] | None]] = [
        ("GET", "", None), ("GET", "/items", None), ("PATCH", "", {"title": "x"}), ("DELETE", "", None),
        ("POST", "/tracks", {"track_ids": [str(new_id())]}), ("DELETE", f"/tracks/{new_id()}", None),
        ("DELETE", f"/items/{new_id()}", None), ("POST", f"/items/{new_id()}/move", {"after_item_id": None}),
    ]  # fmt: skip
    for method, tail, body in requests:
        answers = []
        for playlist_id in (hidden, unknown):
            path = f"/api/playlists/{playlist_id}{tail}"
            answer = await client.request(method, path, headers=eve, json=body)
            problem = answer.json()
            answers.append((answer.status_code, problem["code"], problem["detail"], sorted(problem)))
        assert answers[0] == answers[1]
        assert answers[0][0] == 404


async def test_only_the_owner_changes_a_playlist_that_others_may_read(
    client: httpx.AsyncClient, ada: Headers, eve: Headers, root: Headers
) -> None:
    path = f"/api/playlists/{(await make(client, ada, visibility='public'))['id']}"
    for headers in (eve, root):
        answer = await client.patch(path, headers=headers, json={"title": "Stolen"})
        assert (answer.status_code, answer.json()["code"]) == (403, "not_your_playlist")
    assert (await client.delete(path, headers=eve)).status_code == 403
    assert (await client.get(path)).json()["title"] == "Mix"
    assert (await client.delete(path, headers=root)).status_code == 204
    assert (await client.get(path, headers=ada)).status_code == 404


async def test_a_patch_changes_only_what_it_names(client: httpx.AsyncClient, ada: Headers) -> None:
    made = await make(client, ada, description="Slow", cover=str(new_id()))
    path = f"/api/playlists/{made['id']}"
    answer = await client.patch(path, headers=ada, json={"title": "Other"})
    assert (answer.json()["title"], answer.json()["description"]) == ("Other", "Slow")
    answer = await client.put(path, headers=ada, json={"description": None, "cover": None})
    assert (answer.json()["description"], answer.json()["cover"]) == (None, None)
    assert (answer.json()["title"], answer.json()["revision"]) == ("Other", 3)
    assert (await client.patch(path, headers=ada, json={"title": "Other"})).json()["revision"] == 3


@pytest.mark.parametrize(
    ("if_match", "status"),
    [('"1"', 200), ("*", 200), ('"9", "1"', 200), ('"2"', 412), ('W/"1"', 412), ("1", 412), ("", 412)],
)
async def test_a_write_with_if_match_needs_the_present_revision(
    client: httpx.AsyncClient, ada: Headers, if_match: str, status: int
) -> None:
    path = f"/api/playlists/{(await make(client, ada))['id']}"
    answer = await client.patch(path, headers={**ada, "if-match": if_match}, json={"title": "New"})
    assert answer.status_code == status
    assert (await client.get(path, headers=ada)).json()["title"] == ("New" if status == 200 else "Mix")


async def test_a_stale_delete_deletes_nothing(client: httpx.AsyncClient, ada: Headers) -> None:
    path = f"/api/playlists/{(await make(client, ada))['id']}"
    stale = await client.delete(path, headers={**ada, "if-match": '"7"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_revision")
    assert (await client.delete(path, headers={**ada, "if-match": '"1"'})).status_code == 204


async def test_a_deleted_playlist_is_gone_and_announced(
    client: httpx.AsyncClient, settings: Settings, ada: Headers
) -> None:
    made = await make(client, ada)
    async with Recorder(settings.bus_url, PlaylistDeleted) as recorder:
        assert (await client.delete(f"/api/playlists/{made['id']}", headers=ada)).status_code == 204
        events = await recorder.wait_for(1)
    assert (str(events[0].subject), events[0].revision) == (made["id"], 2)
    assert (await client.get(f"/api/playlists/{made['id']}", headers=ada)).status_code == 404
    assert (await client.delete(f"/api/playlists/{made['id']}", headers=ada)).status_code == 404


async def test_my_list_is_mine_alone_and_newest_first(
    client: httpx.AsyncClient, ada: Headers, eve: Headers
) -> None:
    for title in ("one", "two", "three", "four", "five"):
        await make(client, ada, title=title)
    await make(client, eve, title="eve's", visibility="public")
    assert await titles(client, "/api/playlists", ada) == ["five", "four", "three", "two", "one"]
    assert await titles(client, "/api/playlists", eve) == ["eve's"]


async def test_the_public_list_holds_public_playlists_only(
    client: httpx.AsyncClient, ada: Headers, eve: Headers
) -> None:
    for title, visibility in [
        ("b", "public"),
        ("A", "public"),
        ("x", "private"),
        ("y", "unlisted"),
        ("a", "public"),
    ]:
        await make(client, ada, title=title, visibility=visibility)
    for headers in (ada, eve, {}):
        assert await titles(client, "/api/playlists/public", headers) == ["a", "A", "b"]
        assert await titles(client, "/api/playlists/public?sort=recent", headers) == ["a", "A", "b"]
    await make(client, eve, title="Ж", visibility="public")
    by_title = []
    cursor: dict[str, str] = {}
    while True:
        params = {"sort": "title", "limit": "1", **cursor}
        page = (await client.get("/api/playlists/public", params=params)).json()
        by_title += [item["title"] for item in page["items"]]
        if not page["next_cursor"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert by_title == ["A", "a", "b", "Ж"]


async def test_a_playlist_that_becomes_private_leaves_the_public_list(
    client: httpx.AsyncClient, ada: Headers
) -> None:
    made = await make(client, ada, visibility="public")
    await client.patch(f"/api/playlists/{made['id']}", headers=ada, json={"visibility": "private"})
    assert await titles(client, "/api/playlists/public", {}) == []


async def test_a_cursor_is_refused_when_it_was_changed_or_comes_from_another_list(
    client: httpx.AsyncClient, ada: Headers
) -> None:
    for title in ("one", "two"):
        await make(client, ada, title=title, visibility="public")
    page = (await client.get("/api/playlists", headers=ada, params={"limit": 1})).json()
    good = page["next_cursor"]
    for bad in (good[:-2] + "AA", good[1:], "x", "", "ä"):
        answer = await client.get("/api/playlists", headers=ada, params={"cursor": bad})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor"), bad
    for sort in ("recent", "title"):
        answer = await client.get("/api/playlists/public", params={"cursor": good, "sort": sort})
        assert answer.status_code == 422


async def test_a_bad_playlist_is_refused_and_nothing_is_made(client: httpx.AsyncClient, ada: Headers) -> None:
    bodies = [
        b"{}", b'{"title": ""}', b'{"title": "  "}', b'{"title": 7}', b'{"title": "a\\u0000b"}',
        b'{"title": "\\ud800"}', b'{"title": "a\\nb"}', b'{"title": "x", "visibility": "secret"}',
        b'{"title": "x", "owner_id": "018f0000-0000-7000-8000-000000000000"}', b'{"title": null}', b"[]",
        b'{"title": "x", "item_count": 5}', b'{"title": "x", "revision": 5}', b'"x"',
        b'{"title": "x", "cover": "no-uuid"}', b'{"title": "' + b"x" * 301 + b'"}',
        b'{"title": "x", "description": "' + b"x" * 4001 + b'"}',
    ]  # fmt: skip
    for body in bodies:
        headers = {**ada, "content-type": "application/json"}
        answer = await client.post("/api/playlists", headers=headers, content=body)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), body
    assert (await client.get("/api/playlists", headers=ada)).json()["items"] == []


@pytest.mark.parametrize("path", ["/api/playlists/1", "/api/playlists/x/items", "/api/playlists/%00"])
async def test_an_id_that_is_no_uuid_is_refused(client: httpx.AsyncClient, ada: Headers, path: str) -> None:
    assert (await client.get(path, headers=ada)).status_code == 422


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "sort=popular", "limit=1&limit=2"])
async def test_a_bad_query_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/api/playlists/public?{query}")).status_code == 422


async def test_writing_and_my_list_need_a_good_token(client: httpx.AsyncClient) -> None:
    some = new_id()
    for method, path in [
        ("GET", "/api/playlists"), ("POST", "/api/playlists"), ("PATCH", f"/api/playlists/{some}"),
        ("DELETE", f"/api/playlists/{some}"), ("POST", f"/api/playlists/{some}/tracks"),
        ("DELETE", f"/api/playlists/{some}/tracks/{some}"), ("DELETE", f"/api/playlists/{some}/items/{some}"),
        ("POST", f"/api/playlists/{some}/items/{some}/move"),
    ]:  # fmt: skip
        answer = await client.request(method, path)
        assert answer.status_code == 401, path
    answer = await client.get("/api/playlists/public", headers={"authorization": "Bearer nonsense"})
    assert answer.status_code == 401


async def test_the_owner_has_a_name_as_soon_as_user_said_it(
    client: httpx.AsyncClient, tokens: TokenMaker, say: Callable[..., Awaitable[None]]
) -> None:
    user_id = new_id()
    made = await make(client, tokens.bearer(user_id), visibility="public")
    assert made["owner"] == {"id": str(user_id), "name": None}
    newest = ProfileChanged(subject=user_id, revision=3, name="Ada L.")
    await say(newest, newest, ProfileChanged(subject=user_id, revision=2, name="Ada"))
    owner = (await client.get(f"/api/playlists/{made['id']}")).json()["owner"]
    assert owner == {"id": str(user_id), "name": "Ada L."}
