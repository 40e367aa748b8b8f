"""What changes the projection of the catalogue, and what is announced of the listening."""

from collections.abc import Sequence

from antiphon_common.ids import new_id
from antiphon_contracts.catalog import TrackChanged, TrackDeleted
from antiphon_contracts.stream import AudioServed
from antiphon_stream.domain import Credit, Track
from antiphon_stream.ports import Unit


async def apply_track(unit: Unit, event: TrackChanged) -> None:
    """A track as it is now: which audio it has, and who may hear it."""
    if event.revision < await unit.tracks.revision(event.subject):
        return
    audio = event.audio
    await unit.tracks.save(
        Track(
            id=event.subject,
            revision=event.revision,
            owner_id=event.owner_id,
            status=event.status,
            visibility=event.visibility,
            blob_key=audio.blob_key,
            mime=audio.mime,
            bytes=audio.bytes,
            sha256=audio.sha256,
            bitrate=audio.bitrate,
            duration_ms=audio.duration_ms,
            gain_db=audio.gain_db,
        )
    )


async def forget_track(unit: Unit, event: TrackDeleted) -> None:
    """A track is gone for good."""
    if event.revision >= await unit.tracks.revision(event.subject):
        await unit.tracks.bury(event.subject, owner_id=event.owner_id, revision=event.revision)


async def announce_credits(unit: Unit, credits_: Sequence[Credit]) -> None:
    """Say that so much was served that each of these may count as a play."""
    await unit.announce(
        *(
            AudioServed(
                subject=new_id(),
                revision=1,
                user_id=credit.heard.user_id,
                track_id=credit.heard.track_id,
                served_ms=credit.served_ms,
                started_at=credit.started_at,
                served_at=credit.served_at,
            )
            for credit in credits_
        )
    )
