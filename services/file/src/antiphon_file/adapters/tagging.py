"""What a file says about its music: title, names, numbers, dates and the embedded cover.

Runs in the analysis child. Nothing here can make an upload fail but tags that unpack to far more than tags
need: broken tags are read as far as they go, and a file without any is as welcome.
"""

import io
import re
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import mutagen
from mutagen.id3 import ID3
from mutagen.mp4 import MP4

from antiphon_file.adapters import vorbis
from antiphon_file.adapters.completeness import riff_chunks
from antiphon_file.adapters.sniffing import Kind
from antiphon_file.adapters.wording import decode, guess_encoding, repair_latin1, split_values
from antiphon_file.domain import Said, clean

_MAX_VALUES: Final = 20
_DATE = re.compile(r"(\d{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01]))?)?(?!\d)")
_NUMBER = re.compile(r"\s*(\d{1,6})")
_FRONT_COVER: Final = 3
_LATIN1: Final = 0

# One name of ours for what each format calls differently.
_ID3_FIELDS: Final = {
    "TIT2": "title",
    "TPE1": "artist",
    "TALB": "album",
    "TPE2": "albumartist",
    "TRCK": "tracknumber",
    "TPOS": "discnumber",
    "TDRC": "date",
    "TDRL": "releasedate",
    "TCMP": "compilation",
}
_MP4_FIELDS: Final = {
    "\xa9nam": "title",
    "\xa9ART": "artist",
    "\xa9alb": "album",
    "aART": "albumartist",
    "\xa9day": "date",
    "\xa9gen": "genre",
}
_RIFF_FIELDS: Final = {
    b"INAM": "title",
    b"IART": "artist",
    b"IPRD": "album",
    b"ICRD": "date",
    b"IGNR": "genre",
    b"ITRK": "tracknumber",
    b"IPRT": "tracknumber",
}


@dataclass(slots=True)
class Found:
    """Raw finds: values by our own field names, and the cover's bytes as they lie in the file."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    cover: bytes | None = None


def read(file: BinaryIO, kind: Kind) -> tuple[Said, bytes | None]:
    """The tags and the cover's raw bytes, both possibly empty; `Refused("tag_bomb")` is the only refusal."""
    readers = {"flac": _read_flac, "vorbis": _read_ogg, "opus": _read_ogg, "m4a": _read_mp4, "wav": _read_wav}
    try:
        found = readers.get(kind.name, _read_id3)(file, kind)
    except (
        mutagen.MutagenError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        EOFError,
        RecursionError,
    ):
        found = Found()  # parsers of hostile tags fail in many ways; none of them is about the sound
    return _said(found.texts), found.cover


def _said(texts: dict[str, list[str]]) -> Said:
    def first(*names: str) -> str | None:
        return next((v for name in names for v in split_values(texts.get(name, []), limit=1)), None)

    return Said(
        title=first("title"),
        artists=tuple(split_values(texts.get("artist", []), limit=_MAX_VALUES)),
        album=first("album"),
        album_artist=first("albumartist", "album artist"),
        track_number=_number(first("tracknumber")),
        disc_number=_number(first("discnumber")),
        release_date=_date(first("date", "originaldate", "releasedate", "year")),
        genres=tuple(split_values(texts.get("genre", []), limit=_MAX_VALUES)),
        explicit=first("itunesadvisory", "explicit") in {"1", "4", "true"},
        compilation=first("compilation", "itunescompilation") in {"1", "true"},
    )


def _number(text: str | None) -> int | None:
    match = _NUMBER.match(text or "")
    value = int(match.group(1)) if match else 0
    return value if 0 < value < 10_000 else None


def _date(text: str | None) -> str | None:
    match = _DATE.match((text or "").strip())
    if match is None or match.group(1) == "0000":
        return None
    return "-".join(part for part in match.groups() if part)


def _read_id3(file: BinaryIO, _kind: Kind) -> Found:
    file.seek(0)
    return _from_id3(_id3(file))


def _id3(file: BinaryIO) -> Any:
    return ID3(file)


