"""Everything the child finds out about one upload: what it is, what it says, how it sounds, which cover it
carries.

The steps are ordered by danger: the structure is judged before tags are read, tags within their own memory
bound before the decoder runs, so that a hostile file meets the cheapest refusal first.
"""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

from antiphon_file.adapters import tagging
from antiphon_file.adapters.completeness import declared_seconds
from antiphon_file.adapters.images import render
from antiphon_file.adapters.limits import TAG_MEMORY_BYTES, at_most
from antiphon_file.adapters.measuring import measure
from antiphon_file.adapters.sniffing import Kind, sniff
from antiphon_file.domain import Picture, Refused, Said

MAX_COVER_BYTES: Final = 8 * 1024 * 1024


def analyse(path: str, *, max_seconds: int) -> dict[str, Any]:
    """Facts and tags of an audio file as plain JSON values, and the SHA-256 of its embedded cover, if any."""
    with Path(path).open("rb") as file:
        kind = sniff(file)
        expected = declared_seconds(file, kind)
        said, cover = _tags(file, kind)
    facts = measure(path, kind, declared_seconds=expected, max_seconds=max_seconds)
    return {
        "facts": asdict(facts),
        "said": asdict(said),
        "cover_sha256": hashlib.sha256(cover).hexdigest() if cover else None,
    }


def cover_of(path: str) -> Picture:
    """The embedded cover of an audio file, rendered. `Refused` when there is none or it is no good."""
    with Path(path).open("rb") as file:
        _, cover = _tags(file, sniff(file))
    if not cover:
        raise Refused("not_an_image")
    return render(cover)


def picture(path: str) -> Picture:
    """A picture file, rendered."""
    with Path(path).open("rb") as file:
        data = file.read(MAX_COVER_BYTES + 1)
    if len(data) > MAX_COVER_BYTES:
        raise Refused("image_too_large")
    return render(data)


def _tags(file: BinaryIO, kind: Kind) -> tuple[Said, bytes | None]:
    try:
        with at_most(TAG_MEMORY_BYTES):
            said, cover = tagging.read(file, kind)
    except MemoryError:
        raise Refused("tag_bomb") from None
    if cover and len(cover) > MAX_COVER_BYTES:
        cover = None
    return said, cover
