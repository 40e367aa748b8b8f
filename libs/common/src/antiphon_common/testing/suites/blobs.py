"""What every blob store does. The subclass gives `blob_url`, the address of an empty store."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from antiphon_common.blobs import BlobStore, open_blobs
from antiphon_common.errors import Conflict, NotFound, ServiceError

LARGE = hashlib.shake_256(b"blobs").digest(3 * 1024 * 1024 + 17)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """A body that arrives in these parts."""
    for part in parts:
        yield part


async def broken(error: BaseException, *parts: bytes) -> AsyncIterator[bytes]:
    """A body that ends with an error."""
    for part in parts:
        yield part
    raise error


async def keys(store: BlobStore, prefix: str = "") -> list[str]:
    """What is stored, in order."""
    return sorted([info.key async for info in store.list(prefix)])


async def content(store: BlobStore, key: str) -> bytes:
    """All bytes of an object."""
    blob = await store.open(key)
    try:
        return await blob.read(0, blob.size)
    finally:
        blob.close()


class BlobsSuite:
    """Subclass it and define the fixture `blob_url`."""

    @pytest.fixture
    async def store(self, blob_url: str) -> AsyncIterator[BlobStore]:
        store = open_blobs(blob_url)
        await store.start()
        yield store
        await store.stop()

    async def test_an_object_is_read_as_it_was_stored(self, store: BlobStore) -> None:
        size = await store.put("audio/ab/one.flac", chunks(LARGE[:1000], b"", LARGE[1000:]))
        assert size == len(LARGE)
        assert await content(store, "audio/ab/one.flac") == LARGE

    async def test_an_empty_object_is_an_object(self, store: BlobStore) -> None:
        assert await store.put("empty", chunks()) == 0
        assert await content(store, "empty") == b""

    async def test_any_part_can_be_read(self, store: BlobStore) -> None:
        await store.put("a", chunks(LARGE))
        blob = await store.open("a")
        try:
            size = len(LARGE)
            assert blob.size == size
            for offset, length in [(0, 1), (1, 4096), (size - 1, 1), (size - 5, 100), (262_144, 262_144)]:
                assert await blob.read(offset, length) == LARGE[offset : offset + length]
            for offset, length in [(0, 0), (size, 1), (size + 10, 1)]:
                assert await blob.read(offset, length) == b""
            parts = await asyncio.gather(*(blob.read(n * 100_000, 100_000) for n in range(40)))
            assert b"".join(parts) == LARGE
        finally:
            blob.close()

    async def test_an_existing_object_is_never_replaced(self, store: BlobStore) -> None:
        await store.put("a", chunks(b"first"))
        with pytest.raises(Conflict):
            await store.put("a", chunks(b"second"))
        assert await content(store, "a") == b"first"

    async def test_of_many_who_store_one_key_exactly_one_wins(self, store: BlobStore) -> None:
        async def put(number: int) -> bytes | None:
            data = bytes([number]) * 10_000
            try:
                await store.put("a/b/c", chunks(data))
            except Conflict:
                return None
            return data

        winners = [data for data in await asyncio.gather(*(put(n) for n in range(8))) if data]
        assert [await content(store, "a/b/c")] == winners

    @pytest.mark.parametrize(
        "error", [RuntimeError("upstream"), TimeoutError(), ConnectionResetError(), FileExistsError()]
    )
    async def test_a_body_that_fails_stores_nothing_and_says_so_itself(
        self, store: BlobStore, error: Exception
    ) -> None:
        with pytest.raises(type(error)) as caught:
            await store.put("a", broken(error, LARGE))
        assert caught.value is error
        assert await keys(store) == []
        await store.put("a", chunks(b"again"))

    async def test_a_put_that_is_cancelled_stores_nothing(self, store: BlobStore) -> None:
        waiting = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield LARGE
            waiting.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(store.put("a", body()))
        await waiting.wait()
        assert await keys(store) == []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await keys(store) == []

    async def test_what_is_not_there_is_not_found(self, store: BlobStore) -> None:
        await store.put("folder/a", chunks(b"x"))
        for key in ("b", "folder", "folder/b", "folder/a/b"):
            with pytest.raises(NotFound):
                await store.open(key)
            with pytest.raises(NotFound):
                async with store.local_copy(key):
                    pass

    async def test_a_deleted_object_is_gone_and_may_be_deleted_again(self, store: BlobStore) -> None:
        await store.put("folder/a", chunks(b"x"))
        await store.put("folder/b", chunks(b"y"))
        for _ in range(2):
            await store.delete("folder/a")
        await store.delete("folder")
        await store.delete("folder/b/c")
        assert await keys(store) == ["folder/b"]
        await store.put("folder/a", chunks(b"again"))
        assert await content(store, "folder/a") == b"again"

    async def test_a_listing_tells_keys_sizes_and_times(self, store: BlobStore) -> None:
        for key in ("a/1", "a/2", "ab/1", "b"):
            await store.put(key, chunks(key.encode()))
        assert await keys(store) == ["a/1", "a/2", "ab/1", "b"]
        assert await keys(store, "a") == ["a/1", "a/2", "ab/1"]
        assert await keys(store, "a/") == ["a/1", "a/2"]
        assert await keys(store, "c") == []
        [info] = [info async for info in store.list("b")]
        assert (info.size, info.modified.utcoffset() is not None) == (1, True)

    async def test_a_listing_goes_on_while_objects_are_deleted(self, store: BlobStore) -> None:
        for number in range(20):
            await store.put(f"a/{number}", chunks(b"x"))
        seen = set()
        async for info in store.list():
            seen.add(info.key)
            for number in range(20):
                await store.delete(f"a/{number}")
        assert seen
        assert await keys(store) == []

    async def test_a_local_copy_has_the_bytes(self, store: BlobStore) -> None:
        await store.put("a/b.flac", chunks(LARGE))
        async with store.local_copy("a/b.flac") as path:
            assert await asyncio.to_thread(path.read_bytes) == LARGE

    @pytest.mark.parametrize(
        "key",
        [
            "", "/a", "a/", "a//b", "../a", "a/../b", ".", "a/.", ".incoming/a", "A", "a b", "a\0b", "a\nb",
            "ä", "a\\b",
        ],
    )  # fmt: skip
    async def test_a_key_of_other_characters_is_a_mistake(self, store: BlobStore, key: str) -> None:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.put(key, chunks(b"x")), lambda: store.open(key), lambda: store.delete(key),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(ValueError) as caught:
                await call()
            assert not isinstance(caught.value, ServiceError)
        assert await keys(store) == []

    async def test_a_store_that_is_there_answers(self, store: BlobStore) -> None:
        await store.ping()
