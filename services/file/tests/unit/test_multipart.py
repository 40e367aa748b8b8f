"""Multipart bodies, in whatever pieces they arrive."""

from collections.abc import AsyncIterator

import pytest
from starlette.requests import ClientDisconnect

from antiphon_common.errors import Malformed, TooLarge, Unsupported
from antiphon_file.adapters.multipart import MAX_PARTS, MultipartBody, boundary_of

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\n\xc4\x90\xc3\xaam\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a \\"b\\".mp3"\r\nContent-Type: x/y\r\n\r\n'
    b"bytes\r\n--not the boundary\r\n--\r\n--b\r\n"
    b'Content-Disposition: form-data; name="empty"\r\n\r\n\r\n--b--\r\n'
)


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def part(name: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\nx\r\n'


async def read(data: bytes, *, size: int = 1000, limit: int = 10**6) -> list[tuple[str, str | None, bytes]]:
    body = MultipartBody(pieces(data, size), b"b", max_bytes=limit)
    return [(one.name, one.filename, await one.read(10_000)) async for one in body.parts()]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
async def test_a_form_is_the_same_in_whatever_pieces_it_arrives(size: int) -> None:
    assert await read(FORM, size=size) == [
        ("title", None, "Đêm".encode()),
        ("file", 'a "b".mp3', b"bytes\r\n--not the boundary\r\n--"),
        ("empty", None, b""),
    ]


async def test_a_part_that_nobody_reads_is_passed_over() -> None:
    body = MultipartBody(pieces(FORM, 9), b"b", max_bytes=10**6)
    assert [one.name async for one in body.parts()] == ["title", "file", "empty"]


async def test_a_form_may_have_ten_parts() -> None:
    assert len(await read(part(b"n") * MAX_PARTS + b"--b--\r\n")) == MAX_PARTS
    with pytest.raises(TooLarge):
        await read(part(b"n") * (MAX_PARTS + 1) + b"--b--\r\n")


async def test_a_body_over_its_limit_and_a_field_over_its_own_are_too_large() -> None:
    with pytest.raises(TooLarge):
        await read(FORM, limit=len(FORM) - 1)
    body = MultipartBody(pieces(FORM, 1000), b"b", max_bytes=10**6)
    one = await anext(body.parts())
    with pytest.raises(TooLarge):
        await one.read(3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        FORM[:-8],
        b"--other\r\n\r\n",
        b'--b\r\nContent-Disposition: form-data; name="x"\r\nbroken\r\n\r\nx\r\n--b--',
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nX: " + b"y" * 3000 + b"\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\n" + b"X: y\r\n" * 9 + b"\r\nx\r\n--b--\r\n",
    ],
)
async def test_what_is_no_form_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        await read(data)


async def test_a_client_that_goes_away_is_no_failure_of_ours() -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield FORM[:60]
        raise ClientDisconnect

    body = MultipartBody(leaving(), b"b", max_bytes=10**6)
    with pytest.raises(Malformed):
        [one async for one in body.parts()]


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "multipart/mixed; boundary=b",
        "multipart/form-data",
        'multipart/form-data; boundary=""',
    ],
)
def test_any_other_type_is_unsupported(content_type: str | None) -> None:
    with pytest.raises(Unsupported):
        boundary_of(content_type)
    assert boundary_of('Multipart/Form-Data; charset=x; boundary="b c"') == b"b c"
