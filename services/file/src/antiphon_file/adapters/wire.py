"""How the service and its children talk: a length, a JSON object, then raw bytes it announces as `blobs`.

The same few lines serve both ends. Lengths are bounded, because the child reads hostile files and might say
anything.
"""

import json
import struct
from typing import Any, Final

MAX_HEADER: Final = 1024 * 1024
MAX_BLOBS: Final = 32 * 1024 * 1024
LENGTH: Final = struct.Struct(">I")

Message = dict[str, Any]


class BrokenWire(Exception):
    """What came is no message."""


def pack(message: Message, blobs: list[bytes]) -> bytes:
    """One message as bytes."""
    header = json.dumps({**message, "blobs": [len(blob) for blob in blobs]}).encode()
    return LENGTH.pack(len(header)) + header + b"".join(blobs)


def header_length(raw: bytes) -> int:
    """The length of the JSON object that follows."""
    length: int = LENGTH.unpack(raw)[0]
    if length > MAX_HEADER:
        raise BrokenWire
    return length


def unpack(header: bytes) -> tuple[Message, list[int]]:
    """The JSON object and the lengths of the blobs behind it."""
    try:
        message = json.loads(header)
        lengths = message.pop("blobs")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenWire from error
    if not isinstance(lengths, list) or not all(type(n) is int and n >= 0 for n in lengths):
        raise BrokenWire
    if sum(lengths) > MAX_BLOBS:
        raise BrokenWire
    return message, lengths
