"""Bodies on their way: withdrawn, hung up, stalled; and what the service holds meanwhile."""

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from antiphon_common.blobs import open_blobs
from antiphon_common.db.migrations import differences, downgrade, migrate
from antiphon_common.testing.running import Recorder, running
from antiphon_common.testing.tokens import TokenMaker
from antiphon_contracts.stream import AudioServed
from antiphon_stream.adapters.handles import Handles
from antiphon_stream.adapters.keys import FILE, BadSecret, KeyFile, read_keys
from antiphon_stream.app import create_app
from antiphon_stream.routes import audio as audio_routes
from antiphon_stream.settings import Settings
from antiphon_stream.tables import Base

Message = MutableMapping[str, Any]


class Listener:
    """One request, made by hand: takes messages only when told to, and can hang up."""

    def __init__(self, app: FastAPI, path: str, headers: dict[str, str]) -> None:
        self.messages: list[Message] = []
        self._gone = asyncio.Event()
        self._asked = False
        self._may_take = asyncio.Semaphore(0)
        self._taken = asyncio.Semaphore(0)
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1), "server": ("service", 80), "state": {},
        }  # fmt: skip
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def takes(self, count: int) -> None:
        for _ in range(count):
            self._may_take.release()
            await asyncio.wait_for(self._taken.acquire(), 5)

    async def hangs_up(self) -> None:
        self._gone.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self._may_take.acquire()
        self.messages.append(message)
        self._taken.release()


@pytest.fixture
async def path(client: httpx.AsyncClient, catalogue: Any) -> str:
    return f"/api/stream/{await catalogue.track()}"


async def test_a_body_is_sent_in_blocks_and_never_whole(
    app: FastAPI, path: str, tokens: TokenMaker, audio: bytes
) -> None:
    listener = Listener(app, path, tokens.bearer())
    await listener.takes(5)
    await listener.task
    sizes = [len(message["body"]) for message in listener.messages[1:]]
    assert sizes == [audio_routes.BLOCK] * 4
    assert listener.body == audio


async def test_a_track_withdrawn_in_the_middle_of_a_body_is_broken_off(
    app: FastAPI, path: str, tokens: TokenMaker, catalogue: Any
) -> None:
    listener = Listener(app, path, tokens.bearer())
    await listener.takes(2)
    await catalogue.track(UUID(path.rpartition("/")[2]), revision=2, status="withdrawn")
    # One block was on its way already; the next is not sent.
    await listener.takes(1)
    await asyncio.wait_for(listener.task, 5)
    assert len(listener.body) == 2 * audio_routes.BLOCK
    assert listener.messages[-1]["more_body"] is True


async def test_a_listener_who_hangs_up_gets_nothing_more_and_no_credit(
    app: FastAPI, path: str, tokens: TokenMaker, settings: Settings
) -> None:
    async with Recorder(settings.bus_url, AudioServed) as recorder:
        listener = Listener(app, path, tokens.bearer())
        await listener.takes(2)
        await listener.hangs_up()
        await listener.takes(1)
        await asyncio.wait_for(listener.task, 5)
        assert len(listener.body) < 3 * audio_routes.BLOCK
        other = Listener(app, path, tokens.bearer())
        await other.takes(5)
        await other.task
        (event,) = await recorder.wait_for(1)
    assert isinstance(event, AudioServed)
    assert event.served_ms >= 30_000


async def test_a_listener_who_takes_nothing_is_hung_up_on(
    settings: Settings, path: str, tokens: TokenMaker
) -> None:
    impatient = create_app(settings.model_copy(update={"stalled_seconds": 0.05}))
    async with running(impatient):
        listener = Listener(impatient, path, tokens.bearer())
        await listener.takes(2)
        await asyncio.wait_for(listener.task, 5)
    assert len(listener.body) == audio_routes.BLOCK


