"""`file:///directory` — objects as files.

Failure policy: an object appears under its key only when all of its bytes are on disk (written beside,
synced, then linked); a full or read-only disk is `Unavailable`; a killed process leaves at most a file under
`.incoming/`, which is removed at the next start once it is an hour old.
"""

import asyncio
import errno
import os
import secrets
import stat
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from antiphon_common.blobs import BlobInfo, checked_key, finished
from antiphon_common.errors import Conflict, NotFound, Unavailable

T = TypeVar("T")

_INCOMING = ".incoming"
_LEFTOVER_SECONDS = 3600
_WRITE_AT_ONCE = 1 << 20
_READ_AT_ONCE = 256 * 1024
_LIST_AT_ONCE = 1000
# EAGAIN: not in the page cache. The others: a file system or kernel without the flag.
_NOT_AT_ONCE = (errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class FileBlob:
    """One open file. Reads what the page cache holds at once, and the rest in a thread.

    `scratch` is lent by the store: reading into memory that stays costs a tenth of reading into new pages.
    """

    def __init__(self, path: Path, scratch: memoryview) -> None:
        self._scratch = scratch
        self._descriptor = os.open(path, os.O_RDONLY)
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise FileNotFoundError(path)
        self.size = found.st_size

    async def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        if length == 0:
            return b""
        # Used up before the next await, so one for all files is enough.
        whole = length <= len(self._scratch)
        buffer = self._scratch[:length] if whole else memoryview(bytearray(length))
        try:
            read = os.preadv(self._descriptor, [buffer], offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno not in _NOT_AT_ONCE:
                raise Unavailable("blob_unavailable", "The stored file cannot be read.") from error
            read = 0
        if read == length:
            return bytes(buffer)
        return await asyncio.to_thread(self._read_all, offset, length)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read_all(self, offset: int, length: int) -> bytes:
        parts = []
        while length > 0:
            try:
                part = os.pread(self._descriptor, length, offset)
            except OSError as error:
                raise Unavailable("blob_unavailable", "The stored file cannot be read.") from error
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)


class FileBlobs:
    """A directory of objects."""

    is_local = True

    def __init__(self, url: str) -> None:
        self._root = Path(unquote(urlsplit(url).path))
        self._scratch = memoryview(bytearray(_READ_AT_ONCE))

    async def start(self) -> None:
        await asyncio.to_thread(self._prepare)

    async def stop(self) -> None:
        """Nothing is held."""

    async def ping(self) -> None:
        if not await asyncio.to_thread(os.access, self._root, os.W_OK):
            raise Unavailable("blob_unavailable", "The blob directory cannot be written.")

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        target = self._path(key)
        part = self._root / _INCOMING / secrets.token_hex(16)
        try:
            size = await _write(part, chunks)
            with _storing():
                await finished(asyncio.to_thread(_publish, part, target, self._root))
        finally:
            await finished(asyncio.to_thread(_remove, part))
        return size

    async def open(self, key: str) -> FileBlob:
        try:
            return FileBlob(self._path(key), self._scratch)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound("blob_not_found", "There is no such object.") from error
        except OSError as error:
            raise Unavailable("blob_unavailable", "The stored file cannot be opened.") from error

    async def delete(self, key: str) -> None:
        try:
            await asyncio.to_thread(self._path(key).unlink, missing_ok=True)
        except (NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            raise Unavailable("blob_unavailable", "The stored file cannot be removed now.") from error

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        found = self._scan(prefix)
        while batch := await asyncio.to_thread(lambda: [*islice(found, _LIST_AT_ONCE)]):
            for info in batch:
                yield info

    @asynccontextmanager
    async def local_copy(self, key: str) -> AsyncIterator[Path]:
        path = self._path(key)
        if not await asyncio.to_thread(path.is_file):
            raise NotFound("blob_not_found", "There is no such object.")
        yield path

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _prepare(self) -> None:
        incoming = self._root / _INCOMING
        incoming.mkdir(parents=True, exist_ok=True)
        for leftover in incoming.iterdir():
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
                leftover.unlink(missing_ok=True)

    def _scan(self, prefix: str) -> Iterator[BlobInfo]:
        for directory, folders, names in os.walk(self._root):
            folder = Path(directory)
            if folder == self._root:
                folders[:] = [name for name in folders if name != _INCOMING]
            for name in names:
                key = (folder / name).relative_to(self._root).as_posix()
                if not key.startswith(prefix):
                    continue
                with suppress(FileNotFoundError):  # deleted while we look
                    found = (folder / name).stat()
                    yield BlobInfo(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))


async def _write(part: Path, chunks: AsyncIterator[bytes]) -> int:
    size, pending, waiting = 0, [], 0
    with _storing():
        file = await finished(asyncio.to_thread(part.open, "xb", buffering=0))
    with file:
        # What `chunks` raises is the caller's and passes; only our own writing is translated.
        async for chunk in chunks:
            pending.append(chunk)
            waiting += len(chunk)
            if waiting >= _WRITE_AT_ONCE:
                size += await _append(file.fileno(), pending)
                pending, waiting = [], 0
        size += await _append(file.fileno(), pending)
        with _storing():
            await finished(asyncio.to_thread(os.fsync, file.fileno()))
    return size


async def _append(descriptor: int, parts: Sequence[bytes]) -> int:
    with _storing():
        return await finished(asyncio.to_thread(_write_all, descriptor, b"".join(parts)))


@contextmanager
def _storing() -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise Conflict("blob_exists", "There is an object under this key.") from error
    except OSError as error:
        raise Unavailable("blob_unavailable", "The file cannot be stored now.") from error


def _write_all(descriptor: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)


def _remove(part: Path) -> None:
    # A disk that went read-only says so here, too; the next start removes what stays.
    with suppress(OSError):
        part.unlink(missing_ok=True)


def _publish(part: Path, target: Path, root: Path) -> None:
    _make_folder(target.parent, root)
    # A link refuses to replace, a rename does not.
    os.link(part, target)
    _sync(target.parent)


def _make_folder(folder: Path, root: Path) -> None:
    """Make it and what is above it, each synced into its parent: a file is as safe as the way to it."""
    if folder == root or folder.is_dir():
        return
    _make_folder(folder.parent, root)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
