"""Keyset pages: a list answer and its opaque cursor.

A cursor holds the sort values of the last item, the name of the list it belongs to, and a checksum, so a
cursor that was changed or that comes from another list is refused. It is a checksum and no signature: all it
holds was in the answer anyway, and a forged one only names another place in the same list.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

from antiphon_common.errors import FieldError, Invalid

T = TypeVar("T")
Key = str | int | float | None

_DIGEST = 9


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page: its items, and the cursor of the next one or none."""

    items: Sequence[T]
    next_cursor: str | None


def page_of(rows: Sequence[T], limit: int, *, scope: str, key: Callable[[T], tuple[Key, ...]]) -> Page[T]:
    """A page of at most `limit` from rows that were queried with `limit + 1`."""
    if len(rows) <= limit:
        return Page(rows, None)
    kept = rows[:limit]
    return Page(kept, encode_cursor(scope, key(kept[-1])))


def encode_cursor(scope: str, values: tuple[Key, ...]) -> str:
    """The cursor after an item with these sort values, in the list called `scope`."""
    body = orjson.dumps(values)
    return _encoded(_digest(scope, body) + body)


def decode_cursor(scope: str, cursor: str, *kinds: type) -> tuple[Key, ...]:
    """The sort values of a cursor, checked against their kinds. Raises `Invalid` for any other text."""
    try:
        raw = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        digest, body = raw[:_DIGEST], raw[_DIGEST:]
        # One spelling only: the last character has bits that decoding passes over.
        genuine = digest == _digest(scope, body) and _encoded(raw) == cursor
        values: list[Key] = orjson.loads(body) if genuine else []
    except (ValueError, binascii.Error):
        values = []
    # The checksum has no key, so a forged body may be any JSON at all.
    fits = isinstance(values, list) and len(values) == len(kinds)
    if not fits or not all(_is_a(v, k) for v, k in zip(values, kinds, strict=True)):
        field = FieldError("query.cursor", "invalid_cursor", "This cursor was not made by this list.")
        raise Invalid("invalid_cursor", "The cursor is not valid.", errors=[field])
    return tuple(values)


def _is_a(value: object, kind: type) -> bool:
    # What a database cannot hold (a NUL, more than 64 bits) was never the sort value of a row.
    if isinstance(value, str) and "\0" in value:
        return False
    if isinstance(value, int) and (isinstance(value, bool) or not -(2**63) <= value < 2**63):
        return False
    return isinstance(value, kind)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _digest(scope: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST, person=hashlib.md5(scope.encode()).digest()).digest()  # noqa: S324
