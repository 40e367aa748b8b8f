"""Which kind of audio a file is, by reading its structure; its name and declared type are never asked.

Runs in the analysis child. The answer names the one libav demuxer that may open the file, so no playlist,
script or network format can be reached through a file that pretends (policies.md, Uploads).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final

from antiphon_file.domain import Refused

MAX_TAG_BYTES: Final = 16 * 1024 * 1024
_SEARCH_BYTES: Final = 64 * 1024  # an MP3 may start with padding or the rest of a frame
_FOREIGN: Final = (  # known containers that are refused by name instead of "not audio"
    (0, b"\x1aE\xdf\xa3"),  # Matroska, WebM
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF, WMA
    (0, b"FORM"),
    (0, b"wvpk"),
    (0, b"MAC "),
    (0, b"MThd"),
    (0, b"DSD "),
    (0, b"TTA1"),
    (0, b".snd"),
    (0, b"MPCK"),
    (0, b"#!AMR"),
    (8, b"AVI "),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A recognised file: the demuxer and decoders that may touch it, and where tags end and audio begins."""

    name: str
    mime: str
    demuxer: str
    decoders: str
    audio_offset: int = 0


def sniff(file: BinaryIO) -> Kind:
    """The kind of an open file. `Refused` with `empty`, `tag_bomb`, `unsupported_format` or `not_audio`."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise Refused("empty")
    offset = skip_id3(file, size)
    file.seek(offset)
    head = file.read(_SEARCH_BYTES)
    if head[:4] == b"fLaC":
        return Kind("flac", "audio/flac", "flac", "flac", offset)
    if head[:4] == b"OggS":
        return _ogg(head, offset)
    if head[:4] in {b"RIFF", b"RF64"} and head[8:12] == b"WAVE":
        return Kind("wav", "audio/wav", "wav", _PCM, offset)
    if head[4:8] == b"ftyp":
        return Kind("m4a", "audio/mp4", "mov", "aac", offset)
    return _frames(head, offset, size)


_PCM: Final = ",".join(
    ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"]
)


def skip_id3(file: BinaryIO, size: int) -> int:
    """Where the ID3v2 tags at the front end. More than 16 MB of them is no tag but an attack."""
    offset = 0
    while offset < size:
        file.seek(offset)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
            break
        length = (head[6] << 21) | (head[7] << 14) | (head[8] << 7) | head[9]
        offset += 10 + length + (10 if head[5] & 0x10 else 0)
        if offset > MAX_TAG_BYTES:
            raise Refused("tag_bomb")
    return offset


def _ogg(head: bytes, offset: int) -> Kind:
    segments = head[26] if len(head) > 26 else 0
    packet = head[27 + segments :]
    if packet.startswith(b"\x01vorbis"):
        return Kind("vorbis", "audio/ogg", "ogg", "vorbis", offset)
    if packet.startswith(b"OpusHead"):
        return Kind("opus", "audio/ogg", "ogg", "opus,libopus", offset)
    raise Refused("unsupported_format")


def _frames(head: bytes, offset: int, size: int) -> Kind:
    """Formats with no header of their own: MP3 and ADTS, recognised by frames that follow one another."""
    start = head.find(b"\xff")
    while start != -1:
        for measure, name, mime, decoders in _FRAMED:
            if _follow(head, start, measure=measure, to_end=offset + len(head) == size):
                return Kind(name, mime, name, decoders, offset + start)
        start = head.find(b"\xff", start + 1)
    if any(head[at : at + len(magic)] == magic for at, magic in _FOREIGN):
        raise Refused("unsupported_format")
    raise Refused("not_audio")


def _follow(head: bytes, start: int, *, measure: "Measure", to_end: bool) -> bool:
    """Three alike frames in a row. Only a file that begins with one at once may hold fewer, then ends."""
    position, found, first = start, 0, 0
    while found < 3 and position <= len(head) - 4:
        length, family = measure(head[position : position + 8])
        if not length or (found and family != first):
            break
        position, found, first = position + length, found + 1, family
    if found < 3 and start == 0 and to_end:
        return found > 0 and position >= len(head) - 128  # 128: an ID3v1 tag may follow
    return found == 3


Measure = Callable[[bytes], tuple[int, int]]
_NO_FRAME: Final = (0, 0)
_LAYER3_KBPS: Final = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),  # MPEG-1
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),  # MPEG-2
    0: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),  # MPEG-2.5
}
_LAYER3_HZ: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def mp3_frame(header: bytes) -> tuple[int, int]:
    """Length of the layer III frame this header opens, and its version and rate (ISO 11172-3, 2.4.1.3)."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return _NO_FRAME
    version, rate_index = (header[1] >> 3) & 3, (header[2] >> 2) & 3
    kbps = _LAYER3_KBPS.get(version, (0,) * 16)[header[2] >> 4]
    if not kbps or rate_index == 3:
        return _NO_FRAME
    rate = _LAYER3_HZ[version][rate_index]
    samples_per_8 = 144 if version == 3 else 72
    return samples_per_8 * kbps * 1000 // rate + ((header[2] >> 1) & 1), (version << 2) | rate_index


def adts_frame(header: bytes) -> tuple[int, int]:
    """Length of the ADTS frame this header opens, and its profile and rate (ISO 13818-7, 6.2)."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or (header[2] >> 2) & 15 > 12:
        return _NO_FRAME
    length = ((header[3] & 3) << 11) | (header[4] << 3) | (header[5] >> 5)
    return (length, header[2] & 0xFC) if length > 7 else _NO_FRAME


_FRAMED: Final[tuple[tuple[Measure, str, str, str], ...]] = (
    (mp3_frame, "mp3", "audio/mpeg", "mp3float,mp3"),
    (adts_frame, "aac", "audio/aac", "aac"),
)