async def test_many_slow_listeners_hold_back_nobody(
    app: FastAPI, client: httpx.AsyncClient, path: str, tokens: TokenMaker
) -> None:
    headers = tokens.bearer()
    slow = [Listener(app, path, headers) for _ in range(300)]
    for listener in slow:
        await listener.takes(2)
    answer = await asyncio.wait_for(client.get(path, headers={**headers, "range": "bytes=0-9"}), 5)
    assert answer.status_code == 206
    for listener in slow:
        listener.task.cancel()
    await asyncio.gather(*(listener.task for listener in slow), return_exceptions=True)


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_open_files_are_bounded_shared_and_closed(tmp_path: Path) -> None:
    blobs = open_blobs(f"file://{tmp_path}")
    for number in range(6):
        (tmp_path / f"b{number}").write_bytes(b"x")
    before = _open_files()
    handles = Handles(blobs, most=3, idle_seconds=60)
    held = await handles.acquire("b0")
    assert (await handles.acquire("b0")) is held
    handles.release(held)
    for number in range(1, 6):
        handles.release(await handles.acquire(f"b{number}"))
    assert len(handles) == 3
    assert await held.blob.read(0, 1) == b"x"
    handles.release(held)
    await handles.stop()
    assert _open_files() == before


async def test_no_answer_keeps_a_file_in_use(
    app: FastAPI, client: httpx.AsyncClient, path: str, tokens: TokenMaker
) -> None:
    handles = app.state.deps.blobs
    finished = Listener(app, path, tokens.bearer())
    await finished.takes(5)
    await finished.task
    broken_off = Listener(app, path, tokens.bearer())
    await broken_off.takes(2)
    await broken_off.hangs_up()
    await broken_off.takes(1)
    await broken_off.task
    cancelled = Listener(app, path, tokens.bearer())
    await cancelled.takes(2)
    cancelled.task.cancel()
    await asyncio.gather(cancelled.task, return_exceptions=True)
    for headers in ({"range": "bytes=9999999-"}, {"if-match": '"x"'}, {"range": "bytes=0-5"}):
        await client.get(path, headers={**tokens.bearer(), **headers})
    await client.head(path, headers=tokens.bearer())
    assert [handle.users for handle in handles._open.values()] == [0]


async def test_an_idle_file_is_closed_when_the_next_one_is_opened(tmp_path: Path) -> None:
    blobs = open_blobs(f"file://{tmp_path}")
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x")
    handles = Handles(blobs, idle_seconds=0)
    handles.release(await handles.acquire("a"))
    second = await handles.acquire("b")
    assert len(handles) == 0
    assert await second.blob.read(0, 1) == b"x"
    handles.release(second)


def test_a_key_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    async def ring() -> object:
        keys = KeyFile(tmp_path / "s", create=True)
        await keys.start()
        return keys.ring

    first, second = asyncio.run(ring()), asyncio.run(ring())
    assert first == second
    assert (tmp_path / "s" / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k1",
        "k1 c2hvcnQ",
        "k1 " + "A" * 43,
        "k1 AQIDBAUGBwgJCgsMDQ4PEA",
        "K! " + "Ab1-" * 12,
        "k1 ***",
        "k1 {key}\nk1 {key}",
        "k1 {key}\nk2 {key}",
    ],
)
def test_a_weak_key_file_refuses_the_start(urls: dict[str, str], tmp_path: Path, text: str) -> None:
    good = "q83vEjRWeJqrze8SNFZ4mqvN7xI0VniaACTFDtsWGZk"
    (tmp_path / FILE).write_text(text.format(key=good))
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(BadSecret):
        read_keys(tmp_path / FILE)
    with pytest.raises(ValueError, match="secrets_dir"):
        Settings(**urls, secrets_dir=tmp_path)


def test_a_missing_or_readable_key_file_refuses_the_start(urls: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="missing"):
        Settings(**urls, secrets_dir=tmp_path)
    (tmp_path / FILE).write_text("k1 q83vEjRWeJqrze8SNFZ4mqvN7xI0VniaACTFDtsWGZk\n")
    (tmp_path / FILE).chmod(0o644)
    with pytest.raises(ValueError, match="others"):
        Settings(**urls, secrets_dir=tmp_path)
    (tmp_path / FILE).chmod(0o600)
    assert Settings(**urls, secrets_dir=tmp_path).secrets_dir == tmp_path


def test_the_migrations_make_what_the_models_say_and_can_be_taken_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/migrated.db"
    migrate("antiphon_stream", url)
    assert differences(Base.metadata, url) == []
    downgrade("antiphon_stream", url)
    migrate("antiphon_stream", url)
