"""What changes uploads and images. Each function receives an open unit; the caller commits.

Objects in the blob store follow the rows: a row is committed before its objects are stored, and removed
before they are deleted. So an object without a row is always rubbish, whenever a process was killed.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from antiphon_common.errors import Conflict, NotFound, Unavailable
from antiphon_common.principal import Principal
from antiphon_contracts.auth import AccountDeleted
from antiphon_contracts.catalog import (
    AlbumChanged,
    AlbumDeleted,
    ArtistChanged,
    ArtistDeleted,
    TrackChanged,
    TrackDeleted,
)
from antiphon_contracts.file import Audio, Tags, UploadDeleted, UploadReady
from antiphon_contracts.playlist import PlaylistChanged, PlaylistDeleted
from antiphon_contracts.user import ProfileChanged
from antiphon_file.domain import (
    LEASE,
    MAX_CLAIMS,
    MAX_FAILURES,
    REFERENCE_LUFS,
    Analysis,
    Form,
    Image,
    Picture,
    Quota,
    Upload,
    audio_key,
    image_key,
    image_keys,
    merged,
)
from antiphon_file.ports import Unit

_BATCH: Final = 100
_SETTLED_KEPT: Final = timedelta(days=30)
_UNUSED_IMAGE_KEPT: Final = timedelta(days=1)
_RETRY_AFTER: Final = timedelta(seconds=2)


async def begin_upload(unit: Unit, upload: Upload, quota: Quota) -> None:
    """Reserve room before the first byte is read. Raises `Conflict` when there is not enough of it."""
    if not await unit.usages.reserve(upload.owner_id, quota, size=upload.size, files=1, images=0):
        raise Conflict("quota_exceeded", "There is no room for this file in your quota.")
    await unit.uploads.add(upload)


async def extend_upload(unit: Unit, upload_id: UUID, until: datetime) -> bool:
    """Show that an upload is still being received or analysed; false when it is gone."""
    upload = await unit.uploads.find(upload_id)
    if upload is None or upload.state not in {"receiving", "analysing"}:
        return False
    await unit.uploads.save(replace(upload, lease_until=until))
    return True


async def abort_upload(unit: Unit, upload_id: UUID) -> None:
    """Forget an upload that did not arrive; nothing was promised about it."""
    upload = await unit.uploads.find(upload_id)
    if upload is not None and upload.state == "receiving":
        await _remove(unit, upload)


async def finish_upload(
    unit: Unit, upload_id: UUID, *, size: int, sha256: str, filename: str | None, form: Form,
    cover: Image | None, now: datetime,
) -> Upload:  # fmt: skip
    """The bytes are stored: from here on the upload ends in `ready`, `rejected` or `duplicate`, come what
    may.
    """
    upload = await unit.uploads.find(upload_id)
    if upload is None or upload.state != "receiving":
        raise Unavailable("upload_interrupted", "The upload took too long and was given up.")
    received = replace(
        upload, size=size, sha256=sha256, filename=filename, form=form, lease_until=now,
        cover_id=cover.id if cover else None, dominant_color=cover.dominant_color if cover else None,
    )  # fmt: skip
    await unit.usages.hold(upload.owner_id)
    twin = await unit.uploads.twin(upload.owner_id, sha256)
    if twin is not None:
        received = replace(received, state="duplicate", duplicate_of=twin.id)
        await unit.usages.release(upload.owner_id, size=upload.size, files=1, images=0)
        await unit.doom(audio_key(upload.id))
    else:
        received = replace(received, state="analysing")
        await unit.usages.release(upload.owner_id, size=upload.size - size, files=0, images=0)
    await unit.uploads.save(received)
    return received


async def claim_upload(unit: Unit, now: datetime) -> Upload | None:
    """Take the next upload to analyse, or none. An upload that always ends the service itself is given up."""
    while True:
        upload = await unit.uploads.next_waiting(now)
        if upload is None:
            return None
        if upload.claims >= MAX_CLAIMS:
            await reject_upload(unit, upload.id, "analysis_failed")
            continue
        claimed = replace(upload, lease_until=now + LEASE, claims=upload.claims + 1)
        await unit.uploads.save(claimed)
        await unit.usages.note_served(upload.owner_id, now)
        return claimed


async def put_back_upload(unit: Unit, upload_id: UUID, free_at: datetime) -> None:
    """The analysis was interrupted by no fault of the file: it counts as if it had not begun."""
    upload = await unit.uploads.find(upload_id)
    if upload is not None and upload.state == "analysing":
        await unit.uploads.save(replace(upload, lease_until=free_at, claims=max(upload.claims - 1, 0)))


async def note_failure(unit: Unit, upload_id: UUID, now: datetime) -> None:
    """The reader broke on this upload: it gets another try, but not for ever."""
    upload = await unit.uploads.find(upload_id)
    if upload is None or upload.state != "analysing":
        return
    if upload.failures + 1 >= MAX_FAILURES:
        await reject_upload(unit, upload_id, "analysis_failed")
        return
    await unit.uploads.save(replace(upload, failures=upload.failures + 1, lease_until=now + _RETRY_AFTER))


async def reject_upload(unit: Unit, upload_id: UUID, reason: str) -> bool:
    """The file is no good: the row stays and says why, the room is free again. False when it was gone."""
    upload = await unit.uploads.find(upload_id)
    if upload is None or upload.state != "analysing":
        return False
    await unit.usages.release(upload.owner_id, size=upload.size, files=1, images=0)
    await unit.doom(audio_key(upload.id))
    await unit.uploads.save(replace(upload, state="rejected", reason=reason))
    return True


async def complete_upload(unit: Unit, upload_id: UUID, analysis: Analysis, cover: Image | None) -> bool:
    """The file is good: tell the catalogue. False when the upload was deleted meanwhile."""
    upload = await unit.uploads.find(upload_id)
    if upload is None or upload.state != "analysing":
        return False
    ready = replace(
        upload, state="ready", facts=analysis.facts, said=analysis.said, revision=upload.revision + 1
    )
    if cover is not None and upload.cover_id is None:
        ready = replace(ready, cover_id=cover.id, dominant_color=cover.dominant_color)
    await unit.uploads.save(ready)
    await unit.announce(announcement(ready))
    return True


async def delete_upload(unit: Unit, upload_id: UUID, principal: Principal) -> None:
    """Remove an upload of one's own, or any as an administrator. Raises `NotFound` for everybody else."""
    upload = await unit.uploads.find(upload_id)
    if upload is None or not (upload.owner_id == principal.user_id or principal.is_admin):
        raise NotFound("upload_not_found", "There is no such upload.")
    if upload.state == "receiving":
        raise Conflict("upload_in_progress", "The upload is still being received.")
    await _remove(unit, upload)


