"""What a killed process leaves behind, and what becomes of it; who is served next; how often a reader may fail."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import httpx
import pytest

from antiphon_common.blobs import BlobStore, open_blobs
from antiphon_common.bus import open_bus
from antiphon_common.clock import FixedClock, SystemClock
from antiphon_common.db import Database
from antiphon_common.db.migrations import differences
from antiphon_common.db.outbox import Relay
from antiphon_common.errors import Conflict, Unavailable
from antiphon_common.ids import new_id
from antiphon_common.logs import open_log
from antiphon_common.telemetry import Telemetry
from antiphon_common.testing.running import Recorder, eventually, running
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.file import UploadReady
from antiphon_file import queries, usecases
from antiphon_file.app import create_app
from antiphon_file.consumers.analysis import analyse_next
from antiphon_file.consumers.collection import Collector
from antiphon_file.consumers.watching import Watch
from antiphon_file.domain import (
    LEASE,
    MAX_CLAIMS,
    Analysis,
    AudioFacts,
    Form,
    Image,
    Picture,
    Quota,
    ReaderFailed,
    Said,
    Upload,
    audio_key,
)  # fmt: skip
from antiphon_file.ports import Deps, Limits, Unit
from antiphon_file.repository import unit_of_work
from antiphon_file.settings import Settings
from antiphon_file.tables import OUTBOX, Base

FACTS = AudioFacts("audio/mpeg", "mp3", 1, 1, 1, 1, None, None, "")
ROOM = Quota(size=300, files=100, images=100)
LOG = open_log("test", level="error", file=None)
WATCH = Watch(Telemetry("test"))


class Sound(Protocol):
    def __call__(self, kind: str, seconds: float = 1.0, **how: Any) -> Path: ...


class Store:
    """The database and blobs of a service that does not run."""

    def __init__(self, settings: Settings, clock: FixedClock) -> None:
        self.database = Database(settings.database_url)
        self.blobs = open_blobs(settings.blob_url)
        self.clock = clock
        relay = Relay(self.database, OUTBOX, open_bus("inproc:"), log=LOG)
        self.open_unit: Callable[[], AbstractAsyncContextManager[Unit]] = partial(
            unit_of_work, self.database, clock, relay, lambda: None
        )

    async def add(
        self, state: str = "analysing", *, owner: UUID | None = None, size: int = 10, content: bytes = b"x",
        lease: datetime | None = None, **values: Any,
    ) -> Upload:  # fmt: skip
        """An upload as some moment of its life left it, with its object."""
        now = self.clock.now()
        upload = Upload(
            new_id(),
            owner or new_id(),
            state,
            now,
            lease or now,
            size,
            sha256="0" * 64,
            **values,  # type: ignore[arg-type]
        )
        async with self.open_unit() as unit:
            await usecases.begin_upload(unit, upload, Quota(10**9, 10**6, 10**6))
        await put(self.blobs, audio_key(upload.id), content)
        return upload

    async def state(self, upload: Upload) -> str:
        async with self.open_unit() as unit:
            found = await unit.uploads.find(upload.id)
        return found.state if found else "gone"

    async def keys(self) -> set[str]:
        return {info.key async for info in self.blobs.list()}

    def collector(self) -> Collector:
        return Collector(self.database, self.blobs, self.clock, self.open_unit, seconds=9, log=LOG)

    def deps(self, reader: "FakeReader") -> Deps:
        limits = Limits(10**6, 10**6, ROOM)
        return Deps(
            self.database, self.open_unit, self.clock, self.blobs, reader, NoGallery(), limits, lambda: None
        )


async def put(blobs: BlobStore, key: str, content: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    await blobs.put(key, chunks())


class NoGallery:
    async def receive(self, owner_id: UUID, chunks: AsyncIterator[bytes]) -> Image:
        raise NotImplementedError

    async def keep_cover(self, owner_id: UUID, source_sha256: str, audio: Path) -> Image | None:
        return None


class FakeReader:
    """Fails as often as it is told to, then finds the same in every file."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.read: list[str] = []
        self.stuck = False
        self.outages = 0

    async def analyse(self, path: Path) -> Analysis:
        self.read.append(path.name)
        if self.stuck:
            await asyncio.Event().wait()
        if self.outages:
            self.outages -= 1
            raise Unavailable("blob_unavailable")
        if self.failures:
            self.failures -= 1
            raise ReaderFailed
        return Analysis(FACTS, Said(), None)

    async def embedded_cover(self, path: Path) -> Picture:
        raise NotImplementedError

    async def picture(self, path: Path) -> Picture:
        raise NotImplementedError


@pytest.fixture
async def store(settings: Settings, clock: FixedClock) -> AsyncIterator[Store]:
    store = Store(settings, clock)
    await store.blobs.start()
    yield store
    await store.database.stop()


