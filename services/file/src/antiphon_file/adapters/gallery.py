"""The `Gallery` port: pictures made safe by the reader and kept in the blob store.

Failure policy: the row comes first and names every object that may follow, so whatever is interrupted is
cleaned up by its lease; a picture that was refused leaves nothing behind.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID
from weakref import WeakValueDictionary

from antiphon_common.blobs import BlobStore
from antiphon_common.clock import Clock
from antiphon_common.errors import Conflict, FieldError, Invalid, TooLarge, Unavailable
from antiphon_common.ids import new_id
from antiphon_file import usecases
from antiphon_file.domain import (
    IMAGE_LEASE,
    IMAGE_REASONS,
    LEASE,
    Image,
    Picture,
    Quota,
    ReaderFailed,
    Refused,
    image_key,
)
from antiphon_file.ports import OpenUnit, Reader


class BlobGallery:
    """Keeps pictures in the blob store."""

    def __init__(
        self, open_unit: OpenUnit, blobs: BlobStore, reader: Reader,
        *, clock: Clock, quota: Quota, max_bytes: int,
    ) -> None:  # fmt: skip
        self._open_unit = open_unit
        self._blobs = blobs
        self._reader = reader
        self._clock = clock
        self._quota = quota
        self._max_bytes = max_bytes
        self._being_made: WeakValueDictionary[tuple[UUID, str], asyncio.Lock] = WeakValueDictionary()

    async def receive(self, owner_id: UUID, chunks: AsyncIterator[bytes]) -> Image:
        image = await self._begin(owner_id, "", lease=IMAGE_LEASE)
        try:
            source = image_key(image.id, "source")
            digest = hashlib.sha256()
            await self._blobs.put(source, self._bounded(chunks, digest))
            async with self._open_unit() as unit:
                identified = await usecases.identify_image(unit, image.id, digest.hexdigest())
            if identified.is_ready:
                return identified
            async with self._blobs.local_copy(source) as path:
                picture = await self._reader.picture(path)
            return await self._store(identified, picture)
        except Refused as refusal:
            await self._abort(image)
            raise _invalid(refusal) from refusal
        except ReaderFailed as error:
            await self._abort(image)
            raise Unavailable("image_unread", "The image could not be read now.") from error
        except BaseException:  # whatever it was, also a cancellation: what was begun is taken back
            await asyncio.shield(self._abort(image))
            raise

    async def keep_cover(self, owner_id: UUID, source_sha256: str, audio: Path) -> Image | None:
        # The tracks of an album arrive together and carry the same cover: the second waits for the first.
        lock = self._being_made.setdefault((owner_id, source_sha256), asyncio.Lock())
        async with lock:
            return await self._keep_cover(owner_id, source_sha256, audio)

    async def _keep_cover(self, owner_id: UUID, source_sha256: str, audio: Path) -> Image | None:
        async with self._open_unit() as unit:
            twin = await unit.images.twin(owner_id, source_sha256)
        if twin is not None:
            return twin
        try:
            picture = await self._reader.embedded_cover(audio)
            image = await self._begin(owner_id, source_sha256, lease=LEASE)
        except (Refused, ReaderFailed, Conflict):
            return None  # music is welcome with a broken cover, or with one there is no room for
        return image if image.is_ready else await self._store(image, picture)

    async def _begin(self, owner_id: UUID, source_sha256: str, *, lease: timedelta) -> Image:
        now = self._clock.now()
        image = Image(new_id(), owner_id, source_sha256, created_at=now, lease_until=now + lease)
        async with self._open_unit() as unit:
            return await usecases.begin_image(unit, image, self._quota)

    async def _store(self, image: Image, picture: Picture) -> Image:
        for size, data in picture.renditions.items():
            await self._blobs.put(image_key(image.id, size), _once(data))
        async with self._open_unit() as unit:
            return await usecases.complete_image(unit, image.id, picture)

    async def _abort(self, image: Image) -> None:
        async with self._open_unit() as unit:
            await usecases.abort_image(unit, image.id)

    async def _bounded(self, chunks: AsyncIterator[bytes], digest: "hashlib._Hash") -> AsyncIterator[bytes]:
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self._max_bytes:
                raise TooLarge("image_too_large", f"An image may have {self._max_bytes} bytes.")
            digest.update(chunk)  # a chunk is what one read of the socket gave: microseconds
            yield chunk


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _invalid(refusal: Refused) -> Invalid:
    sentence = IMAGE_REASONS.get(refusal.reason, "The image is not accepted.")
    return Invalid(refusal.reason, sentence, errors=[FieldError("body.file", refusal.reason, sentence)])