async def begin_image(unit: Unit, image: Image, quota: Quota) -> Image:
    """Make room for an image, or find that the same bytes were made into one before: then that one.

    A picture that has yet to arrive has no digest.
    """
    known = image.source_sha256
    await unit.usages.hold(image.owner_id)
    twin = await unit.images.twin(image.owner_id, known) if known else None
    if twin is not None:
        return twin
    if not await unit.usages.reserve(image.owner_id, quota, size=0, files=0, images=1):
        raise Conflict("quota_exceeded", "You have as many images as you may keep.")
    await unit.images.add(image)
    return image


async def identify_image(unit: Unit, image_id: UUID, source_sha256: str) -> Image:
    """The bytes have arrived. When the same ones were made into an image before, that one takes its place."""
    image = await unit.images.find(image_id)
    if image is None:
        raise Unavailable("image_interrupted", "The image took too long and was given up.")
    await unit.usages.hold(image.owner_id)
    twin = await unit.images.twin(image.owner_id, source_sha256)
    if twin is not None:
        await _remove_image(unit, image)
        return twin
    identified = replace(image, source_sha256=source_sha256)
    await unit.images.save(identified)
    return identified


async def complete_image(unit: Unit, image_id: UUID, picture: Picture) -> Image:
    """All renditions are stored; the original is not kept."""
    image = await unit.images.find(image_id)
    if image is None:
        raise Unavailable("image_interrupted", "The image took too long and was given up.")
    await unit.doom(image_key(image_id, "source"))
    ready = replace(
        image, width=picture.width, height=picture.height, dominant_color=picture.dominant_color,
        sizes=tuple(sorted(picture.renditions)),
    )  # fmt: skip
    await unit.images.save(ready)
    return ready


async def abort_image(unit: Unit, image_id: UUID) -> None:
    """Forget an image that could not be made."""
    image = await unit.images.find(image_id)
    if image is not None and not image.is_ready:
        await _remove_image(unit, image)


