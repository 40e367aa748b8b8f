"""`s3://key:secret@bucket?endpoint=https://...&region=...` — objects in any store that speaks S3.

Read with obstore, on the event loop; stored, listed, deleted and signed with boto3, in threads of its own,
made when the first of these is asked for: a process that only reads never makes it. Without key and secret
the usual AWS chain supplies them (environment, files, instance); `&ca=` names a PEM file to trust besides.

Failure policy: an object appears under its key only whole: up to 8 MiB in one request, more in parts that
are completed at the end, each with its SHA-256, which the store verifies, and only where the key is free.
What was begun and not finished is aborted; parts that a killed process left are removed by a listing once
they are a day old. Reading waits three seconds for an answer, tries once more, and is `Unavailable`; a body
shorter than it said is no answer. Storing tries once more after a broken connection, and knows by a mark of
its own whether the first try had arrived. A store that is away, hangs, lacks the bucket or refuses the key
is `Unavailable`, never `NotFound`: nobody may believe that a thing is gone because the store is. `ping`
says which setting to mend.
"""

import asyncio
import hashlib
import tempfile
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO

from antiphon_common.blobs import BlobInfo, checked_key
from antiphon_common.blobs.s3.address import Address
from antiphon_common.blobs.s3.reading import Distrusted, Range, Reader
from antiphon_common.blobs.s3.sending import PART, Sending
from antiphon_common.blobs.s3.writing import Writer
from antiphon_common.errors import Unavailable
from antiphon_common.schemes import WrongUrl

_COPY_AT_ONCE = 1 << 20
_STALE = timedelta(days=1)
_CLEANING_SECONDS = 3.0


class S3Blobs:
    """One bucket."""

    is_local = False

    def __init__(self, url: str, *, stale: timedelta = _STALE) -> None:
        address = Address.of(url)
        self._url = url
        self._reader = Reader(address)
        self._writer = Writer(address)
        self._stale = stale
        self._cleaning: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._reader.start()
        try:
            await self._reader.ping()
        except Distrusted as error:
            raise WrongUrl(self._url, error.detail) from error

    async def stop(self) -> None:
        if self._cleaning:
            await asyncio.wait(self._cleaning, timeout=_CLEANING_SECONDS)
        self._writer.stop()

    async def ping(self) -> None:
        await self._reader.ping()

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        sending = Sending(self._writer, checked_key(key))
        try:
            async for chunk in chunks:
                await sending.add(chunk)
            return await sending.finish()
        except BaseException:  # whatever it was, also a cancellation: what was begun is taken back
            await self._take_back(sending)
            raise

    async def open(self, key: str) -> Range:
        return await self._reader.open(checked_key(key))

    async def delete(self, key: str) -> None:
        await self._writer.delete(checked_key(key))

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        async for info in self._writer.list(prefix):
            yield info
        await self._writer.abort_stale(prefix, self._stale)

    @asynccontextmanager
    async def local_copy(self, key: str) -> AsyncIterator[Path]:
        blob = await self.open(key)
        with _buffering():
            file = await asyncio.to_thread(_temporary)
        with file:
            await self._download(blob, key, file)
            yield Path(file.name)

    async def signed_address(self, key: str, *, seconds: int) -> str:
        """A URL at which anybody may read the object for some seconds. Raises `NotFound`."""
        await self.open(key)
        return await self._writer.sign(key, seconds)

    async def _download(self, blob: Range, key: str, file: IO[bytes]) -> None:
        summing = _Checksum(await self._writer.checksum(key))

        def keep(data: bytes) -> None:
            file.write(data)
            summing.add(data)

        for offset in range(0, blob.size, _COPY_AT_ONCE):
            data = await blob.read(offset, _COPY_AT_ONCE)
            with _buffering():
                await asyncio.to_thread(keep, data)
        with _buffering():
            await asyncio.to_thread(file.flush)
        summing.check()

    async def _take_back(self, sending: Sending) -> None:
        # A store that hangs must not hold up who waits for the bad news: then it goes on behind.
        cleaning = asyncio.create_task(sending.take_back())
        self._cleaning.add(cleaning)
        cleaning.add_done_callback(self._cleaning.discard)
        await asyncio.wait([cleaning], timeout=_CLEANING_SECONDS)


def _temporary() -> IO[bytes]:
    return tempfile.NamedTemporaryFile(prefix="antiphon-blob-")


@contextmanager
def _buffering() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable("blob_unavailable", "The stored file cannot be copied to this machine.") from error


class _Checksum:
    """Compares bytes with the SHA-256 that the store keeps: of the whole, or of the digests of its parts."""

    def __init__(self, expected: str | None) -> None:
        self._expected = expected
        self._parts = [hashlib.sha256()]
        self._size = 0

    def add(self, data: bytes) -> None:
        # Parts are a multiple of what is read at once, so none ends within `data`.
        if self._size and self._size % PART == 0:
            self._parts.append(hashlib.sha256())
        self._parts[-1].update(data)
        self._size += len(data)

    def check(self) -> None:
        """Raise `Unavailable` when these are not the bytes that were stored."""
        if self._expected is None:
            return
        wanted, _, parts = self._expected.partition("-")
        if parts and int(parts) != len(self._parts):
            return  # somebody else stored it in parts of another size: there is nothing to compare with
        digest = b"".join(part.digest() for part in self._parts)
        if parts:
            digest = hashlib.sha256(digest).digest()
        if b64decode(wanted) != digest:
            raise Unavailable("blob_broken", "The stored file is not what was stored.")


__all__ = ["S3Blobs"]
