"""Paths in exactly one spelling. What has two readings is refused, so nobody downstream reads it otherwise.

A canonical path is `/` or segments of unreserved characters (RFC 3986, 2.3), none of them empty, `.` or `..`.
There is no percent in it: no route has a segment that needs one, and every known way to smuggle a path past a
gateway (dot segments, encoded slashes, matrix parameters, NUL, double encoding) needs what we refuse.
"""

import re
from collections.abc import Collection
from urllib.parse import parse_qsl, urlencode

from antiphon_gateway.problems import Refused

MAX_URI_BYTES = 8 * 1024

_CANONICAL = re.compile(rb"/|(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")
_QUERY = re.compile(rb"[\x21\x24-\x7e]*")


def canonical_path(raw: bytes) -> str:
    """The path as text. Raises 400 for any spelling that is not the canonical one."""
    if not _CANONICAL.fullmatch(raw):
        raise Refused(400, "path_not_canonical", detail="The path is not in its canonical form.")
    return raw.decode("ascii")


def check_target(raw_path: bytes, query: bytes) -> None:
    """Raises 414 for a target over 8 KB and 400 for a query with bytes that no URI may hold."""
    if len(raw_path) + len(query) > MAX_URI_BYTES:
        raise Refused(414, "uri_too_long", detail="The request target may have 8192 bytes.", close=True)
    if query and not _QUERY.fullmatch(query):
        raise Refused(400, "query_not_valid", detail="The query string holds a byte that is not allowed.")


def known_query(query: bytes, names: Collection[str]) -> str:
    """What a query says of these parameters, in one spelling; of a repeated one the last, as services read.

    With what no service looks at, one answer could be remembered under any number of names.
    """
    if not query:
        return ""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as error:
        raise Refused(
            400, "query_not_valid", detail="The query string is not UTF-8 or has too many fields."
        ) from error
    return urlencode(sorted({name: value for name, value in pairs if name in names}.items()))
