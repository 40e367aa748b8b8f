"""The bucket: the contract of every store, objects in parts, checksums, and addresses that are wrong."""

import asyncio
import hashlib
import re
import tracemalloc
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from antiphon_common.blobs import BlobStore, open_blobs, signed_address
from antiphon_common.blobs.s3 import S3Blobs, _Checksum
from antiphon_common.blobs.s3.address import Address
from antiphon_common.blobs.s3.sending import PART
from antiphon_common.errors import Conflict, Invalid, NotFound, Unavailable
from antiphon_common.schemes import WrongUrl
from antiphon_common.testing.suites.blobs import BlobsSuite, broken, chunks, content, keys

MIB = 1 << 20


class TestS3Blobs(BlobsSuite):
    @pytest.fixture
    def blob_url(self, s3_url: str) -> str:
        return s3_url


@pytest.fixture
async def store(s3_url: str) -> AsyncIterator[S3Blobs]:
    store = S3Blobs(s3_url)
    await store.start()
    yield store
    await store.stop()


def piece(number: int) -> bytes:
    """A mebibyte like no other."""
    return hashlib.shake_256(number.to_bytes(4, "big")).digest(MIB)


async def mebibytes(count: int, *, more: bytes = b"") -> AsyncIterator[bytes]:
    for number in range(count):
        yield piece(number)
    yield more


def parts_left(store: S3Blobs) -> list[str]:
    found = store._writer.client.list_multipart_uploads(Bucket=store._writer.bucket)
    return [upload["Key"] for upload in found.get("Uploads", [])]


def begin_parts(store: S3Blobs, key: str) -> None:
    store._writer.client.create_multipart_upload(Bucket=store._writer.bucket, Key=key)