async def test_after_a_kill_what_was_promised_goes_on_and_what_was_not_is_forgotten(
    settings: Settings, tokens: TokenMaker, sound: Sound
) -> None:
    store = Store(settings, SystemClock())  # type: ignore[arg-type]
    await store.blobs.start()
    owner, now = new_id(), datetime.now().astimezone()
    content = sound("mp3").read_bytes()
    promised = await store.add(
        owner=owner, content=content, size=len(content), lease=now - timedelta(seconds=1)
    )
    received = await store.add("receiving", owner=owner, lease=now - timedelta(seconds=1))
    alive = await store.add("receiving", owner=owner, lease=now + timedelta(hours=1), size=7)
    await put(store.blobs, audio_key(new_id()), b"an object without a row")
    await put(store.blobs, f"images/ab/{new_id()}/640", b"another")
    async with Recorder(settings.bus_url, UploadReady) as recorder, running(create_app(settings)) as client:
        (event,) = await recorder.wait_for(1, seconds=20)
        assert event.subject == promised.id

        async def rows() -> list[str]:
            return [upload["id"] for upload in (await _page(client, tokens, owner))["items"]]

        await eventually(rows, lambda found: found == [str(alive.id), str(promised.id)])
        await eventually(store.keys, lambda keys: keys == {audio_key(promised.id), audio_key(alive.id)})
        page = await _page(client, tokens, owner)
        assert (page["bytes_used"], page["files_used"]) == (len(content) + 7, 2)
    assert await store.state(received) == "gone"
    await store.database.stop()


async def _page(client: httpx.AsyncClient, tokens: TokenMaker, owner: UUID) -> dict[str, Any]:
    page: dict[str, Any] = (await client.get("/api/uploads", headers=tokens.bearer(owner))).json()
    return page


async def test_an_upload_that_somebody_works_on_is_left_alone_until_the_lease_runs_out(
    store: Store, clock: FixedClock
) -> None:
    await store.add()
    reader = FakeReader()
    deps = store.deps(reader)
    async with store.open_unit() as unit:
        assert await usecases.claim_upload(unit, clock.now()) is not None
    async with store.open_unit() as unit:
        assert await usecases.claim_upload(unit, clock.now()) is None
    assert not await analyse_next(deps, LOG, WATCH)
    clock.advance(LEASE)
    assert await analyse_next(deps, LOG, WATCH)
    assert len(reader.read) == 1


async def test_a_reader_that_breaks_once_is_asked_again(store: Store, clock: FixedClock) -> None:
    upload = await store.add()
    deps = store.deps(FakeReader(failures=1))
    assert await analyse_next(deps, LOG, WATCH)
    assert await store.state(upload) == "analysing"
    assert not await analyse_next(deps, LOG, WATCH)  # not at once
    clock.advance(timedelta(seconds=3))
    assert await analyse_next(deps, LOG, WATCH)
    assert await store.state(upload) == "ready"


async def test_a_file_that_breaks_the_reader_three_times_is_given_up_and_others_are_not_held_up(
    store: Store, clock: FixedClock
) -> None:
    poison, good = await store.add(), await store.add()
    deps = store.deps(FakeReader(failures=3))
    for _ in range(3):
        assert await analyse_next(deps, LOG, WATCH)
        clock.advance(timedelta(seconds=3))
        if await store.state(good) == "analysing":
            async with store.open_unit() as unit:  # what breaks is the poison, so it goes first each time
                await usecases.extend_upload(unit, good.id, clock.now() + timedelta(seconds=1))
    assert await store.state(poison) == "rejected"
    async with store.open_unit() as unit:
        found = await unit.uploads.find(poison.id)
    assert found is not None
    assert (found.reason, found.failures) == ("analysis_failed", 2)
    clock.advance(timedelta(seconds=3))
    assert await analyse_next(deps, LOG, WATCH)
    assert await store.state(good) == "ready"


async def test_a_file_that_always_ends_the_service_itself_is_given_up_in_the_end(
    store: Store, clock: FixedClock
) -> None:
    upload = await store.add(claims=MAX_CLAIMS)
    reader = FakeReader()
    assert not await analyse_next(store.deps(reader), LOG, WATCH)
    assert await store.state(upload) == "rejected"
    assert reader.read == []


async def test_a_row_whose_object_was_lost_does_not_wait_for_ever(store: Store, clock: FixedClock) -> None:
    upload = await store.add()
    await store.blobs.delete(audio_key(upload.id))
    for _ in range(3):
        await analyse_next(store.deps(FakeReader()), LOG, WATCH)
        clock.advance(timedelta(seconds=3))
    assert await store.state(upload) == "rejected"


