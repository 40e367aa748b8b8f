"""The blob store: immutable bytes under keys that we choose."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar, cast, runtime_checkable

from antiphon_common.errors import Invalid
from antiphon_common.schemes import open_by_scheme

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One stored object: its key, its size in bytes, and when it was stored."""

    key: str
    size: int
    modified: datetime


class Blob(Protocol):
    """An object opened for reading."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes, fewer only at the end. Raises `Unavailable` when the store fails."""

    def close(self) -> None:
        """Let go of it."""


class BlobStore(Protocol):
    """The port. Keys are relative paths of `[a-z0-9/._-]`; anything else raises `ValueError`."""

    is_local: bool
    """Whether reading is as good as reading memory, so that keeping what was read gains nothing."""

    async def start(self) -> None:
        """Make ready to be used."""

    async def stop(self) -> None:
        """Let go of everything."""

    async def ping(self) -> None:
        """Raise unless the store answers."""

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Store an object as it arrives; its size. All or nothing, on disk when this returns.

        Raises `Conflict` when the key exists, `Unavailable` when the store fails, and whatever `chunks`
        raises; then nothing was stored. (A far store that did not answer in time may have it all the same,
        and then whole: what is given up has to be deleted later, too.)
        """

    async def open(self, key: str) -> Blob:
        """Open for reading. Raises `NotFound`."""

    async def delete(self, key: str) -> None:
        """Remove; that it is not there is no error."""

    def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """All objects whose keys begin with `prefix`, in no order."""

    def local_copy(self, key: str) -> AbstractAsyncContextManager[Path]:
        """A path to read the object at while the block lasts (the file itself, or a download)."""


_LONGEST_SECONDS = 7 * 24 * 3600  # what S3 signs at most
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*(?:[./][a-z0-9_-]+)*")


def checked_key(key: str) -> str:
    """The key itself. Raises `ValueError` for one that is not made as the port says."""
    if not _KEY.fullmatch(key):
        raise ValueError("not a blob key")
    return key


async def finished(in_thread: Awaitable[T]) -> T:
    """The result of work in a thread; who waits for it is cancelled only once it is over.

    Otherwise its file would be closed under it, and the next file to get the same descriptor written to.
    """
    running = asyncio.ensure_future(in_thread)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        running.exception()  # looked at, so that nobody warns of it: the cancellation is what counts
        raise


_ADAPTERS = {
    "file": ("antiphon_common.blobs.file:FileBlobs", ""),
    "memory": ("antiphon_common.blobs.memory:MemoryBlobs", ""),
    "s3": ("antiphon_common.blobs.s3:S3Blobs", "s3"),
}


def open_blobs(url: str) -> BlobStore:
    """The store for a URL: `file:///directory`, `s3://bucket?endpoint=...`, or `memory:` for tests."""
    return cast(BlobStore, open_by_scheme(_ADAPTERS, url))


@runtime_checkable
class SignsAddresses(BlobStore, Protocol):
    """A store whose objects can be read over HTTP by whoever holds a signed address."""

    async def signed_address(self, key: str, *, seconds: int) -> str:
        """Where one object can be read for some seconds. Raises `NotFound`."""


async def signed_address(url: str, key: str, seconds: int) -> str:
    """For an operator: where an object of a store can be read for a while. Raises `NotFound` or `Invalid`."""
    store = open_blobs(url)
    if not isinstance(store, SignsAddresses):
        raise Invalid("no_address", "This store has no addresses; its objects are files below its directory.")
    try:
        checked_key(key)
    except ValueError as error:
        raise Invalid("invalid_key", "A key is a relative path of a-z, 0-9, / . _ and -.") from error
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise Invalid("invalid_seconds", f"An address works for 1 to {_LONGEST_SECONDS} seconds.")
    await store.start()
    try:
        return await store.signed_address(key, seconds=seconds)
    finally:
        await store.stop()


__all__ = ["Blob", "BlobInfo", "BlobStore", "SignsAddresses", "checked_key", "open_blobs", "signed_address"]
