"""Pictures, made safe: decoded within bounds and always written anew as WebP in the sizes a client may ask
for.

Runs in the child. What leaves here was encoded here, so neither metadata nor anything hidden behind or
inside the original can reach a browser.
"""

import io
import warnings
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

from antiphon_file.domain import IMAGE_SIZES, Picture, Refused

MAX_PIXELS: Final = 25_000_000
MAX_SIDE: Final = 20_000  # to shrink one endless line takes far more memory than its pixels do
_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_QUALITY: Final = 82
_EFFORT: Final = 2  # of 6: twice as fast as the default for one percent more bytes


def render(data: bytes) -> Picture:
    """Decode and encode again. `Refused` with `not_an_image`, `image_too_large` or `image_broken`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sizes are judged below, before a pixel is decoded
        try:
            picture = Image.open(io.BytesIO(data), formats=_FORMATS)
        except UnidentifiedImageError as error:
            raise Refused("not_an_image") from error
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            bomb = isinstance(error, Image.DecompressionBombError)
            raise Refused("image_too_large" if bomb else "image_broken") from error
        if picture.width * picture.height > MAX_PIXELS or max(picture.size) > MAX_SIDE:
            raise Refused("image_too_large")
        try:
            return _rendered(picture)
        except (OSError, ValueError, SyntaxError, IndexError, EOFError, TypeError, KeyError) as error:
            raise Refused("image_broken") from error  # Pillow's decoders fail in all these ways
        except MemoryError as error:
            raise Refused("image_too_large") from error


def _rendered(picture: Image.Image) -> Picture:
    largest = max(IMAGE_SIZES)
    picture.draft("RGB", (largest, largest))  # lets a JPEG decode at a fraction of its size
    upright = ImageOps.exif_transpose(picture)  # loads the first frame only
    whole = upright.convert("RGBA" if "transparency" in picture.info or "A" in upright.mode else "RGB")
    full_width, full_height = whole.size
    renditions: dict[int, bytes] = {}
    needed = next((size for size in sorted(IMAGE_SIZES) if size >= max(whole.size)), largest)
    for size in sorted((size for size in IMAGE_SIZES if size <= needed), reverse=True):
        whole = _shrunk(whole, size)
        buffer = io.BytesIO()
        whole.save(buffer, "WEBP", quality=_QUALITY, method=_EFFORT)
        renditions[size] = buffer.getvalue()
    return Picture(full_width, full_height, _dominant(whole), renditions)


def _shrunk(picture: Image.Image, size: int) -> Image.Image:
    """Fit into a square of `size`; a smaller picture stays as it is."""
    longest = max(picture.size)
    if longest <= size:
        return picture
    fitted = (max(1, picture.width * size // longest), max(1, picture.height * size // longest))
    return picture.resize(fitted, Image.Resampling.LANCZOS)


def _dominant(picture: Image.Image) -> str:
    """The most telling colour: the largest of a few clusters, where colourful ones weigh more than grey."""
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    reduced = flat.quantize(8, method=Image.Quantize.MEDIANCUT)
    palette = reduced.getpalette() or []
    best, best_weight = (128, 128, 128), 0.0
    for count, index in reduced.getcolors() or []:
        red, green, blue = palette[3 * int(str(index)) : 3 * int(str(index)) + 3]
        weight = count * (1 + (max(red, green, blue) - min(red, green, blue)) / 64)
        if weight > best_weight:
            best, best_weight = (red, green, blue), weight
    return "#{:02x}{:02x}{:02x}".format(*best)
