"""Reads: SQL to views."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, exists, or_, select

from antiphon_common.db import Database
from antiphon_common.errors import FieldError, Invalid, NotFound
from antiphon_common.pages import Page, decode_cursor, page_of
from antiphon_common.principal import Principal
from antiphon_contracts.file import UploadReady
from antiphon_file.domain import IMAGE_SIZES, REASONS, Image, State
from antiphon_file.repository import image_of, upload_of
from antiphon_file.tables import DoomedRow, ImageRow, UploadRow, UsageRow
from antiphon_file.usecases import announcement

_SCOPE = "uploads"
_BATCH = 200


@dataclass(frozen=True, slots=True)
class UploadView:
    """An upload as its owner sees it. `reason` is a code, `detail` the sentence that goes with it."""

    id: UUID
    state: str
    reason: str | None
    detail: str | None
    filename: str | None
    bytes: int
    sha256: str | None
    title: str | None
    artists: Sequence[str]
    duration_ms: int | None
    track_id: UUID | None
    duplicate_of: UUID | None
    cover: UUID | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UsageView:
    """How much one person keeps."""

    bytes_used: int
    files_used: int


@dataclass(frozen=True, slots=True)
class ImageView:
    """An image and where its sizes are."""

    id: UUID
    width: int
    height: int
    dominant_color: str
    urls: dict[str, str]


async def my_uploads(
    database: Database, owner_id: UUID, *, state: State | None, limit: int, cursor: str | None
) -> Page[UploadView]:
    """One's own uploads, newest first."""
    query = select(*UploadRow.__table__.columns).where(UploadRow.owner_id == owner_id)
    if state is not None:
        query = query.where(UploadRow.state == state)
    if cursor is not None:
        query = query.where(UploadRow.id < _after(cursor))
    async with database.read() as connection:
        rows = (await connection.execute(query.order_by(UploadRow.id.desc()).limit(limit + 1))).all()
    return page_of([_view(row) for row in rows], limit, scope=_SCOPE, key=lambda view: (str(view.id),))


async def my_usage(database: Database, owner_id: UUID) -> UsageView:
    """What one person keeps."""
    query = select(UsageRow.size, UsageRow.files).where(UsageRow.owner_id == owner_id)
    async with database.read() as connection:
        row = (await connection.execute(query)).first()
    return UsageView(*row) if row else UsageView(0, 0)


async def upload(database: Database, upload_id: UUID, principal: Principal) -> UploadView:
    """One upload, for its owner or an administrator. Raises `NotFound` for everybody else."""
    query = select(*UploadRow.__table__.columns).where(UploadRow.id == upload_id)
    async with database.read() as connection:
        row = (await connection.execute(query)).first()
    if row is None or not (row.owner_id == principal.user_id or principal.is_admin):
        raise NotFound("upload_not_found", "There is no such upload.")
    return _view(row)


async def image(database: Database, image_id: UUID) -> Image:
    """One finished image. Raises `NotFound`."""
    query = select(*ImageRow.__table__.columns).where(ImageRow.id == image_id)
    async with database.read() as connection:
        row = (await connection.execute(query)).first()
    if row is None or not image_of(row).is_ready:
        raise NotFound("image_not_found", "There is no such image.")
    return image_of(row)


def image_view(found: Image) -> ImageView:
    """An image as its maker sees it."""
    urls = {str(size): f"/api/images/{found.id}?size={size}" for size in IMAGE_SIZES}
    return ImageView(found.id, found.width, found.height, found.dominant_color, urls)


async def current_events(database: Database) -> AsyncIterator[UploadReady]:
    """The state of every ready upload as events, to refill a consumer's projection."""
    last = UUID(int=0)
    while True:
        ready = select(*UploadRow.__table__.columns).where(UploadRow.state == "ready", UploadRow.id > last)
        async with database.read() as connection:
            rows = (await connection.execute(ready.order_by(UploadRow.id).limit(_BATCH))).all()
        for row in rows:
            yield announcement(upload_of(row))
        if len(rows) < _BATCH:
            return
        last = rows[-1].id


async def has_waiting(database: Database, now: datetime) -> bool:
    """Whether an upload waits for analysis; asked first, because taking one needs the writer's lock."""
    waiting = select(UploadRow.id).where(UploadRow.state == "analysing", UploadRow.lease_until <= now)
    async with database.read() as connection:
        return (await connection.execute(waiting.limit(1))).first() is not None


async def doomed_keys(database: Database, limit: int) -> Sequence[str]:
    """Some objects to delete."""
    async with database.read() as connection:
        return (await connection.execute(select(DoomedRow.key).limit(limit))).scalars().all()


async def has_abandoned(database: Database, now: datetime) -> bool:
    """Whether a killed process left something half received or half made."""
    upload = exists().where(UploadRow.state == "receiving", UploadRow.lease_until <= now)
    image = exists().where(ImageRow.width == 0, ImageRow.lease_until <= now)
    async with database.read() as connection:
        return bool((await connection.execute(select(or_(upload, image)))).scalar())


async def existing(database: Database, kind: str, ids: Collection[UUID]) -> set[UUID]:
    """Which of these uploads (those that keep their bytes) or images have a row."""
    if kind == "audio":
        keeps = UploadRow.state.in_(("receiving", "analysing", "ready"))
        query = select(UploadRow.id).where(UploadRow.id.in_(ids), keeps)
    else:
        query = select(ImageRow.id).where(ImageRow.id.in_(ids))
    async with database.read() as connection:
        return set((await connection.execute(query)).scalars())


def _after(cursor: str) -> UUID:
    (last,) = decode_cursor(_SCOPE, cursor, str)
    try:
        return UUID(str(last))
    except ValueError as error:  # the cursor's checksum has no key: anybody may make one of any text
        field = FieldError("query.cursor", "invalid_cursor", "This cursor was not made by this list.")
        raise Invalid("invalid_cursor", "The cursor is not valid.", errors=[field]) from error


def _view(row: Row[Any]) -> UploadView:
    found = upload_of(row)
    words = announcement(found).tags if found.state == "ready" else None
    return UploadView(
        id=found.id,
        state=found.state,
        reason=found.reason,
        detail=REASONS.get(found.reason) if found.reason else None,
        filename=found.filename,
        bytes=found.size,
        sha256=found.sha256,
        title=words.title if words else found.form.title,
        artists=words.artists if words else [found.form.artist] if found.form.artist else [],
        duration_ms=found.facts.duration_ms if found.facts else None,
        track_id=found.track_id,
        duplicate_of=found.duplicate_of,
        cover=found.cover_id,
        created_at=found.created_at,
    )
