"""Remembers uploads, images and what people keep: rows in, dataclasses out."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from antiphon_common.clock import Clock
from antiphon_common.db import Database, get_locked, hold, inbox, insert_for, outbox
from antiphon_contracts.event import Event
from antiphon_file.domain import AudioFacts, Form, Image, Quota, Said, Upload
from antiphon_file.tables import INBOX, OUTBOX, DoomedRow, ImageRow, ImageUseRow, UploadRow, UsageRow

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class SqlUploads:
    """`Uploads` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, upload_id: UUID) -> Upload | None:
        row = await self._session.get(UploadRow, upload_id, with_for_update=True)
        return upload_of(row) if row else None

    async def twin(self, owner_id: UUID, sha256: str) -> Upload | None:
        kept = UploadRow.state.in_(("analysing", "ready"))
        query = select(UploadRow).where(UploadRow.owner_id == owner_id, UploadRow.sha256 == sha256, kept)
        row = (await self._session.scalars(query.order_by(UploadRow.id).limit(1))).first()
        return upload_of(row) if row else None

    async def add(self, upload: Upload) -> None:
        self._session.add(_upload_row(upload))

    async def save(self, upload: Upload) -> None:
        await self._session.merge(_upload_row(upload))
        await self._session.flush()

    async def remove(self, upload_id: UUID) -> None:
        await self._session.execute(delete(UploadRow).where(UploadRow.id == upload_id))

    async def next_waiting(self, now: datetime) -> Upload | None:
        query = (
            select(UploadRow)
            .join(UsageRow, UsageRow.owner_id == UploadRow.owner_id)
            .where(UploadRow.state == "analysing", UploadRow.lease_until <= now)
            .order_by(UsageRow.served_at, UploadRow.id)
            .limit(1)
            .with_for_update(of=UploadRow, skip_locked=True)
        )
        row = (await self._session.scalars(query)).first()
        return upload_of(row) if row else None

    async def abandoned(self, now: datetime, limit: int) -> Sequence[Upload]:
        return await self._some(UploadRow.state == "receiving", UploadRow.lease_until <= now, limit=limit)

    async def settled(self, before: datetime, limit: int) -> Sequence[Upload]:
        finished = UploadRow.state.in_(("rejected", "duplicate"))
        return await self._some(finished, UploadRow.lease_until <= before, limit=limit)

    async def of_owner(self, owner_id: UUID, limit: int) -> Sequence[Upload]:
        # One that somebody holds is not passed over: this unit fails, and is tried again.
        query = select(UploadRow).where(UploadRow.owner_id == owner_id).limit(limit)
        return [upload_of(row) for row in await self._session.scalars(query.with_for_update(nowait=True))]

    async def _some(self, *conditions: Any, limit: int) -> Sequence[Upload]:
        query = select(UploadRow).where(*conditions).limit(limit).with_for_update(skip_locked=True)
        return [upload_of(row) for row in await self._session.scalars(query)]


class SqlImages:
    """`Images` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, image_id: UUID) -> Image | None:
        row = await self._session.get(ImageRow, image_id, with_for_update=True)
        return image_of(row) if row else None

    async def twin(self, owner_id: UUID, source_sha256: str) -> Image | None:
        same = (ImageRow.owner_id == owner_id, ImageRow.source_sha256 == source_sha256, ImageRow.width > 0)
        row = (await self._session.scalars(select(ImageRow).where(*same).limit(1))).first()
        return image_of(row) if row else None

    async def add(self, image: Image) -> None:
        self._session.add(_image_row(image))

    async def save(self, image: Image) -> None:
        await self._session.merge(_image_row(image))
        await self._session.flush()

    async def remove(self, image_id: UUID) -> None:
        await self._session.execute(delete(ImageRow).where(ImageRow.id == image_id))

    async def abandoned(self, now: datetime, limit: int) -> Sequence[Image]:
        return await self._some(ImageRow.width == 0, ImageRow.lease_until <= now, limit=limit)

    async def unused(self, before: datetime, limit: int) -> Sequence[Image]:
        shown = exists().where(UploadRow.cover_id == ImageRow.id)
        used = exists().where(ImageUseRow.image_id == ImageRow.id)
        old = ImageRow.created_at <= before
        return await self._some(old, ImageRow.width > 0, ~shown, ~used, limit=limit)

    async def of_owner(self, owner_id: UUID, limit: int) -> Sequence[Image]:
        query = select(ImageRow).where(ImageRow.owner_id == owner_id).limit(limit)
        return [image_of(row) for row in await self._session.scalars(query.with_for_update(nowait=True))]

    async def note_use(self, subject: UUID, image_id: UUID | None, revision: int) -> None:
        known = await get_locked(self._session, ImageUseRow, subject)
        if known is None or revision >= known.revision:
            await self._session.merge(ImageUseRow(subject=subject, image_id=image_id, revision=revision))

    async def _some(self, *conditions: Any, limit: int) -> Sequence[Image]:
        query = select(ImageRow).where(*conditions).limit(limit).with_for_update(skip_locked=True)
        return [image_of(row) for row in await self._session.scalars(query)]


class SqlUsages:
    """`Usages` in SQL."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def reserve(self, owner_id: UUID, quota: Quota, *, size: int, files: int, images: int) -> bool:
        first = insert_for(self._session, UsageRow).values(
            owner_id=owner_id, size=0, files=0, images=0, served_at=_NEVER
        )
        await self._session.execute(first.on_conflict_do_nothing())
        fits = (
            UsageRow.size + size <= quota.size,
            UsageRow.files + files <= quota.files,
            UsageRow.images + images <= quota.images,
            ~UsageRow.erased,
        )
        change = _added(size, files, images).where(UsageRow.owner_id == owner_id, *fits)
        done = await self._session.execute(change.returning(UsageRow.owner_id))
        return done.first() is not None

    async def hold(self, owner_id: UUID) -> None:
        await hold(self._session, "twins", owner_id)

    async def release(self, owner_id: UUID, *, size: int, files: int, images: int) -> None:
        await self._session.execute(_added(-size, -files, -images).where(UsageRow.owner_id == owner_id))

    async def close(self, owner_id: UUID) -> None:
        tombstone = insert_for(self._session, UsageRow).values(
            owner_id=owner_id, size=0, files=0, images=0, served_at=_NEVER, erased=True
        )
        change = tombstone.on_conflict_do_update(index_elements=[UsageRow.owner_id], set_={"erased": True})
        await self._session.execute(change)

    async def note_served(self, owner_id: UUID, now: datetime) -> None:
        change = update(UsageRow).where(UsageRow.owner_id == owner_id).values(served_at=now)
        await self._session.execute(change)


