"""A multipart body read part by part as it arrives (RFC 7578), never whole and never onto the disk by itself.

Failure policy: what is no multipart is `Malformed`, more parts or longer headers than a form of ours has are
`TooLarge`; a client that goes away midway is `Malformed` too, for nothing of ours failed.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from antiphon_common.errors import Malformed, TooLarge, Unsupported

MAX_PARTS: Final = 10
_MAX_HEADERS, _MAX_HEADER_BYTES = 4, 2048  # 8 KB a part

# What the parser reports, in order: the headers of a part, then its data, then its end.
_Event = dict[bytes, bytes] | bytes | None


@dataclass(slots=True)
class Part:
    """One part: its field name, its file name if it has one, and its data, to be read once."""

    name: str
    filename: str | None
    data: AsyncIterator[bytes]

    async def read(self, limit: int) -> bytes:
        """All of its data. Raises `TooLarge` over the limit."""
        whole = bytearray()
        async for chunk in self.data:
            whole += chunk
            if len(whole) > limit:
                raise TooLarge("field_too_large", f"A field of the form may have {limit} bytes.")
        return bytes(whole)


def boundary_of(content_type: str | None) -> bytes:
    """The boundary of a multipart body. Raises `Unsupported` for any other type."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:
        raise Unsupported("multipart_required", "Send the file as multipart/form-data.")
    return boundary


class MultipartBody:
    """The parts of one request body. Read each part's data before asking for the next."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: bytes, *, max_bytes: int) -> None:
        self._chunks = chunks
        self._left = max_bytes
        self._events: deque[_Event] = deque()
        self._headers: dict[bytes, bytes] = {}
        self._field = self._value = b""
        self._parts = 0
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=_MAX_HEADERS,
            max_header_size=_MAX_HEADER_BYTES,
        )

    async def parts(self) -> AsyncIterator[Part]:
        """Part after part, until the closing boundary."""
        while (event := await self._next()) is not None:
            if not isinstance(event, dict):
                continue  # data of a part that nobody wanted
            _, options = parse_options_header(event.get(b"content-disposition", b"").decode("latin-1"))
            if b"name" not in options:
                raise Malformed("broken_multipart", "A part of the form has no name.")
            filename = options.get(b"filename")
            yield Part(
                name=options[b"name"].decode("utf-8", "replace"),
                filename=None if filename is None else filename.decode("utf-8", "replace"),
                data=self._data(),
            )

    async def _data(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._next(), bytes) and event:
            yield event

    async def _next(self) -> _Event:
        """The next event; empty bytes end a part, none ends the body."""
        while not self._events:
            if self._ended:
                return None
            await self._feed()
        return self._events.popleft()

    async def _feed(self) -> None:
        try:
            chunk = await anext(self._chunks, b"")
        except ClientDisconnect as error:
            raise Malformed("incomplete_body", "The body ended early.") from error
        if not chunk:
            raise Malformed("incomplete_body", "The body ended early.")
        self._left -= len(chunk)
        if self._left < 0:
            raise TooLarge("body_too_large", "The body is larger than any file may be.")
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise Malformed("broken_multipart", "The multipart body is broken.") from error

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise TooLarge("too_many_parts", f"A form may have {MAX_PARTS} parts.")
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _on_headers_finished(self) -> None:
        self._events.append(self._headers)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if end > start:
            self._events.append(data[start:end])

    def _on_part_end(self) -> None:
        self._events.append(b"")

    def _on_end(self) -> None:
        self._ended = True
