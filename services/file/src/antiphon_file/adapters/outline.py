"""The outline of a sound: 1000 pairs of its lowest and highest sample, for the waveform a player draws.

Runs in the analysis child. How long the audio is shows only at its end (headers lie), so cells start at one
sample and neighbours are merged whenever there are too many: memory and accuracy stay the same for any
length.
"""

import base64
from typing import Final

import numpy as np
import numpy.typing as npt

POINTS: Final = 1000
_MOST_CELLS: Final = 32 * POINTS

Samples = npt.NDArray[np.float64]


class Outline:
    """Collects interleaved samples of full scale 1.0 and answers base64 of 1000 (min, max) pairs of int8."""

    def __init__(self) -> None:
        self._cell = 1  # samples of each channel in one cell
        self._low: list[Samples] = []
        self._high: list[Samples] = []
        self._count = 0
        self._rest: Samples = np.empty(0)

    def add(self, samples: Samples, channels: int) -> None:
        """Take the next interleaved samples; `channels` may not change between calls."""
        samples = np.concatenate([self._rest, samples]) if self._rest.size else samples
        width = self._cell * channels
        whole = samples.size // width
        self._rest = samples[whole * width :].copy()
        if not whole:
            return
        cells = samples[: whole * width].reshape(whole, width)
        self._append(cells.min(axis=1), cells.max(axis=1))
        while self._count > _MOST_CELLS:
            self._halve()

    def encoded(self) -> str:
        """base64 of 2000 signed bytes: min, max, min, max ... over 1000 equal spans of the whole."""
        if self._rest.size:
            self._append(self._rest.min(keepdims=True), self._rest.max(keepdims=True))
            self._rest = np.empty(0)
        if not self._count:
            return base64.b64encode(bytes(2 * POINTS)).decode()
        starts = np.arange(POINTS) * self._count // POINTS
        low = np.minimum.reduceat(np.concatenate(self._low), starts)
        high = np.maximum.reduceat(np.concatenate(self._high), starts)
        pairs = np.nan_to_num(np.stack([low, high], axis=1), nan=0.0, posinf=1.0, neginf=-1.0)
        return base64.b64encode(np.round(pairs.clip(-1, 1) * 127).astype(np.int8).tobytes()).decode()

    def _append(self, low: Samples, high: Samples) -> None:
        self._low.append(low)
        self._high.append(high)
        self._count += low.size

    def _halve(self) -> None:
        low, high = np.concatenate(self._low), np.concatenate(self._high)
        if low.size % 2:  # the odd last cell repeats itself: a point's extremes do not change by that
            low, high = np.append(low, low[-1]), np.append(high, high[-1])
        self._low = [low.reshape(-1, 2).min(axis=1)]
        self._high = [high.reshape(-1, 2).max(axis=1)]
        self._count = low.size // 2
        self._cell *= 2
