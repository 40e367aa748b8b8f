"""`file:///directory` — objects as files.

Failure policy: an object appears under its key only when all of its bytes are on disk (written beside,
synced, then linked); a full or read-only disk is `Unavailable`; a killed process leaves at most a file under
`.incoming/`, which is removed at the next start once it is an hour old.
"""

import asyncio
import errno
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from antiphon_common.blobs import BlobInfo
from antiphon_common.errors import Conflict, NotFound, Unavailable

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*(?:[./][a-z0-9_-]+)*")
_INCOMING = ".incoming"
_LEFTOVER_SECONDS = 3600
_WRITE_AT_ONCE = 1 << 20


class FileBlob:
    """One open file. Reads what the page cache holds at once, and the rest in a thread."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._descriptor).st_size

    async def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        if length == 0:
            return b""
        buffer = bytearray(length)
        try:
            read = os.preadv(self._descriptor, [buffer], offset, os.RWF_NOWAIT)
        except OSError as error:
            # EAGAIN: not in the page cache. EOPNOTSUPP: a file system without the flag.
            if error.errno not in (errno.EAGAIN, errno.EOPNOTSUPP):
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

    def __init__(self, url: str) -> None:
        self._root = Path(unquote(urlsplit(url).path))

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
            await asyncio.to_thread(_publish, part, target)
        except FileExistsError as error:
            raise Conflict("blob_exists", "There is an object under this key.") from error
        except OSError as error:
            raise Unavailable("blob_unavailable", "The file cannot be stored now.") from error
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)
        return size

    async def open(self, key: str) -> FileBlob:
        try:
            return FileBlob(self._path(key))
        except FileNotFoundError as error:
            raise NotFound("blob_not_found", "There is no such object.") from error
        except OSError as error:
            raise Unavailable("blob_unavailable", "The stored file cannot be opened.") from error

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._path(key).unlink, missing_ok=True)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        for info in await asyncio.to_thread(self._scan):
            if info.key.startswith(prefix):
                yield info

    @asynccontextmanager
    async def local_copy(self, key: str) -> AsyncIterator[Path]:
        path = self._path(key)
        if not await asyncio.to_thread(path.is_file):
            raise NotFound("blob_not_found", "There is no such object.")
        yield path

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError("not a blob key")
        return self._root / key

    def _prepare(self) -> None:
        incoming = self._root / _INCOMING
        incoming.mkdir(parents=True, exist_ok=True)
        for leftover in incoming.iterdir():
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
                leftover.unlink(missing_ok=True)

    def _scan(self) -> Sequence[BlobInfo]:
        found = []
        for directory, _, names in os.walk(self._root):
            folder = Path(directory)
            if _INCOMING in folder.parts:
                continue
            for name in names:
                stat = (folder / name).stat()
                key = (folder / name).relative_to(self._root).as_posix()
                found.append(BlobInfo(key, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC)))
        return found


async def _write(part: Path, chunks: AsyncIterator[bytes]) -> int:
    size, pending, waiting = 0, [], 0
    with await asyncio.to_thread(part.open, "xb", buffering=0) as file:
        async for chunk in chunks:
            pending.append(chunk)
            waiting += len(chunk)
            if waiting >= _WRITE_AT_ONCE:
                size += await asyncio.to_thread(_write_all, file.fileno(), b"".join(pending))
                pending, waiting = [], 0
        size += await asyncio.to_thread(_write_all, file.fileno(), b"".join(pending))
        await asyncio.to_thread(os.fsync, file.fileno())
    return size


def _write_all(descriptor: int, data: bytes) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(data)


def _publish(part: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # A link refuses to replace, a rename does not.
    os.link(part, target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
