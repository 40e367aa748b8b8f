"""Byte ranges and conditional requests, RFC 9110 sections 13 and 14: what to answer to which headers.

One range is honoured. Several ranges, another unit or anything that is not a range are answered with the
whole file, which the RFC allows and every player understands; a multipart answer is never made.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_RANGE_HEADER = 256
"""Bytes of a `Range` header that are looked at; a longer one is ignored."""

_ONE_RANGE = re.compile(r"(\d*)-(\d*)", re.ASCII)
_ENTITY_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class Asked:
    """The headers that decide; each is none when absent and one string when present once.

    A header that came more than once is joined with commas, as section 5.3 says.
    """

    method: str = "GET"
    range: str | None = None
    if_range: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and the bytes of the body: `length` from `start`. HEAD announces them and sends none."""

    status: int
    start: int
    length: int
    content_range: str | None = None


def decide(asked: Asked, *, size: int, etag: str) -> Answer:
    """What to answer for a file of `size` bytes with the strong entity tag `etag` (quotes included).

    The order of the checks is that of section 13.2.2.
    """
    if asked.if_match is not None and not _matches(asked.if_match, etag, strongly=True):
        return Answer(412, 0, 0)
    if asked.if_none_match is not None and _matches(asked.if_none_match, etag, strongly=False):
        return Answer(304, 0, 0)
    whole = Answer(200, 0, size)
    if asked.method != "GET" or asked.range is None or len(asked.range) > MAX_RANGE_HEADER:
        return whole
    if asked.if_range is not None and asked.if_range.strip() != etag:
        return whole
    return _ranged(asked.range, size) or whole


def _ranged(header: str, size: int) -> Answer | None:
    unit, equals, listed = header.partition("=")
    if not equals or unit.strip(" \t").lower() != "bytes":
        return None
    # Empty list elements are allowed and mean nothing (section 5.6.1).
    specs = [spec for part in listed.split(",") if (spec := part.strip(" \t"))]
    match = _ONE_RANGE.fullmatch(specs[0]) if len(specs) == 1 else None
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        return _satisfied(max(0, size - int(last)), size, size) if int(last) else _unsatisfiable(size)
    if last and int(last) < int(first):
        return None
    return _satisfied(int(first), min(int(last) + 1, size) if last else size, size)


def _satisfied(start: int, end: int, size: int) -> Answer:
    if start >= size:
        return _unsatisfiable(size)
    return Answer(206, start, end - start, f"bytes {start}-{end - 1}/{size}")


def _unsatisfiable(size: int) -> Answer:
    return Answer(416, 0, 0, f"bytes */{size}")


def _matches(header: str, etag: str, *, strongly: bool) -> bool:
    if header.strip() == "*":
        return True
    return etag in _tags(header, strongly=strongly)


def _tags(header: str, *, strongly: bool) -> Sequence[str]:
    found = [match.group() for match in _ENTITY_TAG.finditer(header)]
    if strongly:
        return [tag for tag in found if not tag.startswith("W/")]
    return [tag.removeprefix("W/") for tag in found]
