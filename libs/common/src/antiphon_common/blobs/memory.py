"""`memory:` — objects in a dictionary, for tests of code that only needs some store.

Failure policy: none; it holds what fits into memory and forgets everything when it is dropped.
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from antiphon_common.blobs import BlobInfo, checked_key
from antiphon_common.errors import Conflict, NotFound


class MemoryBlob:
    """One object."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    async def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def close(self) -> None:
        """Nothing is held."""


class MemoryBlobs:
    """All objects."""

    is_local = True

    def __init__(self, url: str = "memory:") -> None:
        self._url = url
        self._objects: dict[str, tuple[bytes, datetime]] = {}

    async def start(self) -> None:
        """Always ready."""

    async def stop(self) -> None:
        """Nothing is held."""

    async def ping(self) -> None:
        """Always there."""

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        checked_key(key)
        data = b"".join([chunk async for chunk in chunks])
        if key in self._objects:
            raise Conflict("blob_exists", "There is an object under this key.")
        self._objects[key] = (data, datetime.now(UTC))
        return len(data)

    async def open(self, key: str) -> MemoryBlob:
        return MemoryBlob(self._find(key))

    async def delete(self, key: str) -> None:
        self._objects.pop(checked_key(key), None)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        for key, (data, modified) in list(self._objects.items()):
            if key.startswith(prefix):
                yield BlobInfo(key, len(data), modified)

    @asynccontextmanager
    async def local_copy(self, key: str) -> AsyncIterator[Path]:
        with tempfile.NamedTemporaryFile() as file:
            file.write(self._find(key))
            file.flush()
            yield Path(file.name)

    def _find(self, key: str) -> bytes:
        if checked_key(key) not in self._objects:
            raise NotFound("blob_not_found", "There is no such object.")
        return self._objects[key][0]
