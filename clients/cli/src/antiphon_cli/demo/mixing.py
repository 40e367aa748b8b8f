"""The mixing desk: notes placed in time and space, a room around them, and a gentle master."""

from typing import Final

import numpy as np
import numpy.typing as npt

from antiphon_cli.demo.voices import Samples

_ROOM_SECONDS: Final = 1.6
_TARGET_RMS: Final = 0.11  # about -17 LUFS for this kind of music
_CEILING: Final = 0.89  # true peaks stay below full scale after lossy encoding
Stereo = npt.NDArray[np.float32]


class Desk:
    """Collects notes on two stereo buses: what is heard directly, and what the room hears."""

    def __init__(self, seconds: float, rate: int) -> None:
        self.rate = rate
        self._dry = np.zeros((2, int(seconds * rate)), dtype=np.float32)
        self._room = np.zeros_like(self._dry)

    def add(self, note: Samples, at: float, *, gain: float, place: float = 0.0, room: float = 0.2) -> None:
        """Place a note `at` seconds. `place` is -1 (left) to 1 (right), `room` how much of it echoes."""
        start = int(at * self.rate)
        length = min(len(note), self._dry.shape[1] - start)
        if start < 0 or length <= 0:
            return
        angle = (place + 1) * np.pi / 4
        pair = np.array([[np.cos(angle)], [np.sin(angle)]], dtype=np.float32) * np.float32(gain)
        heard = pair * note[:length]
        self._dry[:, start : start + length] += heard
        if room:
            self._room[:, start : start + length] += heard * np.float32(room)

    def master(self, random: np.random.Generator, *, fade_in: float, fade_out: float) -> Stereo:
        """Both buses together, evened out, softly limited and faded: shape (2, samples), within ±0.89."""
        whole: Stereo = self._dry + _echoed(self._room, self.rate, random)
        loud = float(np.sqrt(np.mean(np.square(whole, dtype=np.float64))))
        whole = np.tanh(whole * np.float32(_TARGET_RMS / max(loud, 1e-6)) * np.float32(1.15)) * np.float32(
            _CEILING
        )
        rise, fall = int(fade_in * self.rate), int(fade_out * self.rate)
        whole[:, :rise] *= np.linspace(0, 1, rise, dtype=np.float32) ** 2
        whole[:, -fall:] *= np.linspace(1, 0, fall, dtype=np.float32) ** 2
        return whole


def _echoed(sent: Stereo, rate: int, random: np.random.Generator) -> Stereo:
    """Convolve with the decaying noise that a room is, each side with its own."""
    length = int(_ROOM_SECONDS * rate)
    decay = np.exp(-np.arange(length) / rate * 4.2)
    size = _fast_length(sent.shape[1] + length)
    wet = np.empty_like(sent)
    for side in range(2):
        noise = random.standard_normal(length)
        # Averaging neighbours dulls the highs, as air and walls do.
        dull = np.convolve(noise, np.ones(6) / 6, mode="same") * decay
        dull *= 0.9 / np.sqrt(np.sum(np.square(dull)))
        spectrum = np.fft.rfft(sent[side], size) * np.fft.rfft(dull, size)
        wet[side] = np.fft.irfft(spectrum, size)[: sent.shape[1]]
    return wet


def _fast_length(length: int) -> int:
    """The next length of the form 2^a, 3*2^a or 5*2^a, for which transforms are quick."""
    return min(int(odd * 2 ** np.ceil(np.log2(length / odd))) for odd in (1, 3, 5))
