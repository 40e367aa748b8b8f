"""What an owner or administrator does with a track."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from antiphon_catalog.domain.folding import fold
from antiphon_catalog.domain.music import Track, check_publishable
from antiphon_catalog.ports import Unit
from antiphon_catalog.usecases.storing import remove_track, store_track
from antiphon_catalog.usecases.wishes import (
    Editing,
    TrackChange,
    rehomed,
    wished_album,
    wished_credits,
)
from antiphon_common.errors import Conflict, NotFound


async def change_track(unit: Unit, track_id: UUID, change: TrackChange, by: Editing) -> Track:
    """Set fields of a track. Raises `NotFound`, `Stale`, or `Conflict` for unknown artists and albums."""
    before = await _own(unit, track_id, by)
    after = await _changed(unit, before, change, by)
    return await store_track(unit, before, after, at=by.at)


async def complete_upload(unit: Unit, upload_id: UUID, change: TrackChange, by: Editing) -> Track:
    """Publish the draft of an upload. Raises `Conflict` when it is a track already, or still incomplete."""
    before = await unit.tracks.of_upload(upload_id, by.owner_id)
    if before is None:
        raise NotFound("upload_not_found", "There is no such upload, or it is not ready yet.")
    if before.status != "draft":
        raise Conflict("already_a_track", "This upload is a track already.")
    after = _published(await _changed(unit, before, change, by), by)
    return await store_track(unit, before, after, at=by.at)


async def publish_track(unit: Unit, track_id: UUID, by: Editing) -> Track:
    """Publish a draft or a withdrawn track; a published one stays as it is."""
    before = await _own(unit, track_id, by)
    return await store_track(unit, before, _published(before, by), at=by.at)


async def withdraw_track(unit: Unit, track_id: UUID, by: Editing) -> Track:
    """Take a published track back; anything else is not published anyway."""
    before = await _own(unit, track_id, by)
    after = replace(before, status="withdrawn") if before.status == "published" else before
    return await store_track(unit, before, after, at=by.at)


async def delete_track(unit: Unit, track_id: UUID, by: Editing) -> None:
    """Delete a track, and by the event of it its upload."""
    await remove_track(unit, await _own(unit, track_id, by), at=by.at)


async def _own(unit: Unit, track_id: UUID, by: Editing) -> Track:
    track = await unit.tracks.find(track_id, by.owner_id)
    if track is None:
        raise NotFound("track_not_found", "There is no such track.")
    by.expected.check(track.revision)
    return track


async def _changed(unit: Unit, before: Track, change: TrackChange, by: Editing) -> Track:
    values: dict[str, Any] = dict(change.values)
    if "genres" in values:
        values["genres"] = _distinct(values["genres"])
    if values.get("cover_id", before.cover_id) != before.cover_id:
        # The colour was measured on the old cover.
        values["dominant_color"] = None
    after = replace(before, **values)
    if change.artists is not None:
        credits_ = await wished_credits(unit, before.owner_id, change.artists, at=by.at)
        after = await rehomed(unit, replace(after, credits=credits_), at=by.at)
    if change.album is not None:
        after = replace(after, album=await wished_album(unit, after, change.album, at=by.at))
    return after


def _published(track: Track, by: Editing) -> Track:
    check_publishable(track)
    return replace(track, status="published", published_at=track.published_at or by.at)


def _distinct(genres: list[str]) -> tuple[str, ...]:
    by_key: dict[str, str] = {}
    for genre in genres:
        by_key.setdefault(fold(genre), genre)
    return tuple(by_key.values())
