"""From `file.upload_ready` to a track that lists show, and to the events about it."""

from collections.abc import Awaitable, Callable, Sequence

import httpx

from antiphon_catalog.settings import Settings
from antiphon_common.ids import new_id
from antiphon_common.testing.running import Recorder
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.catalog import (
    AlbumChanged,
    AlbumDeleted,
    ArtistChanged,
    ArtistDeleted,
    TrackChanged,
    TrackDeleted,
)
from antiphon_contracts.event import Event
from antiphon_contracts.file import UploadDeleted, UploadReady
from antiphon_contracts.library import TrackLikesCounted, TrackPlaysCounted
from antiphon_contracts.user import ProfileChanged

MakeUpload = Callable[..., UploadReady]
Tell = Callable[[Sequence[Event]], Awaitable[None]]


async def test_a_tagged_upload_becomes_a_published_track(
    client: httpx.AsyncClient, settings: Settings, tell: Tell, upload: MakeUpload
) -> None:
    event = upload(
        title="Sång (feat. Eve)", artists=("Ada",), album="Écho", genres=("Jazz", "jazz", "Rock"),
        track_number=3, release_date="2024-05", explicit=True, cover_id=new_id(),
    )  # fmt: skip
    async with Recorder(settings.bus_url, TrackChanged, ArtistChanged, AlbumChanged) as recorder:
        await tell([event])
        events = await recorder.wait_for(4)
    (track,) = (await client.get("/api/tracks")).json()["items"]
    assert track["title"] == "Sång"
    assert [(a["name"], a["role"], a["join_phrase"]) for a in track["artists"]] == [
        ("Ada", "main", " feat. "), ("Eve", "featured", ""),
    ]  # fmt: skip
    assert (track["genres"], track["explicit"], track["track_number"]) == (["Jazz", "Rock"], True, 3)
    assert (track["status"], track["visibility"], track["revision"]) == ("published", "public", 1)
    assert track["cover"] == str(event.cover_id)
    assert (await client.get(f"/api/tracks/{track['id']}")).json() == track
    (changed,) = [e for e in events if isinstance(e, TrackChanged)]
    assert (str(changed.subject), changed.upload_id, changed.revision) == (track["id"], event.subject, 1)
    assert changed.audio == event.audio
    artists = [e for e in events if isinstance(e, ArtistChanged)]
    assert sorted((a.name, a.listed, a.revision) for a in artists) == [("Ada", True, 1), ("Eve", True, 1)]
    (album,) = [e for e in events if isinstance(e, AlbumChanged)]
    assert (album.title, album.listed, album.kind, album.cover_id) == ("Écho", True, "album", event.cover_id)
    assert [c.name for c in album.artists] == ["Ada"]


async def test_an_upload_without_title_or_artist_waits_as_a_draft(
    client: httpx.AsyncClient, tokens: TokenMaker, tell: Tell, upload: MakeUpload
) -> None:
    owner = new_id()
    await tell([upload(owner, artists=()), upload(owner, title=None)])
    assert (await client.get("/api/tracks")).json() == {"items": [], "next_cursor": None}
    mine = (await client.get("/api/tracks?mine=true", headers=tokens.bearer(owner))).json()["items"]
    assert [track["status"] for track in mine] == ["draft", "draft"]


async def test_an_upload_told_twice_or_in_parallel_is_one_track(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload
) -> None:
    event = upload(album="One")
    await tell([event] * 5)
    (track,) = (await client.get("/api/tracks")).json()["items"]
    assert track["revision"] == 1


async def test_an_upload_that_was_deleted_before_it_was_ready_stays_deleted(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload
) -> None:
    event = upload()
    await tell([UploadDeleted(subject=event.subject, revision=2, owner_id=event.owner_id), event, event])
    assert (await client.get("/api/tracks")).json()["items"] == []


async def test_the_last_track_takes_its_album_and_artist_along(
    client: httpx.AsyncClient, settings: Settings, tell: Tell, upload: MakeUpload
) -> None:
    owner = new_id()
    first, second = upload(owner, album="One"), upload(owner, album="One", title="Other")
    await tell([first, second])
    gone = [UploadDeleted(subject=e.subject, revision=2, owner_id=owner) for e in (first, second)]
    async with Recorder(settings.bus_url, TrackDeleted, AlbumDeleted, ArtistDeleted) as recorder:
        await tell(gone[:1])
        await recorder.wait_for(1)
        assert [e.type for e in recorder.events] == ["catalog.track_deleted"]
        await tell([*gone[1:], first, second])
        events = await recorder.wait_for(4)
    assert sorted(e.type for e in events) == [
        "catalog.album_deleted", "catalog.artist_deleted", "catalog.track_deleted", "catalog.track_deleted",
    ]  # fmt: skip
    assert all(e.revision >= 2 for e in events)
    assert (await client.get("/api/tracks")).json()["items"] == []


async def test_counts_are_absolute_and_older_ones_are_ignored(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload
) -> None:
    await tell([upload(genres=("Jazz",), album="One")])
    track_id = (await client.get("/api/tracks")).json()["items"][0]["id"]
    await tell(
        [
            TrackLikesCounted(subject=track_id, revision=5, like_count=4),
            TrackPlaysCounted(subject=track_id, revision=3, play_count=7),
            TrackLikesCounted(subject=track_id, revision=4, like_count=99),
            TrackPlaysCounted(subject=new_id(), revision=1, play_count=1),
        ]
    )
    track = (await client.get(f"/api/tracks/{track_id}")).json()
    assert (track["like_count"], track["play_count"], track["revision"]) == (4, 7, 1)


async def test_the_uploader_is_named_by_the_newest_profile(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload
) -> None:
    owner = new_id()
    await tell(
        [
            upload(owner), ProfileChanged(subject=owner, revision=2, name="Ada L."),
            ProfileChanged(subject=owner, revision=1, name="old"),
        ]
    )  # fmt: skip
    (track,) = (await client.get("/api/tracks")).json()["items"]
    assert track["uploader"] == {"id": str(owner), "name": "Ada L."}


async def test_a_deleted_account_takes_its_tracks_along_for_good(
    client: httpx.AsyncClient, settings: Settings, tell: Tell, upload: MakeUpload
) -> None:
    owner = new_id()
    kept = upload(title="kept")
    async with Recorder(settings.bus_url, TrackDeleted, AlbumDeleted, ArtistDeleted) as recorder:
        await tell([upload(owner, album="One"), kept, upload(owner, album_artist="Various", album="Two")])
        await tell([AccountDeleted(subject=owner, revision=9), upload(owner)])
        events = await recorder.wait_for(6)
    assert sorted(e.type for e in events).count("catalog.artist_deleted") == 2
    assert [t["title"] for t in (await client.get("/api/tracks")).json()["items"]] == ["kept"]


async def test_lying_and_excessive_tags_become_a_plain_track(
    client: httpx.AsyncClient, tell: Tell, upload: MakeUpload
) -> None:
    event = upload(
        title="x" * 5000, artists=("A\x00\x07\u202e" + "y" * 5000, "\ufdfa" * 300), album="\x01\x02", album_artist="\n",
        track_number=10**12, disc_number=-1, release_date="soon", genres=("", "\x00", *map(str, range(40))),
    )  # fmt: skip
    await tell([event])
    (track,) = (await client.get("/api/tracks")).json()["items"]
    assert track["title"] == "x" * 300
    assert track["artists"][0]["name"] == "A" + "y" * 299
    assert (track["album"], track["track_number"], track["disc_number"]) == (None, None, None)
    assert (track["release_date"], track["genres"]) == (None, [str(n) for n in range(10)])
