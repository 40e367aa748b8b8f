"""The composer: from a recipe to a piece. Chords that lead into each other, a bass under them, a figure, a
melody.

Everything that is chosen is chosen by a generator seeded with the track, so a piece is always the same;
everything that is not chosen is what makes it pleasant: seventh chords moved as little as possible, melodies
that rest on chord tones on strong beats and otherwise step along the scale, voices that enter one after the
other.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from antiphon_cli.demo import voices
from antiphon_cli.demo.mixing import Desk, Stereo
from antiphon_cli.demo.records import Song, Style
from antiphon_cli.demo.voices import Samples, Voice

_MAJOR: Final = (0, 2, 4, 5, 7, 9, 11)
_MINOR: Final = (0, 2, 3, 5, 7, 8, 10)
_PROGRESSIONS: Final = {
    False: ((0, 5, 3, 4), (0, 4, 5, 3), (0, 2, 3, 4), (3, 4, 2, 5), (1, 4, 0, 5)),
    True: ((0, 5, 2, 6), (0, 3, 5, 6), (0, 6, 5, 4), (5, 6, 0, 0), (0, 2, 5, 3)),
}


@dataclass(frozen=True, slots=True)
class Manner:
    """How a style is played. Patterns are in sixteenths of a bar (twelfths in three-four time)."""

    beats: int
    chords: Voice
    chord_gain: float
    figure: Voice
    figure_steps: tuple[int, ...]
    bass_steps: tuple[int, ...]
    kick: tuple[int, ...] = ()
    snare: tuple[int, ...] = ()
    hat: tuple[int, ...] = ()
    shaker: bool = False
    swing: float = 0.0
    melody: Voice = voices.lead
    melody_gain: float = 0.2


_EVERY_OTHER: Final = tuple(range(0, 16, 2))
_MANNERS: Final[dict[Style, Manner]] = {
    "ambient": Manner(
        4, voices.pad, 0.14, voices.bell, (0, 3, 6, 10, 12), (0,), melody=voices.bell, melody_gain=0.16
    ),
    "lofi": Manner(
        4, voices.keys, 0.17, voices.keys, (3, 7, 10), (0, 7, 10), kick=(0, 7, 10), snare=(4, 12),
        hat=_EVERY_OTHER, swing=0.16,
    ),
    "synthwave": Manner(
        4, voices.pad, 0.13, voices.pluck, tuple(range(16)), _EVERY_OTHER, kick=(0, 8), snare=(4, 12),
        hat=_EVERY_OTHER,
    ),
    "house": Manner(
        4, voices.keys, 0.15, voices.pluck, (2, 5, 8, 11, 14), (2, 6, 10, 14), kick=(0, 4, 8, 12),
        snare=(4, 12), hat=(2, 6, 10, 14), melody=voices.keys,
    ),
    "waltz": Manner(3, voices.pluck, 0.13, voices.pluck, (0, 4, 6, 8, 10), (0,), hat=(4, 8)),
    "bossa": Manner(
        4, voices.pluck, 0.15, voices.keys, (2, 6, 9, 12), (0, 6, 8, 14), kick=(0, 6, 8, 14),
        snare=(0, 3, 6, 10, 13), shaker=True,
    ),
}  # fmt: skip


@dataclass(slots=True)
class _Band:
    """The piece while it is being written: where notes go, and notes already made."""

    song: Song
    manner: Manner
    desk: Desk
    random: np.random.Generator
    notes: dict[tuple[Callable[..., Samples], int, float], Samples] = field(default_factory=dict)

    @property
    def bar(self) -> float:
        """Seconds of a bar."""
        return self.manner.beats * 60 / self.song.tempo

    @property
    def steps(self) -> int:
        """Steps of a bar."""
        return self.manner.beats * 4

    def at(self, bar: int, step: float) -> float:
        """Seconds from the start; every second step comes late where the style swings."""
        late = self.manner.swing if int(step) % 2 else 0.0
        return (bar + (step + late) / self.steps) * self.bar

    def note(self, voice: Voice, pitch: int, steps: float) -> Samples:
        """A note of so many steps at a MIDI pitch; the same one is made only once."""
        found = self.notes.get((voice, pitch, steps))
        if found is None:
            frequency = 440 * 2 ** ((pitch - 69) / 12)
            found = voice(frequency, steps * self.bar / self.steps, self.desk.rate)
            self.notes[voice, pitch, steps] = found
        return found

    def drum(self, voice: Callable[[int, np.random.Generator], Samples]) -> Samples:
        """A drum sound, made once."""
        found = self.notes.get((voice, 0, 0.0))
        if found is None:
            found = self.notes[voice, 0, 0.0] = voice(self.desk.rate, self.random)
        return found


def compose(song: Song, *, rate: int, seed: int = 0) -> Stereo:
    """The whole piece as samples: shape (2, samples), float32 within ±1, at `rate` Hz."""
    random = np.random.default_rng([seed, zlib.crc32(song.path.encode())])
    manner = _MANNERS[song.style]
    seconds = (song.bars + 1) * manner.beats * 60 / song.tempo
    band = _Band(song, manner, Desk(seconds, rate), random)
    harmony = _harmony(song, random)
    motif = _motif(band)
    for bar in range(song.bars):
        chord, root = harmony[bar]
        part = bar / song.bars
        last = bar == song.bars - 1
        _play_chord(band, bar, chord)
        if not last:
            _play_figure(band, bar, chord)
        if part >= 0.12:
            _play_bass(band, bar, root, held=last)
        if part >= 0.2 and not last:
            _play_drums(band, bar)
        if 0.3 <= part < 0.92:
            _play_melody(band, bar, chord, motif[bar % len(motif)])
    return band.desk.master(random, fade_in=0.4, fade_out=min(3.0, band.bar * 1.5))


def _scale(song: Song) -> tuple[int, ...]:
    return _MINOR if song.minor else _MAJOR


def _harmony(song: Song, random: np.random.Generator) -> list[tuple[tuple[int, ...], int]]:
    """For each bar the notes of its chord, close to those before it, and the bass note."""
    choices = _PROGRESSIONS[song.minor]
    first, second = random.choice(len(choices), size=2, replace=False)
    degrees = [*choices[first], *choices[first], *choices[second], *choices[first]]
    bars: list[tuple[tuple[int, ...], int]] = []
    centre = float(song.key)
    for bar in range(song.bars):
        degree = 0 if bar == song.bars - 1 else degrees[bar % len(degrees)]
        classes = [_pitch(song, degree + step) % 12 for step in (0, 2, 4, 6)]
        chord = tuple(sorted(_nearest(kind, centre) for kind in classes))
        centre = 0.7 * float(np.mean(chord)) + 0.3 * song.key
        bars.append((chord, _nearest(classes[0], 40)))
    return bars


def _pitch(song: Song, degree: int) -> int:
    """The MIDI note of a degree of the scale, which goes on above and below its octave."""
    octave, step = divmod(degree, 7)
    return song.key + 12 * octave + _scale(song)[step]


def _nearest(kind: int, centre: float) -> int:
    """The note of this pitch class that is nearest to a centre."""
    return kind + 12 * round((centre - kind) / 12)


def _motif(band: _Band) -> list[list[tuple[int, int, int]]]:
    """Four bars of melody as (step, length, movement): a thought, its answer, the thought again, an end."""
    rhythms = {
        12: (((0, 4), (4, 2), (6, 6)), ((0, 6), (6, 2), (8, 4)), ((0, 8),)),
        16: (
            ((0, 3), (3, 3), (6, 4), (12, 4)),
            ((0, 6), (6, 2), (8, 6)),
            ((2, 2), (4, 4), (8, 8)),
            ((0, 10),),
        ),
    }[band.steps]

    def bar(number: int) -> list[tuple[int, int, int]]:
        rhythm = rhythms[number % len(rhythms)]
        return [(step, length, int(band.random.integers(-2, 3))) for step, length in rhythm]

    thought, answer, end = bar(int(band.random.integers(0, 2))), bar(1), bar(len(rhythms) - 1)
    return [thought, answer, thought, end]


def _play_chord(band: _Band, bar: int, chord: tuple[int, ...]) -> None:
    sustained = band.manner.chords is voices.pad
    strokes = (
        ((0, band.steps),) if sustained or band.song.style == "lofi" else ((0, 6), (band.steps // 2 + 2, 4))
    )
    for step, length in strokes:
        for index, pitch in enumerate(chord):
            late = 0.0 if sustained else 0.012 * index  # a hand never strikes all at once
            note = band.note(band.manner.chords, pitch, length)
            place = -0.5 + index / (len(chord) - 1)
            strength = band.manner.chord_gain * (1.0 if step == 0 else 0.75)
            band.desk.add(note, band.at(bar, step) + late, gain=strength, place=place * 0.8, room=0.3)


def _play_figure(band: _Band, bar: int, chord: tuple[int, ...]) -> None:
    upper = [pitch + 12 for pitch in chord]
    ladder = [*upper, upper[0] + 12, *reversed(upper[1:])]
    for index, step in enumerate(band.manner.figure_steps):
        if step >= band.steps:
            continue
        note = band.note(band.manner.figure, ladder[index % len(ladder)], 2)
        gain = 0.075 + 0.02 * float(band.random.random())
        band.desk.add(note, band.at(bar, step), gain=gain, place=0.5 if index % 2 else -0.5, room=0.45)


def _play_bass(band: _Band, bar: int, root: int, *, held: bool) -> None:
    steps = (0,) if held else tuple(step for step in band.manner.bass_steps if step < band.steps)
    for index, step in enumerate(steps):
        following = steps[index + 1] if index + 1 < len(steps) else band.steps
        fifth = len(steps) > 2 and index == len(steps) - 1 and bar % 2 == 1
        note = band.note(voices.bass, root + (7 if fifth else 0), following - step)
        band.desk.add(note, band.at(bar, step), gain=0.34, room=0.03)


def _play_drums(band: _Band, bar: int) -> None:
    manner, soft = band.manner, 0.6 if band.song.style in {"lofi", "bossa", "waltz"} else 1.0
    for step in manner.kick:
        band.desk.add(band.drum(_kick), band.at(bar, step), gain=0.5 * soft, room=0.03)
    for step in manner.snare:
        band.desk.add(band.drum(voices.snare), band.at(bar, step), gain=0.26 * soft, place=0.1, room=0.25)
    for step in manner.hat:
        accent = 1.0 if step % 4 == 0 else 0.65
        band.desk.add(band.drum(voices.hat), band.at(bar, step), gain=0.55 * accent, place=0.3, room=0.1)
    for step in range(band.steps if manner.shaker else 0):
        accent = 1.0 if step % 4 == 2 else 0.5
        band.desk.add(band.drum(voices.shaker), band.at(bar, step), gain=0.5 * accent, place=-0.35, room=0.1)


def _kick(rate: int, _random: np.random.Generator) -> Samples:
    return voices.kick(rate)


def _play_melody(band: _Band, bar: int, chord: tuple[int, ...], motif: list[tuple[int, int, int]]) -> None:
    """Strong beats rest on the chord, what lies between steps along the scale from there."""
    degree = 7
    for step, length, movement in motif:
        if step % 4 == 0:
            target = _pitch(band.song, degree)
            pitch = min((p + 12 * octave for p in chord for octave in (0, 1)), key=lambda p: abs(p - target))
        else:
            pitch = _pitch(band.song, degree)
        note = band.note(band.manner.melody, pitch, length)
        at = band.at(bar, step)
        band.desk.add(note, at, gain=band.manner.melody_gain, place=0.08, room=0.35)
        echo = 3 * band.bar / band.steps
        band.desk.add(note, at + echo, gain=band.manner.melody_gain * 0.22, place=-0.45, room=0.5)
        degree = int(np.clip(degree + movement, 4, 11))
