"""The two blob stores: the contract of every store, and what the file store promises of bad moments."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from antiphon_common.blobs import BlobStore, finished, open_blobs
from antiphon_common.blobs.file import FileBlobs
from antiphon_common.errors import Unavailable
from antiphon_common.testing.suites.blobs import LARGE, BlobsSuite, chunks, content, keys

STORES = """
import asyncio, sys
from antiphon_common.blobs import open_blobs

async def body():
    for _ in range(64):
        yield b"x" * 65536

async def main():
    store = open_blobs(sys.argv[1])
    await store.start()
    number = 0
    while True:
        await store.put(f"a{number % 3}/{number}", body())
        number += 1
        print(number, flush=True)

asyncio.run(main())
"""


class TestFileBlobs(BlobsSuite):
    @pytest.fixture
    def blob_url(self, tmp_path: Path) -> str:
        return f"file://{tmp_path}/blo%20bs"


class TestMemoryBlobs(BlobsSuite):
    @pytest.fixture
    def blob_url(self) -> str:
        return "memory:"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BlobStore]:
    store = open_blobs(f"file://{tmp_path}/blobs")
    await store.start()
    yield store
    await store.stop()


def incoming(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "blobs" / ".incoming").iterdir())


async def test_a_killed_process_leaves_whole_objects_and_at_most_one_leftover(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/blobs"
    with subprocess.Popen([sys.executable, "-c", STORES, url], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        for _ in range(5):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        stored = 5 + len(child.stdout.read().split())
    store = open_blobs(url)
    await store.start()
    sizes = {info.key: info.size async for info in store.list()}
    assert len(sizes) in (stored, stored + 1)
    assert set(sizes.values()) == {64 * 65536}
    assert len(incoming(tmp_path)) <= 1


async def test_a_leftover_is_removed_at_the_next_start_once_it_is_an_hour_old(tmp_path: Path) -> None:
    store = open_blobs(f"file://{tmp_path}/blobs")
    await store.start()
    folder = tmp_path / "blobs" / ".incoming"
    for name, age in (("old", 3700), ("new", 60)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - age,) * 2)
    await store.start()
    assert [path.name for path in incoming(tmp_path)] == ["new"]


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond a mebibyte: the kernel refuses, as a full disk would."""
    before, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, action)


async def test_a_full_disk_is_unavailable_and_leaves_nothing(
    store: BlobStore, tmp_path: Path, full_disk: None
) -> None:
    with pytest.raises(Unavailable):
        await store.put("large", chunks(LARGE))
    assert (await keys(store), incoming(tmp_path)) == ([], [])
    await store.put("small", chunks(b"x"))
    assert await content(store, "small") == b"x"


async def test_a_directory_that_cannot_be_written_is_unavailable(store: BlobStore, tmp_path: Path) -> None:
    await store.put("a", chunks(b"x"))
    # Even root cannot make a file below a file, as nobody can on a read-only disk.
    folder = tmp_path / "blobs" / ".incoming"
    folder.rmdir()
    folder.write_bytes(b"")
    with pytest.raises(Unavailable):
        await store.put("b", chunks(b"y"))
    assert await content(store, "a") == b"x"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
async def test_a_read_only_disk_is_unavailable_for_changes_and_read_all_the_same(tmp_path: Path) -> None:
    script = f"""
mount -t tmpfs -o size=4m none {tmp_path} && mkdir {tmp_path}/blobs && exec {sys.executable} -c '
import asyncio, subprocess
from antiphon_common.blobs import open_blobs
from antiphon_common.errors import Unavailable
from antiphon_common.testing.suites.blobs import chunks, content

async def refused(call):
    try:
        await call
    except Unavailable:
        return
    raise SystemExit("not refused")

async def main():
    store = open_blobs("file://{tmp_path}/blobs")
    await store.start()
    await store.put("a", chunks(b"x"))
    await refused(store.put("b", chunks(*[b"y" * 1000000] * 8)))
    await store.put("c", chunks(b"y"))
    subprocess.run(["mount", "-o", "remount,ro", "{tmp_path}"], check=True)
    await refused(store.put("d", chunks(b"y")))
    await refused(store.delete("a"))
    await refused(store.ping())
    assert await content(store, "a") == b"x"
    print("done")

asyncio.run(main())
'"""
    command = ["unshare", "--mount", "bash", "-c", script]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    if "permitted" in ended.stderr or "denied" in ended.stderr:
        pytest.skip("mounting is not allowed here")
    assert ended.stdout == "done\n", ended.stderr


async def test_a_missing_directory_is_not_ready(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await open_blobs(f"file://{tmp_path}/nowhere").ping()


async def test_a_cancelled_write_keeps_its_file_open_until_its_thread_is_done(tmp_path: Path) -> None:
    """A descriptor closed before that belongs to the next file, and so do the bytes."""
    victim, begun, gate = tmp_path / "victim", threading.Event(), threading.Event()
    file = (tmp_path / "own").open("wb", buffering=0)

    def write_later(descriptor: int) -> None:
        begun.set()
        gate.wait()
        os.write(descriptor, b"mine")

    async def put() -> None:
        with file:
            await finished(asyncio.to_thread(write_later, file.fileno()))

    task = asyncio.create_task(put())
    await asyncio.to_thread(begun.wait)
    for _ in range(2):
        task.cancel()
        await asyncio.wait([task], timeout=0.02)
    with victim.open("wb", buffering=0):
        gate.set()
        await asyncio.wait([task])
        await asyncio.to_thread(bool)
    assert task.cancelled()
    assert (victim.read_bytes(), (tmp_path / "own").read_bytes()) == (b"", b"mine")


async def test_a_store_of_many_objects_is_listed_in_steps_that_survive_deletions(tmp_path: Path) -> None:
    store = FileBlobs(f"file://{tmp_path}")
    for number in range(1500):
        (tmp_path / f"{number}").touch()
    assert len([info async for info in store.list()]) == 1500
    listing = aiter(store.list())
    await anext(listing)
    for number in range(1500):
        (tmp_path / f"{number}").unlink()
    assert len([info async for info in listing]) == 999
