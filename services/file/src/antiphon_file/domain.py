"""What an upload and an image are, and the rules about them: states, reasons, quotas. Pure."""

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

# Every way an upload can be refused after it arrived: the stable code and the sentence a person reads.
REASONS: Final[dict[str, str]] = {
    "not_audio": "The file holds no audio of any kind that is known here.",
    "empty": "The file has no bytes.",
    "truncated": "The file ends before its audio does.",
    "zero_length": "The file is well formed but holds no sound.",
    "too_large": "The file is larger than the limit.",
    "too_long": "The audio is longer than the limit.",
    "tag_bomb": "The tags of the file unpack to far more than tags need.",
    "unsupported_format": "Only MP3, FLAC, Ogg Vorbis, Opus, M4A/AAC and WAV are accepted.",
    "corrupt": "Too much of the audio cannot be decoded.",
    "analysis_timeout": "The file took too long to read.",
    "analysis_failed": "The file could not be read, also not when tried again.",
}

IMAGE_REASONS: Final[dict[str, str]] = {
    "not_an_image": "Only JPEG, PNG and WebP images are accepted.",
    "image_too_large": "The image has more than 25 million pixels, a side over 20,000 or more than 8 MB.",
    "image_broken": "The image cannot be decoded.",
}

IMAGE_SIZES: Final = (64, 160, 320, 640, 1280)


State = Literal["receiving", "analysing", "ready", "rejected", "duplicate"]
Visibility = Literal["public", "unlisted", "private"]

# How long a receiver or analyst is believed to live without a sign of life.
LEASE: Final = timedelta(seconds=15)
IMAGE_LEASE: Final = timedelta(minutes=5)
MAX_FAILURES: Final = 3
MAX_CLAIMS: Final = 50  # a file that takes the whole service down with it must not do so for ever
REFERENCE_LUFS: Final = -18.0

MAX_GRAPHEMES: Final = 1000
MAX_CODE_POINTS: Final = 4000  # the contract's bound; reached only by stacks of combining marks
_RAW_LIMIT: Final = (
    20_000  # normalising is linear but not free: text beyond this is cut before it is looked at
)
# Joiners shape Persian words and emoji; every other invisible format character only misleads a reader.
_KEPT_FORMAT: Final = {"\u200c", "\u200d"}
_DROPPED: Final = {"Cc", "Cf", "Cs", "Co"}
_BREAKS: Final = dict.fromkeys(map(ord, "\t\n\r\x0b\x0c\x85\u2028\u2029"), " ")


class Refused(Exception):
    """The input is what it is: no retry will change it. `reason` is a key of REASONS or IMAGE_REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ReaderFailed(Exception):
    """The process that read the file broke; it may have been the file or not."""


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """Measured: bit/s, Hz, milliseconds, LUFS, linear true peak, base64 of 1000 (min, max) int8 pairs."""

    mime: str
    codec: str
    bitrate: int
    sample_rate: int
    channels: int
    duration_ms: int
    loudness_lufs: float | None
    peak: float | None
    waveform: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a file, or its uploader, says of the music. Texts are clean; a date is `YYYY[-MM[-DD]]`."""

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


@dataclass(frozen=True, slots=True)
class Analysis:
    """All that was found in one audio file. `cover_sha256` is of the embedded cover as it lies there."""

    facts: AudioFacts
    said: Said
    cover_sha256: str | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture made safe: its own size in pixels, dominant colour `#rrggbb`, WebP bytes by size."""

    width: int
    height: int
    dominant_color: str
    renditions: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Form:
    """What the uploader filled in; it wins over the tags of the file."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    genre: str | None = None
    visibility: Visibility = "public"


@dataclass(frozen=True, slots=True)
class Upload:
    """One file somebody sent. `size` counts against the quota: while receiving it is what was reserved.

    `lease_until` is when whoever receives or analyses it is presumed dead; `failures` counts readers that
    broke on it, `claims` how often analysis began. `revision` counts what other services were told.
    """

    id: UUID
    owner_id: UUID
    state: State
    created_at: datetime
    lease_until: datetime
    size: int
    filename: str | None = None
    sha256: str | None = None
    form: Form = Form()
    reason: str | None = None
    duplicate_of: UUID | None = None
    facts: AudioFacts | None = None
    said: Said | None = None
    cover_id: UUID | None = None
    dominant_color: str | None = None
    track_id: UUID | None = None
    track_revision: int = 0
    failures: int = 0
    claims: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    """A picture with its renditions in the blob store; `sizes` is empty while they are being made."""

    id: UUID
    owner_id: UUID
    source_sha256: str
    created_at: datetime
    lease_until: datetime
    width: int = 0
    height: int = 0
    dominant_color: str = ""
    sizes: tuple[int, ...] = ()

    @property
    def is_ready(self) -> bool:
        return bool(self.sizes)

    def stored_size(self, wanted: int) -> int:
        """The rendition to serve for a wanted size: the next larger one, for nothing is ever scaled up."""
        return min((size for size in self.sizes if size >= wanted), default=max(self.sizes))


@dataclass(frozen=True, slots=True)
class Quota:
    """What one person may keep here."""

    size: int
    files: int
    images: int


def audio_key(upload_id: UUID) -> str:
    """Where the bytes of an upload lie; nothing of it comes from a client."""
    return f"audio/{upload_id.hex[-2:]}/{upload_id}"


def image_key(image_id: UUID, size: int | Literal["source"]) -> str:
    """Where one rendition of an image lies, or for a moment its original."""
    return f"images/{image_id.hex[-2:]}/{image_id}/{size}"


def image_keys(image_id: UUID) -> list[str]:
    """Every object an image may have."""
    return [image_key(image_id, "source"), *(image_key(image_id, size) for size in IMAGE_SIZES)]


def owner_of_key(key: str) -> tuple[Literal["audio", "images"], UUID] | None:
    """Which upload or image an object belongs to; none when the key is not one of ours."""
    parts = key.split("/")
    try:
        if parts[0] == "audio" and len(parts) == 3:
            return "audio", UUID(parts[2])
        if parts[0] == "images" and len(parts) == 4:
            return "images", UUID(parts[2])
    except ValueError:
        return None
    return None


def merged(form: Form, said: Said) -> Said:
    """The tags with the uploader's own words in their place."""
    return replace(
        said,
        title=form.title or said.title,
        artists=(form.artist,) if form.artist else said.artists,
        album=form.album or said.album,
        genres=(form.genre,) if form.genre else said.genres,
    )


def clean(text: str) -> str:
    """NFC, one line, no control or bidi characters, at most 1,000 graphemes; empty when nothing is left."""
    text = unicodedata.normalize("NFC", text[:_RAW_LIMIT].translate(_BREAKS))
    kept = "".join(c for c in text if c in _KEPT_FORMAT or unicodedata.category(c) not in _DROPPED)
    if kept.count("\ufffd") * 3 > len(kept):
        return ""  # mostly undecodable: no name is better than a row of question marks
    return cut(" ".join(kept.split())).strip()


def cut(text: str) -> str:
    """The first 1,000 graphemes, where a mark that combines belongs to the character before it."""
    if len(text) <= MAX_GRAPHEMES:
        return text
    graphemes = 0
    for position, character in enumerate(text[:MAX_CODE_POINTS]):
        if not unicodedata.category(character).startswith("M") and character != "\u200d":
            graphemes += 1
        if graphemes > MAX_GRAPHEMES:
            return text[:position]
    return text[:MAX_CODE_POINTS]
