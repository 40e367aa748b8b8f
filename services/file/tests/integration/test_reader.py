"""The reading children: what they do, what they may not, and that their deaths harm nobody."""

import asyncio
import json
import os
import signal
import struct
import threading
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest
import uvloop

from antiphon_common.testing.running import eventually
from antiphon_file.adapters.pool import Bounds, ChildDied, ReaderPool, TookTooLong
from antiphon_file.adapters.reader import ChildReader
from antiphon_file.domain import ReaderFailed, Refused

pytestmark = pytest.mark.once("embedded")

BOUNDS = Bounds(cpu_seconds=20, wall_seconds=30)


class Sound(Protocol):
    def __call__(self, kind: str, seconds: float = 1.0, **how: Any) -> Path: ...


@pytest.fixture
async def pool() -> AsyncIterator[ReaderPool]:
    pool = ReaderPool(size=2)
    yield pool
    await pool.stop()


@pytest.fixture
def reader(pool: ReaderPool) -> ChildReader:
    return ChildReader(pool, max_seconds=3600)


@pytest.fixture
def stuck(tmp_path: Path) -> Path:
    """A file that no reader ever gets to the end of: a pipe without a writer."""
    path = tmp_path / "stuck"
    os.mkfifo(path)
    return path


async def pids(pool: ReaderPool, count: int) -> list[int]:
    async def now() -> list[int]:
        return pool.pids

    return await eventually(now, lambda found: len(found) == count)


async def test_files_are_read_by_children_that_are_used_again(
    pool: ReaderPool, reader: ChildReader, sound: Sound
) -> None:
    first = await reader.analyse(sound("mp3"))
    children = pool.pids
    second = await reader.analyse(sound("flac"))
    assert (first.facts.codec, second.facts.codec) == ("mp3", "flac")
    assert pool.pids == children


async def test_no_more_children_live_than_there_are_places(
    pool: ReaderPool, reader: ChildReader, sound: Sound
) -> None:
    await asyncio.gather(*(reader.analyse(sound("opus", 0.3)) for _ in range(8)))
    assert len(pool.pids) <= 2


