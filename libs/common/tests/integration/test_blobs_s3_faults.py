"""What the bucket promises of bad moments: its server stopped, killed and frozen, the wire cut, reset and mute."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from antiphon_common.blobs.s3 import S3Blobs
from antiphon_common.blobs.s3.address import Address
from antiphon_common.errors import Conflict, NotFound, Unavailable
from antiphon_common.testing.isolation import s3_bucket
from antiphon_common.testing.proxy import FaultProxy
from antiphon_common.testing.running import eventually
from antiphon_common.testing.suites.blobs import chunks, content, keys

MIB = 1 << 20
DATA = hashlib.shake_256(b"faults").digest(12 * MIB + 5)


def pieces(data: bytes = DATA) -> AsyncIterator[bytes]:
    return chunks(*(data[start : start + MIB] for start in range(0, len(data), MIB)))


def parts_left(store: S3Blobs) -> list[str]:
    found = store._writer.client.list_multipart_uploads(Bucket=store._writer.bucket)
    return [upload["Key"] for upload in found.get("Uploads", [])]


@pytest.fixture
async def direct(s3_url: str) -> AsyncIterator[S3Blobs]:
    """The store without a proxy, to see what is really there."""
    store = S3Blobs(s3_url)
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def proxy(s3_url: str, fault_proxy: Callable[[str, int], Awaitable[FaultProxy]]) -> FaultProxy:
    at = urlsplit(Address.of(s3_url).endpoint or "")
    return await fault_proxy(at.hostname or "", at.port or 80)


@pytest.fixture
async def store(s3_url: str, direct: S3Blobs, proxy: FaultProxy) -> AsyncIterator[S3Blobs]:
    """The store behind the proxy, which is whole so far."""
    endpoint = Address.of(s3_url).endpoint or ""
    store = S3Blobs(s3_url.replace(endpoint, f"http://127.0.0.1:{proxy.port}"))
    await store.start()
    yield store
    proxy.heal()
    await store.stop()


async def refused(call: Awaitable[object], *, within: float) -> None:
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        await call
    assert time.monotonic() - begun < within


async def test_a_body_cut_short_is_no_answer_and_the_second_try_brings_all_of_it(
    store: S3Blobs, direct: S3Blobs, proxy: FaultProxy
) -> None:
    await direct.put("a", pieces())
    blob = await store.open("a")
    proxy.cut_after(100_000)
    await refused(blob.read(0, MIB), within=4)
    proxy.heal()
    proxy.delay(0.3)
    reading = asyncio.create_task(blob.read(5, MIB))
    await eventually(_async(lambda: proxy.connections))
    proxy.reset()
    assert await reading == DATA[5 : 5 + MIB]


def _async(probe: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    async def ask() -> Any:
        return probe()

    return ask


async def test_a_store_that_is_silent_is_unavailable_in_time(
    store: S3Blobs, direct: S3Blobs, proxy: FaultProxy
) -> None:
    await direct.put("a", chunks(b"x"))
    blob = await store.open("a")
    proxy.blackhole()
    await asyncio.gather(
        refused(store.ping(), within=2),
        refused(store.open("a"), within=7.5),
        refused(blob.read(0, 1), within=7.5),
        refused(store.put("b", chunks(b"x")), within=18),
        refused(store.delete("c"), within=14),
    )
    proxy.heal()
    assert await content(store, "a") == b"x"

    # The wire delivers what it held back: what nobody was promised may be there, and then whole.
    # It may also be taken back between the two looks.
    if "b" in await keys(direct):
        with contextlib.suppress(NotFound):
            assert await content(direct, "b") == b"x"


async def test_a_wire_that_breaks_while_a_body_is_sent_is_bridged(
    store: S3Blobs, direct: S3Blobs, proxy: FaultProxy
) -> None:
    async def body() -> AsyncIterator[bytes]:
        async for number, piece in _numbered(pieces()):
            if number in (9, 11):
                proxy.reset()
            yield piece

    assert await store.put("a", body()) == len(DATA)
    assert await content(direct, "a") == DATA


async def _numbered(parts: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    number = 0
    async for part in parts:
        yield number, part
        number += 1


@pytest.mark.parametrize("size", [MIB, len(DATA)])
async def test_a_store_that_goes_away_under_a_body_makes_no_object_of_it(
    store: S3Blobs, direct: S3Blobs, proxy: FaultProxy, size: int
) -> None:
    async def body() -> AsyncIterator[bytes]:
        async for piece in pieces(DATA[:size]):
            yield piece
        proxy.refuse()

    await refused(store.put("a", body()), within=5)
    assert await keys(direct) == []
    proxy.heal()
    await store.put("a", pieces(DATA[:size]))
    assert await content(direct, "a") == DATA[:size]


@pytest.mark.parametrize("size", [MIB, len(DATA)])
async def test_a_put_whose_answer_was_lost_knows_that_it_had_arrived(
    store: S3Blobs, direct: S3Blobs, proxy: FaultProxy, size: int
) -> None:
    proxy.delay(0.4)
    putting = asyncio.create_task(store.put("a", pieces(DATA[:size])))
    await eventually(_keys(direct), lambda found: found == ["a"])
    proxy.reset()  # the answer is still on its way
    proxy.heal()
    assert await putting == size
    assert parts_left(direct) == []
    with pytest.raises(Conflict):
        await store.put("a", chunks(b"other"))


def _keys(store: S3Blobs) -> Callable[[], Awaitable[list[str]]]:
    async def ask() -> list[str]:
        return await keys(store)

    return ask


async def test_a_conflict_behind_a_lost_answer_is_still_a_conflict(
    store: S3Blobs, direct: S3Blobs, proxy: FaultProxy
) -> None:
    await direct.put("a", chunks(b"first"))
    proxy.delay(0.4)
    putting = asyncio.create_task(store.put("a", chunks(b"second")))
    await eventually(_async(lambda: proxy.connections))
    proxy.reset()
    proxy.heal()
    with pytest.raises(Conflict):
        await putting
    assert await content(direct, "a") == b"first"


@pytest.fixture(scope="module")
def server(private_server: Callable[[str], Any]) -> Any:
    return private_server("s3")


@pytest.fixture
def own_url(server: Any) -> Iterator[str]:
    """A bucket on a server that may be broken."""
    with s3_bucket(server.url.replace("@test?", "@?")) as url:
        yield url


@pytest.fixture
async def own(own_url: str) -> AsyncIterator[S3Blobs]:
    store = S3Blobs(own_url)
    await store.start()
    yield store
    await store.stop()


async def test_a_stopped_server_is_unavailable_at_once_and_back_without_human_help(
    own: S3Blobs, server: Any
) -> None:
    await own.put("a", chunks(b"x"))
    blob = await own.open("a")
    await asyncio.to_thread(server.stop)
    try:
        for call in (own.ping(), own.open("a"), blob.read(0, 1), own.delete("a"), own.put("b", pieces())):
            await refused(call, within=2)
    finally:
        await asyncio.to_thread(server.start)
    await own.ping()
    assert await blob.read(0, 1) == b"x"
    await own.put("b", pieces())
    assert (await keys(own), parts_left(own)) == (["a", "b"], [])


async def test_a_frozen_server_is_unavailable_in_time_and_back_when_it_thaws(
    own: S3Blobs, server: Any
) -> None:
    await own.put("a", chunks(b"x"))
    server.freeze()
    try:
        await asyncio.gather(refused(own.ping(), within=2), refused(own.open("a"), within=7.5))
    finally:
        server.thaw()
    assert await content(own, "a") == b"x"


async def test_what_was_acknowledged_survives_a_killed_server_and_nothing_is_half(
    own: S3Blobs, server: Any
) -> None:
    acknowledged: dict[str, bytes] = {}
    going = True

    async def writes(writer: int) -> None:
        number = 0
        while going:
            number += 1
            key, data = f"w{writer}/{number}", DATA[number : number + (10 if number % 2 else 1) * MIB]
            with suppress(Unavailable):
                await own.put(key, pieces(data))
                acknowledged[key] = data
            await asyncio.sleep(0.01)

    writers = [asyncio.create_task(writes(number)) for number in range(3)]
    for _ in range(3):
        seen = len(acknowledged)
        await eventually(_async(lambda: len(acknowledged)), lambda now, seen=seen: now > seen + 3, seconds=30)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    going = False
    await asyncio.gather(*writers)
    assert set(acknowledged) <= set(await keys(own))
    for key in await keys(own):
        number = int(key.partition("/")[2])
        whole = DATA[number : number + (10 if number % 2 else 1) * MIB]
        assert await content(own, key) == whole
    with pytest.raises(NotFound):
        await own.open("w0/0")
