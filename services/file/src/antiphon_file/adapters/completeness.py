"""Whether a file ends before its audio does, as far as its own structure tells.

Runs in the analysis child. Containers that name the length of their parts are judged here at once; those
that name the length of their sound say how long it should be, and the decoder finds out whether it is.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from antiphon_file.adapters.sniffing import Kind, mp3_frame
from antiphon_file.domain import Refused

_OGG_PAGE_LIMIT: Final = 27 + 255 + 255 * 255
_MAX_BOXES: Final = 10_000
_MP3_SLACK: Final = 16  # some writers count their own tag, some do not
_UNKNOWN_SIZE: Final = {0, 0xFFFFFFFF}  # what programs write that could not go back to fill it in


def declared_seconds(file: BinaryIO, kind: Kind) -> float | None:
    """How long the audio claims to be, or none when it does not; `Refused("truncated")` when parts are
    missing.
    """
    size = os.fstat(file.fileno()).st_size
    if kind.name == "flac":
        return _flac_seconds(file, kind)
    if kind.name == "mp3":
        return _mp3_seconds(file, kind, size)
    if kind.name == "wav":
        _check_riff(file, kind.audio_offset, size)
    elif kind.name == "m4a":
        _check_boxes(file, kind.audio_offset, size)
    elif kind.name in {"vorbis", "opus"}:
        _check_last_page(file, size)
    return None


def _flac_seconds(file: BinaryIO, kind: Kind) -> float | None:
    """STREAMINFO: 20 bits of rate, 36 bits of total samples; zero means unknown (RFC 9639, 8.2)."""
    file.seek(kind.audio_offset + 8)
    info = file.read(34)
    if len(info) < 34:
        raise Refused("truncated")
    packed = int.from_bytes(info[10:18], "big")
    rate, total = packed >> 44, packed & ((1 << 36) - 1)
    return total / rate if rate and total else None


def _mp3_seconds(file: BinaryIO, kind: Kind, size: int) -> float | None:
    """The counts of frames and bytes that encoders leave in a first silent frame, behind its side data."""
    file.seek(kind.audio_offset)
    head = file.read(256)
    length, family = mp3_frame(head[:4])
    at = max(head.find(b"Xing", 4, 64), head.find(b"Info", 4, 64))
    if not length or at == -1 or len(head) < at + 16:
        return None
    flags, frames, counted = head[at + 7], head[at + 8 : at + 12], head[at + 12 : at + 16]
    if flags & 3 == 3 and size - kind.audio_offset < int.from_bytes(counted, "big") - _MP3_SLACK:
        raise Refused("truncated")
    if not flags & 1:
        return None
    version = family >> 2
    rate = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000)}.get(version, (11025, 12000, 8000))[family & 3]
    # Decoders cut off the encoder's delay and padding, up to 0.1 s, which these frames include.
    return max(int.from_bytes(frames, "big") * (1152 if version == 3 else 576) / rate - 0.15, 0.0)


def riff_chunks(file: BinaryIO, start: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Every chunk of a RIFF file as (name, where its body starts, its declared length)."""
    position = start + 12
    for _ in range(_MAX_BOXES):
        if position + 8 > size:
            return
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        yield name, position + 8, length
        position += 8 + length + (length & 1)


def _check_riff(file: BinaryIO, start: int, size: int) -> None:
    file.seek(start)
    long_form = file.read(4) == b"RF64"  # its data chunk carries no length of its own
    for name, body, length in riff_chunks(file, start, size):
        if name != b"data":
            continue
        if length == 0 and body >= size:
            raise Refused("zero_length")
        if not long_form and length not in _UNKNOWN_SIZE and body + length > size + 4096:
            raise Refused("truncated")
        return
    raise Refused("truncated")


def _check_boxes(file: BinaryIO, start: int, size: int) -> None:
    """ISO 14496-12 boxes at the top level: each must end within the file, and one must be `moov`."""
    position, seen = start, set()
    for _ in range(_MAX_BOXES):
        if position + 8 > size:
            break
        file.seek(position)
        head = file.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - position
        if length < 8 or position + length > size:
            raise Refused("truncated")
        seen.add(name)
        position += length
    if b"moov" not in seen:
        raise Refused("truncated" if b"mdat" in seen else "not_audio")


def _check_last_page(file: BinaryIO, size: int) -> None:
    """The last Ogg page must be whole and say that it is the last (RFC 3533, 6): a cut may fall between
    pages.
    """
    start = max(0, size - _OGG_PAGE_LIMIT)
    file.seek(start)
    tail = file.read(_OGG_PAGE_LIMIT)
    at = tail.rfind(b"OggS\0")
    if at == -1:
        return  # no page near the end: something else is attached there, and the decoder will judge
    segments = tail[at + 26] if len(tail) > at + 26 else 255
    table = tail[at + 27 : at + 27 + segments]
    ends_stream = len(tail) > at + 5 and bool(tail[at + 5] & 4)
    if not ends_stream or len(table) < segments or at + 27 + segments + sum(table) > len(tail):
        raise Refused("truncated")
