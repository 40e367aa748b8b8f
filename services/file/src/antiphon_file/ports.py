"""What the inside of the file service needs from outside."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from antiphon_common.clock import Clock
from antiphon_contracts.event import Event
from antiphon_file.domain import Analysis, Image, Picture, Quota, Upload

if TYPE_CHECKING:
    from antiphon_common.blobs import BlobStore
    from antiphon_common.db import Database


class Uploads(Protocol):
    """All uploads that exist."""

    async def find(self, upload_id: UUID) -> Upload | None:
        """The upload, locked for this transaction."""

    async def twin(self, owner_id: UUID, sha256: str) -> Upload | None:
        """An upload of the same bytes by the same person that is kept or being looked at."""

    async def add(self, upload: Upload) -> None:
        """Store a new one."""

    async def save(self, upload: Upload) -> None:
        """Store a changed one."""

    async def remove(self, upload_id: UUID) -> None:
        """Forget it."""

    async def next_waiting(self, now: datetime) -> Upload | None:
        """The upload to analyse next, locked: of whoever was served longest ago, their oldest."""

    async def abandoned(self, now: datetime, limit: int) -> Sequence[Upload]:
        """Uploads whose receiver died."""

    async def settled(self, before: datetime, limit: int) -> Sequence[Upload]:
        """Rejected ones and duplicates from before a moment."""

    async def of_owner(self, owner_id: UUID, limit: int) -> Sequence[Upload]:
        """Some uploads of one person. Raises `Unavailable` when one of them is being changed."""


class Images(Protocol):
    """All images that exist."""

    async def find(self, image_id: UUID) -> Image | None:
        """The image, locked for this transaction."""

    async def twin(self, owner_id: UUID, source_sha256: str) -> Image | None:
        """A finished image that the same person's same bytes gave."""

    async def add(self, image: Image) -> None:
        """Store a new one."""

    async def save(self, image: Image) -> None:
        """Store a changed one."""

    async def remove(self, image_id: UUID) -> None:
        """Forget it."""

    async def abandoned(self, now: datetime, limit: int) -> Sequence[Image]:
        """Images whose maker died."""

    async def unused(self, before: datetime, limit: int) -> Sequence[Image]:
        """Images from before a moment that no upload, album, person or playlist shows."""

    async def of_owner(self, owner_id: UUID, limit: int) -> Sequence[Image]:
        """Some images of one person. Raises `Unavailable` when one of them is being changed."""

    async def note_use(self, subject: UUID, image_id: UUID | None, revision: int) -> None:
        """Remember what something shows now; an older revision than known is ignored."""


class Usages(Protocol):
    """What each person keeps."""

    async def reserve(self, owner_id: UUID, quota: Quota, *, size: int, files: int, images: int) -> bool:
        """Add to what a person keeps, if all of it fits: one statement, so that no race passes the quota."""

    async def hold(self, owner_id: UUID) -> None:
        """Nobody else looks for twins among this person's things until the unit ends."""

    async def release(self, owner_id: UUID, *, size: int, files: int, images: int) -> None:
        """Take from it."""

    async def close(self, owner_id: UUID) -> None:
        """Give this person no room ever again, also when nothing was heard of them before."""

    async def note_served(self, owner_id: UUID, now: datetime) -> None:
        """One of this person's files was taken up."""


class Unit(Protocol):
    """One transaction."""

    @property
    def uploads(self) -> Uploads: ...

    @property
    def images(self) -> Images: ...

    @property
    def usages(self) -> Usages: ...

    async def doom(self, *keys: str) -> None:
        """Delete these objects after the commit, whatever happens in between."""

    async def spare(self, *keys: str) -> None:
        """These objects are deleted."""

    async def announce(self, *events: Event) -> None:
        """Publish these after the commit, and only then."""

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        """Note events as handled by this consumer; those that were not yet."""


OpenUnit = Callable[[], AbstractAsyncContextManager[Unit]]


class Reader(Protocol):
    """Reads files that nobody may trust. `Refused` is a verdict, `ReaderFailed` may pass."""

    async def analyse(self, path: Path) -> Analysis:
        """Facts, tags and cover digest of an audio file."""

    async def embedded_cover(self, path: Path) -> Picture:
        """The cover inside an audio file, made safe."""

    async def picture(self, path: Path) -> Picture:
        """A picture file, made safe."""


class Gallery(Protocol):
    """Keeps pictures: room made, rendered, renditions stored, in that order."""

    async def receive(self, owner_id: UUID, chunks: AsyncIterator[bytes]) -> Image:
        """A picture that is being sent. Raises `Invalid` when it is none, `Conflict` without room."""

    async def keep_cover(self, owner_id: UUID, source_sha256: str, audio: Path) -> Image | None:
        """The cover inside an audio file; none when it is no good or there is no room for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of what may be sent, in bytes, and what one person may keep."""

    audio_bytes: int
    image_bytes: int
    quota: Quota


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything the routes and the duties in the background hold."""

    database: "Database"
    open_unit: OpenUnit
    clock: Clock
    blobs: "BlobStore"
    reader: Reader
    gallery: Gallery
    limits: Limits
    wake_analysts: Callable[[UUID], None]