def _from_id3(tags: Any) -> Found:
    """ID3 2.2 to 2.4 (and 1 where there is nothing else); frames that claim Latin-1 are decoded anew."""
    found = Found()
    doubtful: list[tuple[str, str]] = []
    for frame in tags.values():
        name = _ID3_FIELDS.get(frame.FrameID)
        if frame.FrameID == "TXXX":
            name = clean(frame.desc).lower()
        values = [str(text) for text in getattr(frame, "text", [])]
        if frame.FrameID == "TCON":
            name, values = "genre", list(frame.genres)
        if name is None:
            continue
        if frame.encoding == _LATIN1:
            doubtful += [(name, value) for value in values]
        else:
            found.texts.setdefault(name, []).extend(values)
    for (name, _), value in zip(doubtful, repair_latin1([value for _, value in doubtful]), strict=True):
        found.texts.setdefault(name, []).append(value)
    found.cover = _choose([(int(frame.type), frame.data) for frame in tags.getall("APIC")])
    return found


def _choose(pictures: list[tuple[int, bytes]]) -> bytes | None:
    """The front cover, or the first picture when none says it is."""
    whole = [(kind, data) for kind, data in pictures if data]
    front = [data for kind, data in whole if kind == _FRONT_COVER]
    return front[0] if front else (whole[0][1] if whole else None)


def _read_flac(file: BinaryIO, kind: Kind) -> Found:
    return _from_comments(*vorbis.read_flac(file, kind.audio_offset))


def _read_ogg(file: BinaryIO, kind: Kind) -> Found:
    return _from_comments(*vorbis.read_ogg(file, kind.audio_offset))


def _from_comments(comments: vorbis.Comments, pictures: list[bytes]) -> Found:
    wanted = {key: values for key, values in comments.items() if key != "METADATA_BLOCK_PICTURE"}
    encoding = guess_encoding(b"\n".join(value for values in wanted.values() for value in values))
    texts = {key.lower(): [decode(value, encoding) for value in values] for key, values in wanted.items()}
    return Found(texts, _choose([vorbis.picture(block) for block in pictures]))


def _read_mp4(file: BinaryIO, _kind: Kind) -> Found:
    file.seek(0)
    tags: Any = MP4(file).tags or {}
    texts = {name: [str(value) for value in tags.get(atom, [])] for atom, name in _MP4_FIELDS.items()}
    for atom, name in (("trkn", "tracknumber"), ("disk", "discnumber")):
        texts[name] = [str(pair[0]) for pair in tags.get(atom, [])]
    texts["compilation"] = ["1" if tags.get("cpil") else "0"]
    texts["itunesadvisory"] = [str(value) for value in tags.get("rtng", [])]
    return Found(texts, next((bytes(cover) for cover in tags.get("covr", []) if cover), None))


def _read_wav(file: BinaryIO, kind: Kind) -> Found:
    """An `id3 ` chunk when there is one, else the RIFF INFO list, whose encoding nobody ever wrote down."""
    size = file.seek(0, 2)
    info = Found()
    for name, body, length in riff_chunks(file, kind.audio_offset, size):
        if name.lower() == b"id3 ":
            file.seek(body)
            return _from_id3(_id3(io.BytesIO(file.read(min(length, size - body)))))
        if name == b"LIST":
            file.seek(body)
            info = _from_info(file.read(min(length, size - body, 1 << 20)))
    return info


def _from_info(chunk: bytes) -> Found:
    found = Found()
    if chunk[:4] != b"INFO":
        return found
    raws: list[tuple[str, bytes]] = []
    position = 4
    while position + 8 <= len(chunk):
        length = int.from_bytes(chunk[position + 4 : position + 8], "little")
        name = _RIFF_FIELDS.get(chunk[position : position + 4])
        if name is not None:
            raws.append((name, chunk[position + 8 : position + 8 + length].rstrip(b"\0")))
        position += 8 + length + (length & 1)
    encoding = guess_encoding(b"\n".join(raw for _, raw in raws))
    for name, raw in raws:
        found.texts.setdefault(name, []).append(decode(raw, encoding))
    return found
