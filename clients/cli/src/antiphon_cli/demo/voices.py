"""The instruments: each turns a pitch, a length and a strength into samples.

All are built from tables of one period read at the pitch's speed, or from noise of a seeded generator, so a
note costs a fraction of a millisecond and is the same every time. Levels are linear, full scale is 1.0.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Voice = Callable[[float, float, int], Samples]
"""(frequency in Hz, seconds, sample rate) -> one mono note of full strength."""

_TABLE: Final = 4096
_PHASES: Final = np.arange(_TABLE) / _TABLE * 2 * np.pi


def _table(*partials: float) -> Samples:
    """One period with these strengths of harmonics 1, 2, 3 ..."""
    wave = sum(level * np.sin(number * _PHASES) for number, level in enumerate(partials, start=1))
    whole = np.asarray(wave, dtype=np.float64)
    table: Samples = (whole / np.abs(whole).max()).astype(np.float32)
    return table


_SINE: Final = _table(1.0)
_SOFT_SAW: Final = _table(*(np.exp(-0.22 * n) / n for n in range(1, 14)))
_REED: Final = _table(1.0, 0.05, 0.32, 0.02, 0.12, 0.0, 0.04)
_ROUND: Final = _table(1.0, 0.42, 0.13, 0.05)
_BELL: Final = _table(1.0, 0.0, 0.28, 0.0, 0.0, 0.09)


def _read(table: Samples, phase: npt.NDArray[np.float64]) -> Samples:
    samples: Samples = table[(phase * _TABLE).astype(np.int64) & (_TABLE - 1)]
    return samples


def _time(seconds: float, rate: int) -> npt.NDArray[np.float64]:
    return np.arange(int(seconds * rate)) / rate


def _shape(length: int, rate: int, *, attack: float, release: float) -> Samples:
    """A gain that rises and falls along half cosines, so that no note clicks. Seconds."""
    gain = np.ones(length, dtype=np.float32)
    up, down = min(length // 2, int(attack * rate)), min(length // 2, int(release * rate))
    if up:
        gain[:up] = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, up))
    if down:
        gain[-down:] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, down))
    return gain


def pad(frequency: float, seconds: float, rate: int) -> Samples:
    """Two detuned soft saws that swell."""
    time = _time(seconds + 0.6, rate)
    both = _read(_SOFT_SAW, time * frequency * 1.003) + _read(_SOFT_SAW, time * frequency * 0.997)
    return (0.5 * both * _shape(len(time), rate, attack=0.45, release=0.8)).astype(np.float32)


def keys(frequency: float, seconds: float, rate: int) -> Samples:
    """An electric piano: a sine bent by another whose effect fades (two-operator FM)."""
    time = _time(seconds + 0.5, rate)
    bend = _read(_SINE, time * frequency) * 0.16 * np.exp(-time * 3.5)
    bark = _read(_SINE, time * frequency * 14) * 0.012 * np.exp(-time * 14)
    note = _read(_SINE, time * frequency + bend + bark) * np.exp(-time * 1.7)
    return (note * _shape(len(time), rate, attack=0.004, release=0.35)).astype(np.float32)


def pluck(frequency: float, seconds: float, rate: int) -> Samples:
    """A string picked softly: bright at first, round after."""
    time = _time(max(seconds, 0.5) + 0.4, rate)
    phase = time * frequency
    bright = np.exp(-time * 9.0)
    note = _read(_SOFT_SAW, phase) * bright * 0.55 + _read(_ROUND, phase) * (1 - 0.5 * bright)
    return (note * np.exp(-time * 3.0) * _shape(len(time), rate, attack=0.002, release=0.3)).astype(
        np.float32
    )


def bell(frequency: float, seconds: float, rate: int) -> Samples:
    """A small bell with a long tail."""
    time = _time(seconds + 1.2, rate)
    note = _read(_BELL, time * frequency) * np.exp(-time * 2.2)
    return (note * _shape(len(time), rate, attack=0.003, release=0.6)).astype(np.float32)


def bass(frequency: float, seconds: float, rate: int) -> Samples:
    """A round bass that gives way within the note."""
    time = _time(seconds + 0.06, rate)
    note = _read(_ROUND, time * frequency) * (0.55 + 0.45 * np.exp(-time * 5.0))
    return (note * _shape(len(time), rate, attack=0.008, release=0.09)).astype(np.float32)


def lead(frequency: float, seconds: float, rate: int) -> Samples:
    """A reed with a late, shallow vibrato."""
    time = _time(seconds + 0.15, rate)
    depth = 0.0035 * np.clip((time - 0.18) / 0.4, 0, 1)
    phase = time * frequency + frequency * depth / 5.2 / (2 * np.pi) * (1 - np.cos(2 * np.pi * 5.2 * time))
    return (_read(_REED, phase) * _shape(len(time), rate, attack=0.035, release=0.18)).astype(np.float32)


def kick(rate: int) -> Samples:
    """A drum skin: a sine that falls from 130 to 48 Hz."""
    time = _time(0.32, rate)
    phase = 48 * time + (130 - 48) / 26 * (1 - np.exp(-26 * time))
    return (
        _read(_SINE, phase) * np.exp(-time * 9) * _shape(len(time), rate, attack=0.002, release=0.1)
    ).astype(np.float32)


def snare(rate: int, random: np.random.Generator) -> Samples:
    """A brush on a snare: noise over a short tone."""
    time = _time(0.22, rate)
    noise = _high_passed(random.standard_normal(len(time)), 2) * 0.3
    tone = _read(_SINE, time * 190) * np.exp(-time * 28) * 0.5
    return ((noise * np.exp(-time * 19) + tone) * _shape(len(time), rate, attack=0.002, release=0.06)).astype(
        np.float32
    )


def hat(rate: int, random: np.random.Generator) -> Samples:
    """A closed hat."""
    time = _time(0.07, rate)
    noise = _high_passed(random.standard_normal(len(time)), 4)
    return (0.16 * noise * np.exp(-time * 65) * _shape(len(time), rate, attack=0.001, release=0.02)).astype(
        np.float32
    )


def shaker(rate: int, random: np.random.Generator) -> Samples:
    """A shaker: a hat that takes its time."""
    time = _time(0.11, rate)
    noise = _high_passed(random.standard_normal(len(time)), 3)
    return (0.12 * noise * _shape(len(time), rate, attack=0.035, release=0.07)).astype(np.float32)


def _high_passed(noise: npt.NDArray[np.float64], times: int) -> npt.NDArray[np.float64]:
    """First differences take away what is low, once more with each."""
    for _ in range(times):
        noise = np.diff(noise, prepend=0.0)
    return noise * (2 / max(float(np.abs(noise).max()), 1e-9))