async def test_an_analysis_that_is_stopped_is_put_back_and_begins_anew_at_once(
    store: Store, clock: FixedClock
) -> None:
    upload, reader = await store.add(), FakeReader()
    reader.stuck = True
    task = asyncio.create_task(analyse_next(store.deps(reader), LOG, WATCH))

    async def begun() -> bool:
        return bool(reader.read)

    await eventually(begun)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    reader.stuck = False
    assert await analyse_next(store.deps(reader), LOG, WATCH)
    assert await store.state(upload) == "ready"


async def test_an_outage_of_the_store_counts_against_no_file(store: Store, clock: FixedClock) -> None:
    upload, reader = await store.add(), FakeReader()
    reader.outages = MAX_CLAIMS + 5
    deps = store.deps(reader)
    for _ in range(reader.outages):
        with pytest.raises(Unavailable):
            await analyse_next(deps, LOG, WATCH)
        clock.advance(timedelta(seconds=6))
    assert await analyse_next(deps, LOG, WATCH)
    assert await store.state(upload) == "ready"


async def test_an_upload_deleted_while_it_is_read_stays_deleted(store: Store, clock: FixedClock) -> None:
    upload = await store.add()
    async with store.open_unit() as unit:
        assert await usecases.claim_upload(unit, clock.now())
        await usecases.abort_upload(unit, upload.id)  # only what is still being received is aborted
    assert await store.state(upload) == "analysing"
    async with store.open_unit() as unit:
        await unit.uploads.remove(upload.id)
        assert not await usecases.complete_upload(unit, upload.id, Analysis(FACTS, Said(), None), None)
    assert await store.state(upload) == "gone"


async def test_what_a_deleted_person_was_sending_goes_and_nothing_new_begins(store: Store) -> None:
    upload = await store.add("receiving")
    async with store.open_unit() as unit:
        await usecases.erase_owner(unit, AccountDeleted(subject=upload.owner_id, revision=2))
    with pytest.raises(Unavailable):
        async with store.open_unit() as unit:
            await usecases.finish_upload(
                unit, upload.id, size=1, sha256="0" * 64, filename=None, form=Form(), cover=None,
                now=store.clock.now(),
            )  # fmt: skip
    assert await store.state(upload) == "gone"
    with pytest.raises(Conflict):
        await store.add(owner=upload.owner_id)


async def test_whoever_sends_two_hundred_files_does_not_keep_others_waiting(
    store: Store, clock: FixedClock
) -> None:
    many, one = new_id(), new_id()
    for _ in range(10):
        await store.add(owner=many)
    last = await store.add(owner=one)
    reader = FakeReader()
    deps = store.deps(reader)
    for _ in range(2):
        clock.advance(timedelta(milliseconds=10))
        await analyse_next(deps, LOG, WATCH)
    assert str(last.id) in reader.read


async def test_of_twenty_at_once_exactly_as_many_get_room_as_fit(store: Store) -> None:
    owner, now = new_id(), store.clock.now()

    async def begin() -> bool:
        upload = Upload(new_id(), owner, "receiving", now, now, 100)
        try:
            async with store.open_unit() as unit:
                await usecases.begin_upload(unit, upload, ROOM)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(begin() for _ in range(20)))) == 3
    usage = await queries.my_usage(store.database, owner)
    assert (usage.bytes_used, usage.files_used) == (300, 3)


async def test_the_collector_deletes_what_has_no_row_and_nothing_else(store: Store) -> None:
    kept = [await store.add(), await store.add("receiving", lease=store.clock.now() + LEASE)]
    settled = await store.add("rejected")
    stray = audio_key(new_id())
    await put(store.blobs, stray, b"x")
    assert await store.collector().collect() == 2
    assert await store.keys() == {audio_key(upload.id) for upload in kept}
    assert await store.state(settled) == "rejected"


async def test_settled_uploads_are_forgotten_after_a_month(store: Store, clock: FixedClock) -> None:
    upload = await store.add("rejected", reason="empty")
    clock.advance(timedelta(days=29))
    await store.collector().collect()
    assert await store.state(upload) == "rejected"
    clock.advance(timedelta(days=2))
    await store.collector().collect()
    assert await store.state(upload) == "gone"


async def test_everything_ready_can_be_announced_again(store: Store, settings: Settings) -> None:
    ready = await store.add("ready", facts=FACTS, said=Said(title="T"), revision=4)
    await store.add()
    events = [event async for event in queries.current_events(store.database)]
    assert [(event.subject, event.revision, event.tags.title) for event in events] == [(ready.id, 4, "T")]
    assert isinstance(events[0], UploadReady)


async def test_the_models_and_the_migration_agree(settings: Settings) -> None:
    assert differences(Base.metadata, settings.database_url) == []
