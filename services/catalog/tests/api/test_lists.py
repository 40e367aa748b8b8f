"""Lists: what their parameters accept and refuse, and cursors that were not made by them."""

from collections.abc import Awaitable, Callable, Sequence

import httpx
import pytest

from antiphon_common.ids import new_id
from antiphon_common.pages import encode_cursor
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.event import Event
from antiphon_contracts.file import UploadReady

MakeUpload = Callable[..., UploadReady]
Tell = Callable[[Sequence[Event]], Awaitable[None]]

LISTS = [
    "/api/tracks", "/api/tracks/recent", "/api/tracks/popular", "/api/artists", "/api/albums", "/api/genres",
]  # fmt: skip


PAGES = [
    "limit=0", "limit=101", "limit=x", "limit=1&limit=2", "cursor=x", "cursor=", "cursor=%00", "cursor=AAAA",
    "cursor=" + "A" * 501, "limit=" + "9" * 40, "cursor=%ff", "cursor=%F0%9F%8E%B5",
]  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
async def test_every_list_refuses_bad_pages(client: httpx.AsyncClient, path: str) -> None:
    for query in PAGES:
        answer = await client.get(f"{path}?{query}")
        assert answer.status_code == 422, (query, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_tracks_refuse_bad_filters(client: httpx.AsyncClient) -> None:
    for query in (
        "sort=best", "genre=", "genre=" + "x" * 101, "artist_id=1", "album_id=x", "year_from=0", "year_to=3000",
        "year_from=19e2", "mine=perhaps",
    ):  # fmt: skip
        assert (await client.get(f"/api/tracks?{query}")).status_code == 422, query


async def test_popularity_of_a_period_is_refused_while_only_totals_are_counted(
    client: httpx.AsyncClient,
) -> None:
    for period in ("day", "week", "month", "year"):
        assert (await client.get(f"/api/tracks/popular?period={period}")).status_code == 422
    assert (await client.get("/api/tracks/popular?period=all")).status_code == 200


FORGED = [
    ("recent", "tracks:popular", (5, str(new_id()))),
    ("recent", "tracks:recent", (5, str(new_id()))),
    ("recent", "tracks:recent", ("yesterday", str(new_id()))),
    ("recent", "tracks:recent", ("2026-01-01T00:00:00", str(new_id()))),
    ("recent", "tracks:recent", ("2026-01-01T00:00:00+00:00", "no-id")),
    ("recent", "tracks:recent", ("0001-01-01T00:00:00+23:59", str(new_id()))),
    ("recent", "tracks:recent", ("9999-12-31T23:59:59-23:59", str(new_id()))),
    ("recent", "tracks:recent", ("x",)),
    ("recent", "tracks:recent", (None, None)),
    ("recent", "tracks:mine:recent", ("2026-01-01T00:00:00+00:00", str(new_id()))),
    ("popular", "tracks:popular", (2**63, str(new_id()))),
    ("popular", "tracks:popular", (2**64 - 1, str(new_id()))),
    ("popular", "tracks:popular", (-(2**63), str(new_id()))),
    ("popular", "tracks:popular", (True, str(new_id()))),
    ("popular", "tracks:popular", (1.5, str(new_id()))),
]


async def test_a_cursor_with_a_good_checksum_and_bad_values_is_refused(client: httpx.AsyncClient) -> None:
    for sort, scope, values in FORGED:
        params = {"sort": sort, "cursor": encode_cursor(scope, values)}
        answer = await client.get("/api/tracks", params=params)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor"), values


async def test_a_cursor_of_one_order_is_refused_by_another(
    client: httpx.AsyncClient, tokens: TokenMaker, tell: Tell, upload: MakeUpload
) -> None:
    owner = new_id()
    await tell([upload(owner, title=str(n)) for n in range(3)])
    cursor = (await client.get("/api/tracks?limit=1")).json()["next_cursor"]
    assert (await client.get("/api/tracks", params={"cursor": cursor})).status_code == 200
    for params in ({"sort": "popular"}, {"sort": "title"}):
        answer = await client.get("/api/tracks", params={**params, "cursor": cursor})
        assert answer.status_code == 422
    own = await client.get(
        "/api/tracks", params={"mine": "true", "cursor": cursor}, headers=tokens.bearer(owner)
    )
    assert own.status_code == 422
    changed = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    assert (await client.get("/api/tracks", params={"cursor": changed})).status_code == 422


async def _refuses_each_others_cursors(client: httpx.AsyncClient, *lists: httpx.URL) -> None:
    """Every one of these lists has a second page, and takes no cursor but its own."""
    cursors: dict[httpx.URL, str] = {}
    for one in lists:
        cursors[one] = (await client.get(one.copy_add_param("limit", "1"))).json()["next_cursor"]
        assert cursors[one], one
    for one in lists:
        for other, cursor in cursors.items():
            answer = await client.get(one.copy_add_param("cursor", cursor))
            assert answer.status_code == (200 if one == other else 422), (one, other)


async def test_a_cursor_of_a_list_with_other_filters_is_refused(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload
) -> None:
    owner = new_id()
    both = {"genres": ("Jazz", "Pop"), "release_date": "2005", "album": "One", "artists": ("Bob", "Eve")}
    await tell([upload(owner, title=str(n), **both) for n in range(3)])
    await tell(
        [upload(owner, title=str(n), **{**both, "album": "Two", "artists": ("Bob",)}) for n in range(3)]
    )
    bob = (await client.get("/api/artists?q=Bob")).json()["items"][0]["id"]
    eve = (await client.get("/api/artists?q=Eve")).json()["items"][0]["id"]
    one, two = (album["id"] for album in (await client.get("/api/albums")).json()["items"])
    queries = (
        "", "genre=jazz", "genre=pop", f"artist_id={bob}", f"artist_id={eve}", f"album_id={one}",
        f"album_id={two}", "year_from=2005", "year_to=2005", "year_from=2004", "genre=jazz&year_to=2005",
    )  # fmt: skip
    await _refuses_each_others_cursors(client, *(httpx.URL(f"/api/tracks?{query}") for query in queries))
    paths = [f"/api/albums/{album}/tracks" for album in (one, two)]
    await _refuses_each_others_cursors(client, *(httpx.URL(path) for path in paths))
    queries = ("", "genre=jazz", "genre=pop", "type=album")
    await _refuses_each_others_cursors(client, *(httpx.URL(f"/api/albums?{query}") for query in queries))
    first = (await client.get(f"/api/artists/{bob}/albums?limit=1")).json()["next_cursor"]
    assert (await client.get(f"/api/artists/{bob}/albums?cursor={first}")).status_code == 200
    assert (await client.get(f"/api/artists/{eve}/albums?cursor={first}")).status_code == 422
    named = (await client.get("/api/artists?limit=1")).json()["next_cursor"]
    assert (await client.get(f"/api/artists?cursor={named}")).status_code == 200
    assert (await client.get(f"/api/artists?q=e&cursor={named}")).status_code == 422


async def test_filters_narrow_a_list_and_combine(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload
) -> None:
    owner = new_id()
    await tell(
        [
            upload(owner, title="a", genres=("Jazz",), release_date="1999-01"),
            upload(owner, title="b", genres=("Jazz", "Pop"), release_date="2005"),
            upload(owner, title="c", genres=("Pop",), artists=("Bob",), album="One"),
        ]
    )
    tracks = {t["title"]: t for t in (await client.get("/api/tracks")).json()["items"]}
    ada, bob = tracks["a"]["artists"][0]["id"], tracks["c"]["artists"][0]["id"]
    for params, titles in [
        ({"genre": "JAZZ"}, "ab"), ({"genre": "pop"}, "bc"), ({"year_from": 2000}, "b"),
        ({"year_to": 2000}, "a"), ({"year_from": 1999, "year_to": 2005}, "ab"), ({"artist_id": ada}, "ab"),
        ({"artist_id": ada, "genre": "pop"}, "b"), ({"artist_id": bob, "genre": "jazz"}, ""),
        ({"album_id": tracks["c"]["album"]["id"]}, "c"), ({"album_id": str(new_id())}, ""),
        ({"genre": "none"}, ""), ({"genre": "jazz", "year_from": 2000, "artist_id": ada}, "b"),
        ({"album_id": tracks["c"]["album"]["id"], "artist_id": bob, "genre": "pop"}, "c"),
    ]:  # fmt: skip
        for sort in ("title", "recent", "popular", "most_liked"):
            answer = await client.get("/api/tracks", params={**params, "sort": sort})
            assert sorted(t["title"] for t in answer.json()["items"]) == sorted(titles), (params, sort)
    albums = (await client.get("/api/albums?genre=POP&type=album")).json()["items"]
    assert [a["title"] for a in albums] == ["One"]
    assert (await client.get("/api/albums?genre=jazz")).json()["items"] == []
    assert (await client.get("/api/albums?type=ep")).json()["items"] == []
