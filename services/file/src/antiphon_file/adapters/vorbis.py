"""Vorbis comments as FLAC, Ogg Vorbis and Opus carry them, read from their raw bytes.

Runs in the analysis child. The bytes are kept raw because comments that must be UTF-8 sometimes are not, and
a reader that decodes first has already lost them. Every length is checked against what is really there.
"""

import base64
import binascii
import struct
from typing import BinaryIO, Final

from mutagen.ogg import OggPage

from antiphon_file.adapters.sniffing import MAX_TAG_BYTES
from antiphon_file.domain import Refused

_MAX_COMMENTS: Final = 10_000
_COMMENT_BLOCK, _PICTURE_BLOCK = 4, 6

Comments = dict[str, list[bytes]]


def read_flac(file: BinaryIO, offset: int) -> tuple[Comments, list[bytes]]:
    """Comments and picture blocks of a FLAC file (RFC 9639, 8)."""
    comments: Comments = {}
    pictures: list[bytes] = []
    position, total = offset + 4, 0
    size = file.seek(0, 2)
    while True:
        file.seek(position)
        head = file.read(4)
        if len(head) < 4:
            break
        length = int.from_bytes(head[1:4], "big")
        total += min(length, size - position - 4)  # a length that lies is the decoder's to judge
        if total > MAX_TAG_BYTES:
            raise Refused("tag_bomb")
        if head[0] & 0x7F == _COMMENT_BLOCK and not comments:
            comments = parse(file.read(length))
        elif head[0] & 0x7F == _PICTURE_BLOCK:
            pictures.append(file.read(length))
        if head[0] & 0x80:
            break
        position += 4 + length
    return comments, pictures


def read_ogg(file: BinaryIO, offset: int) -> tuple[Comments, list[bytes]]:
    """Comments and pictures of the second packet of the first stream (Vorbis I 5, RFC 7845 5.2)."""
    file.seek(offset)
    packet = bytearray()
    serial = None
    whole = 0
    while whole < 2:
        page = OggPage(file)
        serial = page.serial if serial is None else serial
        if page.serial != serial:
            continue
        for number, part in enumerate(page.packets):
            if whole == 1:
                packet += part
            if number < len(page.packets) - 1 or page.complete:
                whole += 1
        if len(packet) > MAX_TAG_BYTES:
            raise Refused("tag_bomb")
    body = bytes(packet)
    for mark in (b"\x03vorbis", b"OpusTags"):
        if body.startswith(mark):
            comments = parse(body[len(mark) :])
            return comments, [_unbase64(value) for value in comments.get("METADATA_BLOCK_PICTURE", [])]
    return {}, []


def parse(body: bytes) -> Comments:
    """KEY -> raw values. A count or length that lies ends the reading; what came before it is kept."""
    comments: Comments = {}
    position = 4 + int.from_bytes(body[:4], "little")
    count = int.from_bytes(body[position : position + 4], "little")
    position += 4
    for _ in range(min(count, _MAX_COMMENTS)):
        length = int.from_bytes(body[position : position + 4], "little")
        entry = body[position + 4 : position + 4 + length]
        if len(body) < position + 4 or len(entry) < length:
            break
        position += 4 + length
        key, equals, value = entry.partition(b"=")
        if equals and key.isascii():
            comments.setdefault(key.decode().upper(), []).append(value)
    return comments


def picture(block: bytes) -> tuple[int, bytes]:
    """Kind (3 is the front cover) and image bytes of a picture block (RFC 9639, 8.8)."""
    try:
        kind, mime_length = struct.unpack_from(">II", block)
        text_at = 8 + mime_length
        (text_length,) = struct.unpack_from(">I", block, text_at)
        data_at = text_at + 4 + text_length + 16
        (data_length,) = struct.unpack_from(">I", block, data_at)
    except struct.error:
        return 0, b""
    return kind, block[data_at + 4 : data_at + 4 + data_length]


def _unbase64(value: bytes) -> bytes:
    try:
        return base64.b64decode(value)
    except binascii.Error:
        return b""
