"""The demo library: what it promises, heard and read back from the files it writes."""

import unicodedata
from dataclasses import replace
from pathlib import Path

import av
import mutagen
import numpy as np
import pytest

from antiphon_cli.demo import make_library
from antiphon_cli.demo.composing import compose
from antiphon_cli.demo.covers import draw
from antiphon_cli.demo.records import SONGS, Format, Song
from antiphon_cli.demo.writing import rate_of, write


def short(song: Song) -> Song:
    """The same recipe, two bars of it."""
    return replace(song, bars=2)


def seconds_of(song: Song) -> float:
    beats = 3 if song.style == "waltz" else 4
    return (song.bars + 1) * beats * 60 / song.tempo


def decoded(path: Path) -> tuple[float, float]:
    """Seconds of sound and its loudest sample."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    samples = sum(frame.samples for frame in frames)
    loudest = max(float(np.abs(frame.to_ndarray().astype(np.float64)).max()) for frame in frames)
    return samples / frames[0].sample_rate, loudest


def test_the_library_is_as_varied_as_promised() -> None:
    records = {song.record for song in SONGS}
    assert len(SONGS) >= 16
    assert len(records) >= 5
    assert len({song.record.artist for song in SONGS} - {"Various Artists"}) >= 5
    assert {song.format for song in SONGS} == {"mp3", "flac", "ogg", "opus", "m4a"}
    assert any("feat." in song.performer for song in SONGS)
    assert any(song.explicit for song in SONGS)
    compilation = [song.performer for song in SONGS if song.record.compilation]
    assert len(set(compilation)) >= 3
    assert len({song.path for song in SONGS}) == len(SONGS)


def test_names_are_in_latin_with_accents_cyrillic_vietnamese_and_japanese() -> None:
    names = " ".join(f"{song.title} {song.performer}" for song in SONGS)
    scripts = {unicodedata.name(letter).split()[0] for letter in names if letter.isalpha()}
    assert {"LATIN", "CYRILLIC", "HIRAGANA", "KATAKANA", "CJK"} <= scripts
    assert {"é", "ư", "ố", "Đ"} <= set(unicodedata.normalize("NFC", names))


@pytest.mark.parametrize("song", SONGS, ids=lambda song: song.path)
def test_every_track_lasts_between_20_and_60_seconds(song: Song) -> None:
    assert 20 <= seconds_of(song) <= 60


def test_the_same_seed_gives_the_same_samples_and_another_seed_others() -> None:
    song = short(SONGS[0])
    first, again = compose(song, rate=44_100), compose(song, rate=44_100)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, compose(song, rate=44_100, seed=1))
    assert draw(song.record) == draw.__wrapped__(song.record)


@pytest.mark.parametrize("style", sorted({song.style for song in SONGS}))
def test_every_style_is_stereo_music_within_full_scale_and_without_clicks_at_its_ends(style: str) -> None:
    song = next(song for song in SONGS if song.style == style)
    samples = compose(replace(song, bars=6), rate=44_100)
    assert samples.shape[0] == 2
    assert not np.array_equal(samples[0], samples[1])
    assert 0.3 < np.abs(samples).max() < 0.9
    assert 0.05 < np.sqrt(np.mean(samples**2)) < 0.2
    assert np.abs(samples[:, [0, -1]]).max() < 1e-3
    assert np.isfinite(samples).all()


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "opus", "m4a"])
def test_a_file_of_each_format_sounds_and_says_what_it_should(kind: Format, tmp_path: Path) -> None:
    song = short(next(song for song in SONGS if song.format == kind))
    samples = compose(song, rate=rate_of(kind))
    target = tmp_path / song.path
    write(song, samples, draw(song.record), target)
    seconds, loudest = decoded(target)
    assert seconds == pytest.approx(seconds_of(song), abs=0.15)
    assert loudest > 0.05
    tags = mutagen.File(target, easy=True)
    assert tags["title"] == [song.title]
    assert tags["artist"] == [song.performer]
    assert tags["album"] == [song.record.title]
    assert tags["albumartist"] == [song.record.artist]
    assert tags["genre"] == [song.record.genre]
    assert tags["date"][0] == song.record.date
    assert tags["tracknumber"][0].split("/")[0] == str(song.number)
    assert draw(song.record)[:64] in target.read_bytes() or kind in {"ogg", "opus"}  # there in base64


def test_explicit_tracks_and_compilations_are_tagged_as_such(tmp_path: Path) -> None:
    explicit = short(next(song for song in SONGS if song.explicit))
    write(explicit, compose(explicit, rate=rate_of(explicit.format)), b"", tmp_path / "explicit.m4a")
    assert mutagen.File(tmp_path / "explicit.m4a")["rtng"] == [1]
    various = replace(short(next(song for song in SONGS if song.record.compilation)), format="mp3")
    write(various, compose(various, rate=44_100), b"", tmp_path / "various.mp3")
    assert mutagen.File(tmp_path / "various.mp3")["TCMP"].text == ["1"]


def test_only_what_is_missing_is_made_and_progress_is_told(tmp_path: Path) -> None:
    shortest = min(SONGS, key=seconds_of)
    for song in SONGS:
        if song != shortest:
            (tmp_path / song.path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / song.path).touch()
    told: list[tuple[int, int, str]] = []
    tracks = make_library(tmp_path, lambda *step: told.append(step))
    assert [track.path for track in tracks] == [tmp_path / song.path for song in SONGS]
    assert [step[:2] for step in told] == [(n, len(SONGS)) for n in range(1, len(SONGS) + 1)]
    assert decoded(tmp_path / shortest.path)[0] == pytest.approx(seconds_of(shortest), abs=0.15)
    assert sum(track.path.stat().st_size > 0 for track in tracks) == 1