async def test_a_verdict_reaches_the_caller_by_its_code(reader: ChildReader, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello" * 100)
    with pytest.raises(Refused) as refused:
        await reader.analyse(tmp_path / "x")
    assert refused.value.reason == "not_audio"


async def test_a_child_that_is_killed_takes_only_its_own_job(
    pool: ReaderPool, reader: ChildReader, sound: Sound, stuck: Path
) -> None:
    doomed = asyncio.create_task(reader.analyse(stuck))
    (child,) = await pids(pool, 1)
    other = asyncio.create_task(reader.analyse(sound("mp3")))
    os.kill(child, signal.SIGKILL)
    with pytest.raises(ReaderFailed):
        await doomed
    assert (await other).facts.codec == "mp3"
    assert (await reader.analyse(sound("flac"))).facts.codec == "flac"
    assert child not in pool.pids


async def test_a_child_that_hangs_is_killed_when_its_time_is_up(
    pool: ReaderPool, stuck: Path, sound: Sound
) -> None:
    job = {"job": "analyse", "path": str(stuck), "max_seconds": 60}
    with pytest.raises(TookTooLong):
        await pool.run(job, Bounds(cpu_seconds=5, wall_seconds=1.0))
    assert pool.pids == []
    answer, _ = await pool.run({**job, "path": str(sound("mp3"))}, BOUNDS)
    assert "done" in answer


async def test_a_job_that_uses_up_its_processor_time_is_refused(pool: ReaderPool, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"  # an hour of silence, and a file system that knows how to store it
    size = 44_100 * 4 * 3600
    form = struct.pack("<HHIIHH", 1, 2, 44_100, 176_400, 4, 16)
    head = (
        b"RIFF"
        + struct.pack("<I", size + 36)
        + b"WAVEfmt \x10\0\0\0"
        + form
        + b"data"
        + struct.pack("<I", size)
    )
    path.write_bytes(head)
    os.truncate(path, size + len(head))
    job = {"job": "analyse", "path": str(path), "max_seconds": 7200}
    with pytest.raises(TookTooLong):
        await pool.run(job, Bounds(cpu_seconds=0, wall_seconds=60))


async def test_a_job_that_is_cancelled_leaves_no_child_behind_it(pool: ReaderPool, stuck: Path) -> None:
    task = asyncio.create_task(pool.run({"job": "analyse", "path": str(stuck), "max_seconds": 9}, BOUNDS))
    (child,) = await pids(pool, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await pool.stop()
    assert not psutil.pid_exists(child)


async def test_idle_children_end_by_themselves(sound: Sound) -> None:
    pool = ReaderPool(size=1, idle_seconds=0.05)
    await pool.run({"job": "analyse", "path": str(sound("mp3")), "max_seconds": 9}, BOUNDS)
    await pids(pool, 0)
    await pool.stop()


async def test_a_child_ends_when_the_service_is_gone(pool: ReaderPool, sound: Sound) -> None:
    await pool.run({"job": "analyse", "path": str(sound("mp3")), "max_seconds": 9}, BOUNDS)
    process = psutil.Process(pool.pids[0])
    (child,) = pool._all
    child.sink.close()  # what the kernel does when the service is killed
    await asyncio.to_thread(process.wait, 10)
    with pytest.raises(ChildDied):
        await pool.run({"job": "analyse", "path": "x", "max_seconds": 9}, BOUNDS)


async def test_children_hold_no_secret_and_may_not_write_or_grow(
    pool: ReaderPool, sound: Sound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILE_DATABASE_URL", "postgresql://file:hunter2@db/antiphon")
    await pool.run({"job": "analyse", "path": str(sound("mp3")), "max_seconds": 9}, BOUNDS)
    child = psutil.Process(pool.pids[0])
    assert "hunter2" not in str(child.environ())
    assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert child.rlimit(psutil.RLIMIT_DATA)[1] == 512 * 1024 * 1024
    assert child.rlimit(psutil.RLIMIT_CPU)[0] < 60


async def test_a_tag_bomb_is_refused_while_memory_stays_flat(reader: ChildReader, sound: Sound) -> None:
    packer = zlib.compressobj(9)
    packed = (
        packer.compress(b"\x03")
        + b"".join(packer.compress(b"A" * 1_000_000) for _ in range(200))
        + packer.flush()
    )

    def syncsafe(number: int) -> bytes:
        return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))

    body = syncsafe(200_000_001) + packed
    frame = b"TIT2" + syncsafe(len(body)) + b"\x00\x09" + body
    path = sound("mp3")
    path.write_bytes(b"ID3\x04\x00\x00" + syncsafe(len(frame)) + frame + path.read_bytes())
    assert path.stat().st_size < 250_000
    before = psutil.Process().memory_info().rss
    with pytest.raises(Refused) as refused:
        await reader.analyse(path)
    assert refused.value.reason == "tag_bomb"
    assert psutil.Process().memory_info().rss - before < 16 * 1024 * 1024


async def test_a_four_minute_track_costs_well_under_three_seconds(
    pool: ReaderPool, reader: ChildReader, sound: Sound
) -> None:
    piece = sound("mp3", 10.0)
    await reader.analyse(piece)  # the child is up
    path = piece.with_suffix(".whole")
    path.write_bytes(piece.read_bytes() * 24)
    child = psutil.Process(pool.pids[0])
    before, here = child.cpu_times().user, time.process_time()
    assert (await reader.analyse(path)).facts.duration_ms == pytest.approx(240_000, rel=0.01)
    assert child.cpu_times().user - before < 3.0
    assert time.process_time() - here < 0.1  # and nothing of it happened here


def test_children_start_under_uvloop_while_threads_are_busy(sound: Sound) -> None:
    # The loop's own way of starting processes froze the whole service here now and then: see `_start`.
    path, busy = str(sound("mp3", 0.1)), threading.Event()

    async def start_many() -> None:
        for _ in range(3):
            pool = ReaderPool(size=2)
            job = {"job": "analyse", "path": path, "max_seconds": 9}
            answers = await asyncio.gather(pool.run(job, BOUNDS), pool.run(job, BOUNDS))
            assert all("done" in answer for answer, _ in answers)
            await pool.stop()

    def work() -> None:
        while not busy.is_set():
            json.dumps(list(range(100)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        uvloop.run(start_many())
    finally:
        busy.set()
