"""Header hygiene in both directions: what goes on is on a list, everything else stays behind.

Because the upstream's headers are built from `_FORWARDED`, no spelling of an identity header can reach a
service. Every field is a singleton unless its standard says that it is a list: two readings of one field are
one too many.
"""

from collections.abc import Iterable, Sequence

from antiphon_gateway.problems import Refused

MAX_BYTES = 16 * 1024
MAX_FIELDS = 64

Fields = dict[bytes, bytes]
"""Request fields by lower-case name; lists are joined by a comma (RFC 9110, 5.3)."""

_LISTS = frozenset(
    b"accept accept-charset accept-encoding accept-language access-control-request-headers cache-control "
    b"connection forwarded if-match if-none-match keep-alive pragma prefer te trailer upgrade via warning "
    b"x-forwarded-for x-forwarded-host x-forwarded-proto".split()
)
_FORWARDED = {
    name: name.decode()
    for name in (
        b"accept accept-language authorization content-type idempotency-key if-match if-modified-since "
        b"if-none-match if-range if-unmodified-since range user-agent upload-offset upload-length"
    ).split()
}
_WITH_COOKIES = {name: name.decode() for name in b"cookie origin sec-fetch-site x-requested-with".split()}

_ANSWERED = frozenset(
    b"accept-ranges allow cache-control clear-site-data content-disposition content-language content-length "
    b"content-range content-type deprecation etag expires idempotency-replayed last-modified link location "
    b"repr-digest retry-after sunset upload-length upload-offset vary www-authenticate".split()
)


def read_fields(headers: Iterable[tuple[bytes, bytes]]) -> Fields:
    """The fields of a request. Raises 431 over budget and 400 for what has two readings."""
    fields: Fields = {}
    size = count = 0
    for name, value in headers:
        count += 1
        size += len(name) + len(value) + 4
        if name in fields:
            if name not in _LISTS:
                raise Refused(
                    400, "header_repeated", detail="A header that may come once came twice.", close=True
                )
            fields[name] = fields[name] + b", " + value
        else:
            if b"_" in name:
                raise Refused(
                    400, "header_not_valid", detail="A header name holds an underscore.", close=True
                )
            fields[name] = value
    if size > MAX_BYTES or count > MAX_FIELDS:
        raise Refused(
            431, "headers_too_large", detail="Headers may have 64 fields and 16384 bytes.", close=True
        )
    if b"content-encoding" in fields:
        raise Refused(415, "coding_not_supported", detail="Request bodies may not be compressed.", close=True)
    return fields


def upstream_headers(fields: Fields, *, cookies: bool) -> list[tuple[str, str]]:
    """What a service is sent of the client's fields. Raises 400 for a value that is not ASCII."""
    chosen = []
    for name, value in fields.items():
        text = _FORWARDED.get(name) or (cookies and _WITH_COOKIES.get(name))
        if text:
            if not value.isascii():
                raise Refused(400, "header_not_valid", detail="A header value is not ASCII.")
            chosen.append((text, value.decode("ascii")))
    return chosen


def answered_headers(headers: Sequence[tuple[bytes, bytes]], *, cookies: bool) -> list[tuple[bytes, bytes]]:
    """What the client is sent of a service's fields: lower-case, nothing of the hop, no foreign names."""
    kept = []
    hop: set[bytes] = set()
    for raw_name, value in headers:
        name = raw_name.lower()
        if name in _ANSWERED or (cookies and name == b"set-cookie"):
            kept.append((name, value))
        elif name == b"connection":
            hop.update(token.strip().lower() for token in value.split(b","))
    if hop:
        return [pair for pair in kept if pair[0] not in hop]
    return kept


def check_framing(fields: Fields, *, http_version: str) -> None:
    """Raises 400 for a body whose end another reader may see elsewhere."""
    coding = fields.get(b"transfer-encoding")
    if coding is not None and (coding.lower() != b"chunked" or http_version != "1.1"):
        raise Refused(400, "framing_not_valid", detail="The framing of the body is not valid.", close=True)


def has_body(fields: Fields) -> bool:
    """Whether a request announces a body."""
    return b"transfer-encoding" in fields or fields.get(b"content-length", b"0") != b"0"
