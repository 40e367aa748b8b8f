"""Pictures made safe, by the children that do it."""

import io
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from PIL import Image

from antiphon_file.adapters.pool import ReaderPool
from antiphon_file.adapters.reader import ChildReader
from antiphon_file.domain import Picture, Refused

pytestmark = pytest.mark.once("embedded")

Render = Callable[[bytes], "object"]


@pytest.fixture
async def reader() -> AsyncIterator[ChildReader]:
    pool = ReaderPool(size=1)
    yield ChildReader(pool, max_seconds=60)
    await pool.stop()


async def rendered(reader: ChildReader, directory: Path, data: bytes) -> Picture:
    path = directory / "picture"
    path.write_bytes(data)
    return await reader.picture(path)


async def refused(reader: ChildReader, directory: Path, data: bytes) -> str:
    with pytest.raises(Refused) as refusal:
        await rendered(reader, directory, data)
    return refusal.value.reason


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def two_colours(width: int, height: int) -> Image.Image:
    picture = Image.new("RGB", (width, height), "#102030")
    picture.paste("#d02010", (0, 0, width, height // 2))
    return picture


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_picture_is_written_anew_in_five_sizes(
    reader: ChildReader, tmp_path: Path, kind: str
) -> None:
    picture = await rendered(reader, tmp_path, saved(two_colours(2000, 1000), kind))
    assert (picture.width, picture.height) == (2000, 1000)
    assert sorted(picture.renditions) == [64, 160, 320, 640, 1280]
    for size, data in picture.renditions.items():
        with Image.open(io.BytesIO(data)) as rendition:
            assert rendition.format == "WEBP"
            assert rendition.size == (size, size // 2)
    red, green, blue = (int(picture.dominant_color[at : at + 2], 16) for at in (1, 3, 5))
    assert red > 150
    assert green < 90
    assert blue < 90


@pytest.mark.parametrize(("side", "sizes"), [(100, [64, 160]), (1, [64]), (640, [64, 160, 320, 640])])
async def test_nothing_is_ever_scaled_up(
    reader: ChildReader, tmp_path: Path, side: int, sizes: list[int]
) -> None:
    picture = await rendered(reader, tmp_path, saved(two_colours(side, side), "PNG"))
    assert sorted(picture.renditions) == sizes
    largest = Image.open(io.BytesIO(picture.renditions[sizes[-1]]))
    assert largest.size == (side, side)


async def test_orientation_is_applied_and_metadata_is_gone(reader: ChildReader, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "my secret garden"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 0.0)  # a place
    data = saved(two_colours(400, 200), "JPEG", exif=exif)
    assert b"secret garden" in data
    picture = await rendered(reader, tmp_path, data)
    assert (picture.width, picture.height) == (200, 400)
    for rendition in picture.renditions.values():
        assert b"secret garden" not in rendition
        assert not Image.open(io.BytesIO(rendition)).getexif()


async def test_what_hides_behind_a_picture_does_not_get_through(reader: ChildReader, tmp_path: Path) -> None:
    script = b"<script>alert(document.domain)</script>"
    polyglot = saved(two_colours(300, 300), "JPEG", comment=script) + b"<html>" + script
    picture = await rendered(reader, tmp_path, polyglot)
    assert all(b"<script" not in rendition for rendition in picture.renditions.values())


async def test_an_animation_becomes_its_first_frame(reader: ChildReader, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (100, 100), colour) for colour in ("red", "blue", "lime")]
    for kind in ("WEBP", "PNG"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
        picture = await rendered(reader, tmp_path, data)
        small = Image.open(io.BytesIO(picture.renditions[64]))
        assert getattr(small, "n_frames", 1) == 1
        assert picture.dominant_color.startswith("#f")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
async def test_every_kind_of_pixels_is_understood(reader: ChildReader, tmp_path: Path, mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    base = two_colours(90, 90)
    picture = Image.new("I;16", (90, 90), 40_000) if mode == "I;16" else base.convert(mode)
    assert (await rendered(reader, tmp_path, saved(picture, kind))).width == 90


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes((1 + (width + 7) // 8) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(12_000, 12_000), (5001, 5000), (40_000, 700)])
async def test_a_pixel_bomb_is_refused_before_it_unfolds(
    reader: ChildReader, tmp_path: Path, width: int, height: int
) -> None:
    bomb = png_that_claims(width, height)
    assert len(bomb) < 50_000
    assert await refused(reader, tmp_path, bomb) == "image_too_large"


@pytest.mark.parametrize(("width", "height"), [(1, 24_999_999), (20_001, 1), (1000, 20_001)])
async def test_a_picture_with_an_endless_side_is_too_large(
    reader: ChildReader, tmp_path: Path, width: int, height: int
) -> None:
    assert await refused(reader, tmp_path, png_that_claims(width, height)) == "image_too_large"


@pytest.mark.parametrize(("width", "height"), [(20_000, 1250), (1, 20_000)])
async def test_a_long_picture_is_rendered(
    reader: ChildReader, tmp_path: Path, width: int, height: int
) -> None:
    picture = await rendered(reader, tmp_path, png_that_claims(width, height))
    assert (picture.width, picture.height) == (width, height)


async def test_the_largest_picture_allowed_fits_into_the_childs_memory(
    reader: ChildReader, tmp_path: Path
) -> None:
    picture = await rendered(reader, tmp_path, saved(Image.new("RGBA", (5000, 5000), "#12345678"), "PNG"))
    assert picture.width == 5000


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


async def test_other_formats_and_no_pictures_at_all_are_refused(reader: ChildReader, tmp_path: Path) -> None:
    small = two_colours(20, 20)
    for data in (
        SVG,
        b"<!doctype html><script>",
        b"",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
    ):
        assert await refused(reader, tmp_path, data) == "not_an_image", data
    for kind in ("GIF", "BMP", "TIFF", "ICO", "PPM", "TGA", "PDF", "EPS"):
        assert await refused(reader, tmp_path, saved(small, kind)) == "not_an_image", kind


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_picture_that_was_cut_is_broken(reader: ChildReader, tmp_path: Path, kind: str) -> None:
    noise = Image.effect_noise((300, 300), 90).convert("RGB")
    data = saved(noise, kind)
    assert await refused(reader, tmp_path, data[: len(data) // 2]) == "image_broken"


async def test_a_picture_over_8_mb_is_too_large(reader: ChildReader, tmp_path: Path) -> None:
    data = saved(two_colours(100, 100), "JPEG") + bytes(8 * 1024 * 1024)
    assert await refused(reader, tmp_path, data) == "image_too_large"