def _added(size: int, files: int, images: int) -> Any:
    return update(UsageRow).values(
        size=UsageRow.size + size, files=UsageRow.files + files, images=UsageRow.images + images
    )


class SqlUnit:
    """One transaction of this service."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self.uploads = SqlUploads(session)
        self.images = SqlImages(session)
        self.usages = SqlUsages(session)
        self.announced = False
        self.doomed = False

    async def doom(self, *keys: str) -> None:
        self.doomed = True
        rows = [{"key": key} for key in keys]
        await self._session.execute(insert_for(self._session, DoomedRow).on_conflict_do_nothing(), rows)

    async def spare(self, *keys: str) -> None:
        await self._session.execute(delete(DoomedRow).where(DoomedRow.key.in_(keys)))

    async def announce(self, *events: Event) -> None:
        self.announced = True
        await outbox.announce(self._session, OUTBOX, events, self._clock)

    async def first_time(self, consumer: str, event_ids: Sequence[UUID]) -> set[UUID]:
        return await inbox.first_time(self._session, INBOX, consumer, event_ids, self._clock)


@asynccontextmanager
async def unit_of_work(
    database: Database, clock: Clock, relay: outbox.Relay, sweep: Callable[[], None]
) -> AsyncIterator[SqlUnit]:
    """Open a unit; it is committed when the block ends, and then the relay and the sweeper are told."""
    async with database.write() as session:
        unit = SqlUnit(session, clock)
        yield unit
    if unit.announced:
        relay.wake()
    if unit.doomed:
        sweep()


def upload_of(row: UploadRow | Row[Any]) -> Upload:
    """An upload from its row, or from a result with the same columns."""
    values = {name: getattr(row, name) for name in UploadRow.__table__.columns.keys()}  # noqa: SIM118
    said = row.said
    if said is not None:
        values["said"] = Said(**{**said, "artists": tuple(said["artists"]), "genres": tuple(said["genres"])})
    if row.facts is not None:
        values["facts"] = AudioFacts(**row.facts)
    return Upload(**{**values, "form": Form(**row.form)})


def image_of(row: ImageRow | Row[Any]) -> Image:
    """An image from its row, or from a result with the same columns."""
    values = {name: getattr(row, name) for name in ImageRow.__table__.columns.keys()}  # noqa: SIM118
    return Image(**{**values, "sizes": tuple(row.sizes)})


def _upload_row(upload: Upload) -> UploadRow:
    values = {name: getattr(upload, name) for name in UploadRow.__table__.columns.keys()}  # noqa: SIM118
    return UploadRow(
        **{
            **values,
            "form": asdict(upload.form),
            "facts": asdict(upload.facts) if upload.facts else None,
            "said": asdict(upload.said) if upload.said else None,
        }
    )


def _image_row(image: Image) -> ImageRow:
    values = {name: getattr(image, name) for name in ImageRow.__table__.columns.keys()}  # noqa: SIM118
    return ImageRow(**{**values, "sizes": list(image.sizes)})