@pytest.mark.parametrize(("size", "in_parts"), [(PART - 1, 0), (PART, 0), (PART + 1, 2), (2 * PART + 17, 3)])
async def test_an_object_over_eight_mebibytes_is_stored_in_parts_and_its_checksum_kept(
    store: S3Blobs, size: int, in_parts: int
) -> None:
    data = b"".join([piece(number) for number in range(size // MIB + 1)])[:size]
    assert await store.put("audio/a", chunks(data[:100], data[100:])) == size
    assert await content(store, "audio/a") == data
    checksum = await store._writer.checksum("audio/a")
    assert checksum is not None
    assert checksum.partition("-")[2] == (str(in_parts) if in_parts else "")
    async with store.local_copy("audio/a") as path:
        assert await asyncio.to_thread(path.read_bytes) == data
    assert parts_left(store) == []


@pytest.mark.parametrize("size", [1000, PART, PART + 1])
async def test_a_copy_with_other_bytes_than_were_stored_is_not_handed_out(store: S3Blobs, size: int) -> None:
    data = (piece(0) * 9)[:size]
    await store.put("a", chunks(data))
    checksum = await store._writer.checksum("a")

    def compare(with_bytes: bytes) -> None:
        summing = _Checksum(checksum)
        for start in range(0, size, MIB):
            summing.add(with_bytes[start : start + MIB])
        summing.check()

    compare(data)
    with pytest.raises(Unavailable):
        compare(data[:-1] + bytes([data[-1] ^ 1]))


async def test_a_large_body_is_held_in_memory_by_a_few_mebibytes(store: S3Blobs) -> None:
    await store.put("first", chunks(b"x"))  # what is loaded once does not count
    tracemalloc.start()
    try:
        await store.put("large", mebibytes(48))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB


async def test_a_large_body_that_fails_or_is_cancelled_leaves_no_parts(store: S3Blobs) -> None:
    with pytest.raises(RuntimeError):
        await store.put("a", broken(RuntimeError(), *[piece(0)] * 20))
    waiting = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        async for one in mebibytes(20):
            yield one
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.put("a", body()))
    await waiting.wait()
    assert parts_left(store) == ["a"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await keys(store), parts_left(store)) == ([], [])


async def test_of_many_large_bodies_for_one_key_one_wins_and_the_others_leave_nothing(store: S3Blobs) -> None:
    async def put(number: int) -> int | None:
        try:
            await store.put("a", mebibytes(9, more=bytes([number])))
        except Conflict:
            return None
        return number

    winners = [number for number in await asyncio.gather(*(put(n) for n in range(4))) if number is not None]
    assert len(winners) == 1
    assert (await content(store, "a"))[-1] == winners[0]
    assert parts_left(store) == []


async def test_a_listing_removes_parts_that_are_a_day_old_and_no_others(store: S3Blobs, s3_url: str) -> None:
    for key in ("audio/x", "images/x"):
        begin_parts(store, key)
    assert await keys(store, "audio/") == []
    assert parts_left(store) == ["audio/x", "images/x"]
    tomorrow = S3Blobs(s3_url, stale=timedelta(0))
    assert await keys(tomorrow, "audio/") == []
    assert parts_left(store) == ["images/x"]


async def test_more_objects_than_one_page_holds_are_listed(store: S3Blobs) -> None:
    client, bucket = store._writer.client, store._writer.bucket
    wanted = [f"a/{number:04}" for number in range(1005)]
    await asyncio.gather(
        *(asyncio.to_thread(lambda k=key: client.put_object(Bucket=bucket, Key=k, Body=b"x")) for key in wanted)
    )  # fmt: skip
    assert await keys(store) == wanted


async def test_an_operator_gets_an_address_that_works_for_a_while(store: S3Blobs) -> None:
    await store.put("a/b", chunks(b"sound"))
    address = await store.signed_address("a/b", seconds=60)
    with pytest.raises(NotFound):
        await store.signed_address("a/c", seconds=60)
    async with httpx.AsyncClient() as client:
        assert (await client.get(address)).content == b"sound"
        assert (await client.get(address.replace("a/b", "a/c"))).status_code == 403
        assert (await client.get(address.replace("X-Amz-Expires=60", "X-Amz-Expires=600"))).status_code == 403


@pytest.mark.parametrize(
    "url",
    [
        "s3://", "s3://key@bucket", "s3://UPPER_case!", "s3://bucket/prefix", "s3://bucket?endpoint=host:9000",
        "s3://bucket?endpoint=ftp://host", "s3://bucket?bucket=b", "s3://bucket?region=a&region=b",
        "s3://bucket?ca=/nowhere.pem", "s3://b",
    ],
)  # fmt: skip
def test_a_wrong_url_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(WrongUrl):
        open_blobs(url)


def test_secrets_are_decoded_and_never_shown() -> None:
    address = Address.of("s3://k%2Fey:se%2Fcr%40et+@bucket?endpoint=http://host:9000/")
    assert (address.key, address.secret, address.endpoint) == ("k/ey", "se/cr@et+", "http://host:9000")
    assert "cr@et" not in repr(address) + address.complaint("AccessDenied")


async def _not_found_or_gone(store: BlobStore) -> None:
    with pytest.raises(Unavailable):
        await store.open("a")
    with pytest.raises(Unavailable):
        async with store.local_copy("a"):
            pass


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda url: url.replace("@test-", "@gone-"), "does not exist: create it, or change blob_url"),
        (lambda url: re.sub("//[^:]+:", "//stranger:", url, count=1), "change key:secret in blob_url"),
        (lambda url: re.sub(":[^:@/]+@", ":wrong@", url, count=1), "change key:secret in blob_url"),
    ],
)
async def test_what_is_wrong_is_said_in_one_line_and_nobody_believes_that_objects_are_gone(
    s3_url: str, store: S3Blobs, spoil: Callable[[str], str], says: str
) -> None:
    await store.put("a", chunks(b"x"))
    spoiled = S3Blobs(spoil(s3_url))
    with pytest.raises(Unavailable) as caught:
        await spoiled.start()
    assert says in caught.value.detail
    assert "\n" not in caught.value.detail
    await _not_found_or_gone(spoiled)
    calls: list[Any] = [spoiled.put("b", chunks(b"x")), spoiled.delete("a"), keys(spoiled)]
    for call in calls:
        with pytest.raises(Unavailable):
            await call
    await spoiled.stop()
    assert await keys(store) == ["a"]


async def test_without_a_key_the_usual_chain_supplies_it_or_the_line_says_what_to_set(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address.of(s3_url)
    keyless = s3_url.replace(s3_url.partition("//")[2].partition("@")[0] + "@", "")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(Unavailable, match="AWS_ACCESS_KEY_ID"):
        await S3Blobs(keyless).start()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", str(address.key))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", str(address.secret))
    store = S3Blobs(keyless)
    await store.start()
    await store.put("a", chunks(b"x"))
    assert await content(store, "a") == b"x"
    await store.stop()


async def test_an_expired_credential_is_named_as_such() -> None:
    body = b"<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>"
    head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/xml\r\ncontent-length: %d\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        store = S3Blobs(f"s3://key:secret@bucket?endpoint=http://127.0.0.1:{port}")
        with pytest.raises(Unavailable, match="credential has expired"):
            await store.start()
        with pytest.raises(Unavailable):
            await store.put("a", chunks(b"x"))
        await store.stop()


async def test_the_command_of_an_operator_says_where_an_object_is_or_why_not(
    store: S3Blobs, s3_url: str, tmp_path: Path
) -> None:
    await store.put("a/b", chunks(b"sound"))
    async with httpx.AsyncClient() as client:
        assert (await client.get(await signed_address(s3_url, "a/b", 60))).content == b"sound"
    with pytest.raises(NotFound):
        await signed_address(s3_url, "a/c", 60)
    for url, key, seconds in (
        (s3_url, "../b", 60), (s3_url, "a/b", 0), (s3_url, "a/b", 604_801), (f"file://{tmp_path}", "a/b", 60),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            await signed_address(url, key, seconds)