async def note_image_use(
    unit: Unit, event: ArtistChanged | AlbumChanged | ProfileChanged | PlaylistChanged
) -> None:
    """Remember which image an artist, album, person or playlist shows, so that it is kept."""
    match event:
        case ArtistChanged():
            image_id = event.image_id
        case ProfileChanged():
            image_id = event.avatar_id
        case _:
            image_id = event.cover_id
    await unit.images.note_use(event.subject, image_id, event.revision)


async def forget_image_use(unit: Unit, event: ArtistDeleted | AlbumDeleted | PlaylistDeleted) -> None:
    """What is gone shows nothing."""
    await unit.images.note_use(event.subject, None, event.revision)


async def apply_track(unit: Unit, event: TrackChanged) -> None:
    """Remember which track an upload became, and which image the track shows."""
    upload = await unit.uploads.find(event.upload_id)
    if upload is not None and event.revision >= upload.track_revision:
        await unit.uploads.save(replace(upload, track_id=event.subject, track_revision=event.revision))
    await unit.images.note_use(event.subject, event.cover_id, event.revision)


async def forget_track(unit: Unit, event: TrackDeleted) -> None:
    """A track is gone, so its bytes go too."""
    upload = await unit.uploads.find(event.upload_id)
    if upload is not None and upload.state == "ready":
        await _remove(unit, upload)
    await unit.images.note_use(event.subject, None, event.revision)


async def erase_owner(unit: Unit, event: AccountDeleted) -> None:
    """A person is gone with all they sent; the tombstone refuses what they send while a token still lives."""
    # First, so that whatever is begun at this moment is either found below or refused.
    await unit.usages.close(event.subject)
    while uploads := await unit.uploads.of_owner(event.subject, _BATCH):
        for upload in uploads:
            await _remove(unit, upload)
    while images := await unit.images.of_owner(event.subject, _BATCH):
        for image in images:
            await _remove_image(unit, image)


async def forget_abandoned(unit: Unit, now: datetime) -> int:
    """Remove what a killed process left half received or half made, and what is long settled; how many."""
    things: Sequence[Upload | Image] = [
        *await unit.uploads.abandoned(now, _BATCH),
        *await unit.uploads.settled(now - _SETTLED_KEPT, _BATCH),
        *await unit.images.abandoned(now, _BATCH),
        *await unit.images.unused(now - _UNUSED_IMAGE_KEPT, _BATCH),
    ]
    # By owner, because each one's room is locked: two instances that do this at once never wait in a circle.
    for thing in sorted(things, key=lambda thing: thing.owner_id):
        if isinstance(thing, Upload):
            await _remove(unit, thing)
        else:
            await _remove_image(unit, thing)
    return len(things)


def announcement(upload: Upload) -> UploadReady:
    """The event of an upload that is ready."""
    facts, said = upload.facts, upload.said
    if facts is None or said is None or upload.sha256 is None:
        raise ValueError("only an analysed upload can be announced")
    loudness = facts.loudness_lufs
    words = merged(upload.form, said)
    return UploadReady(
        subject=upload.id,
        revision=upload.revision,
        owner_id=upload.owner_id,
        audio=Audio(
            blob_key=audio_key(upload.id),
            mime=facts.mime,
            codec=facts.codec,
            bytes=upload.size,
            sha256=upload.sha256,
            bitrate=facts.bitrate,
            sample_rate=facts.sample_rate,
            channels=facts.channels,
            duration_ms=facts.duration_ms,
            loudness_lufs=loudness,
            gain_db=None if loudness is None else round(REFERENCE_LUFS - loudness, 2),
            peak=facts.peak,
        ),
        tags=Tags(**{name: getattr(words, name) for name in Tags.model_fields}),
        waveform=facts.waveform,
        visibility=upload.form.visibility,
        cover_id=upload.cover_id,
        dominant_color=upload.dominant_color,
        created_at=upload.created_at,
    )


async def _remove(unit: Unit, upload: Upload) -> None:
    """Forget an upload, free its room, and tell those who were told of it."""
    if upload.state in {"receiving", "analysing", "ready"}:
        await unit.usages.release(upload.owner_id, size=upload.size, files=1, images=0)
        await unit.doom(audio_key(upload.id))
    await unit.uploads.remove(upload.id)
    if upload.state == "ready":
        gone = UploadDeleted(subject=upload.id, revision=upload.revision + 1, owner_id=upload.owner_id)
        await unit.announce(gone)


async def _remove_image(unit: Unit, image: Image) -> None:
    await unit.usages.release(image.owner_id, size=0, files=0, images=1)
    await unit.doom(*image_keys(image.id))
    await unit.images.remove(image.id)
