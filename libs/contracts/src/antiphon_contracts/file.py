"""Published by file: uploads that were analysed, and uploads that are gone."""

from typing import ClassVar
from uuid import UUID

from antiphon_contracts.event import Event, Timestamp, Value, Visibility


class Audio(Value):
    """Facts of one stored audio file, measured, never taken from its tags.

    `blob_key` names it in the blob store. `bytes` is its size, `sha256` the hex digest of these bytes.
    `bitrate` is in bit/s, `duration_ms` in milliseconds, `loudness_lufs` is the integrated loudness of
    EBU R128 (none when silent), `gain_db` what brings it to -18 LUFS, `peak` the true peak as a linear
    factor (1.0 is full scale).
    """

    blob_key: str
    mime: str
    codec: str
    bytes: int
    sha256: str
    bitrate: int
    sample_rate: int
    channels: int
    duration_ms: int
    loudness_lufs: float | None = None
    gain_db: float | None = None
    peak: float | None = None


class Tags(Value):
    """What the file (or the uploader's form, which wins) says about the music. All of it may be missing.

    `artists` are the tag's separate values as written; splitting "A feat. B" is the catalogue's business.
    `release_date` is `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    """

    title: str | None = None
    artists: tuple[str, ...] = ()
    album: str | None = None
    album_artist: str | None = None
    track_number: int | None = None
    disc_number: int | None = None
    release_date: str | None = None
    genres: tuple[str, ...] = ()
    explicit: bool = False
    compilation: bool = False


class UploadReady(Event):
    """An upload passed analysis. `subject` is the upload id.

    `waveform` is base64 of 1000 (min, max) pairs of int8. `cover_id` names an image of the file service.
    """

    type: ClassVar[str] = "file.upload_ready"

    owner_id: UUID
    audio: Audio
    tags: Tags
    waveform: str
    visibility: Visibility = "public"
    cover_id: UUID | None = None
    dominant_color: str | None = None
    created_at: Timestamp


class UploadDeleted(Event):
    """An upload and its bytes are gone. `subject` is the upload id."""

    type: ClassVar[str] = "file.upload_deleted"

    owner_id: UUID
