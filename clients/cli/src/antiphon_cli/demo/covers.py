"""Covers drawn from an album's two hues: a gradient, a sun or moon, and layers of hills before it."""

import colorsys
import io
import zlib
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from antiphon_cli.demo.records import Record

_SIDE: Final = 900
_QUALITY: Final = 88
Colour = npt.NDArray[np.float64]


@lru_cache(maxsize=1)
def draw(record: Record) -> bytes:
    """A square JPEG of 900 pixels, the same for the same album."""
    random = np.random.default_rng(zlib.crc32(record.title.encode()))
    first, second = record.hues
    down = np.linspace(0, 1, _SIDE)[:, None, None]
    high, low = _colour(first, 0.45, 0.98), _colour(second, 0.72, 0.55)
    canvas = high * (1 - down) + low * down + np.zeros((_SIDE, _SIDE, 3))
    across, height = np.meshgrid(np.linspace(0, 1, _SIDE), np.linspace(0, 1, _SIDE))
    canvas = _with_disc(canvas, across, height, random, _colour(first + 20, 0.16, 1.0))
    layers = int(random.integers(4, 6))
    for layer in range(layers):
        depth = (layer + 1) / layers
        shade = _colour(second + 14 * depth, 0.55 + 0.25 * depth, 0.62 - 0.46 * depth)
        canvas = _with_ridge(canvas, across, height, random, level=0.52 + 0.36 * depth, shade=shade)
    grain = random.normal(0, 1.6, (_SIDE, _SIDE, 1))
    picture = Image.fromarray(np.clip(canvas * 255 + grain, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _colour(hue: float, saturation: float, value: float) -> Colour:
    return np.array(colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value))


def _with_disc(
    canvas: Colour, across: Colour, height: Colour, random: np.random.Generator, shade: Colour
) -> Colour:
    x, y, radius = random.uniform(0.25, 0.75), random.uniform(0.24, 0.44), random.uniform(0.1, 0.17)
    distance = np.hypot(across - x, height - y)
    disc = np.clip((radius - distance) * _SIDE / 2, 0, 1)[..., None]
    glow = (np.exp(-(np.maximum(distance - radius, 0) ** 2) / 0.03) * 0.35)[..., None]
    lit = canvas * (1 - glow) + shade * glow
    return lit * (1 - disc) + shade * disc


def _with_ridge(
    canvas: Colour,
    across: Colour,
    height: Colour,
    random: np.random.Generator,
    *,
    level: float,
    shade: Colour,
) -> Colour:
    """One layer below a line of a few waves, its edge softened over two pixels."""
    line = np.full_like(across, level)
    for wave in range(1, 5):
        swing = random.uniform(0.02, 0.07) / wave
        line += swing * np.sin(2 * np.pi * (wave * across * random.uniform(0.6, 1.4) + random.random()))
    below = np.clip((height - line) * _SIDE / 2, 0, 1)[..., None]
    return canvas * (1 - below) + shade * below
