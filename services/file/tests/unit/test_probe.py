"""Reading a file: what it is, whether it is whole, and how it sounds."""

import base64
import os
import struct
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from antiphon_file.adapters.probe import analyse
from antiphon_file.domain import Refused


class Sound(Protocol):
    def __call__(self, kind: str, seconds: float = 1.0, **how: Any) -> Path: ...


def read(path: Path, *, max_seconds: int = 3600) -> dict[str, Any]:
    return analyse(str(path), max_seconds=max_seconds)


def reason(path: Path, *, max_seconds: int = 3600) -> str:
    with pytest.raises(Refused) as refused:
        read(path, max_seconds=max_seconds)
    return refused.value.reason


def wav(data: bytes, *, declared: int | None = None, rate: int = 44_100, channels: int = 2) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    length = len(data) if declared is None else declared
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", length) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


CODECS = {
    "mp3": ("mp3", "audio/mpeg"), "flac": ("flac", "audio/flac"), "ogg": ("vorbis", "audio/ogg"),
    "opus": ("opus", "audio/ogg"), "m4a": ("aac", "audio/mp4"), "aac": ("aac", "audio/aac"),
    "wav": ("pcm_s16le", "audio/wav"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_each_format_is_recognised_by_its_content_and_measured(sound: Sound, kind: str, layout: str) -> None:
    if kind == "ogg" and layout == "mono":
        pytest.skip("libav's own Vorbis encoder knows stereo only")
    path = sound(kind, 2.0, layout=layout).rename(sound("wav").parent / "holiday.jpg")
    facts = read(path)["facts"]
    assert (facts["codec"], facts["mime"]) == CODECS[kind]
    assert facts["duration_ms"] == pytest.approx(2000, abs=60)
    assert facts["channels"] == (1 if layout == "mono" else 2)
    assert facts["sample_rate"] == (48_000 if kind == "opus" else 44_100)
    assert facts["bitrate"] > 1000


@pytest.mark.parametrize("kind", ["flac", "wav", "mp3", "opus"])
def test_loudness_and_true_peak_are_those_of_the_standard(sound: Sound, kind: str) -> None:
    # A stereo sine of 997 Hz whose peak is 20 dB below full scale measures -20 LUFS (EBU Tech 3341, case 1).
    facts = read(sound(kind, 5.0, level=0.1))["facts"]
    # The MP3 encoder lowers what it gets by 0.45 dB.
    assert facts["loudness_lufs"] == pytest.approx(-20.45 if kind == "mp3" else -20.0, abs=0.15)
    assert facts["peak"] == pytest.approx(0.1, rel=0.06)


def test_the_waveform_is_a_thousand_pairs_that_follow_the_sound(sound: Sound) -> None:
    for seconds in (0.05, 3.0, 20.0):
        outline = read(sound("wav", seconds, level=0.5, rate=8000))["facts"]["waveform"]
        pairs = np.frombuffer(base64.b64decode(outline), dtype=np.int8).reshape(-1, 2)
        assert pairs.shape == (1000, 2)
        assert (pairs[:, 0] <= pairs[:, 1]).all()
        assert pairs.max() == pytest.approx(0.5 * 127, abs=1)
        assert pairs.min() == pytest.approx(-0.5 * 127, abs=1)


def test_the_waveform_shows_where_the_sound_begins(tmp_path: Path) -> None:
    loud = (np.full((44_100 * 3, 2), 16_000)).astype("<i2").tobytes()
    path = tmp_path / "x"
    path.write_bytes(wav(bytes(len(loud)) + loud))
    pairs = np.frombuffer(base64.b64decode(read(path)["facts"]["waveform"]), dtype=np.int8).reshape(-1, 2)
    assert pairs[:498].max() == 0
    assert (pairs[502:, 1] > 60).all()


def test_silence_has_no_loudness(sound: Sound) -> None:
    facts = read(sound("flac", 1.0, level=0.0))["facts"]
    assert facts["loudness_lufs"] is None
    assert facts["peak"] == 0


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "opus", "m4a", "wav"])
@pytest.mark.parametrize("kept", [0.95, 0.6, 0.25])
def test_a_file_that_was_cut_is_truncated(sound: Sound, kind: str, kept: float) -> None:
    path = sound(kind, 3.0)
    os.truncate(path, int(path.stat().st_size * kept))
    assert reason(path) == "truncated"


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "opus", "m4a", "wav", "aac"])
def test_a_cut_anywhere_is_refused_or_read_but_never_breaks_the_reader(sound: Sound, kind: str) -> None:
    path = sound(kind, 0.5)
    whole = path.read_bytes()
    for length in [1, 3, 4, 9, 27, 44, 60, 100, 250, *range(300, len(whole), max(len(whole) // 12, 1))]:
        path.write_bytes(whole[:length])
        try:
            assert read(path)["facts"]["duration_ms"] < 600
        except Refused:
            continue


def test_an_ogg_file_cut_between_two_pages_is_truncated_too(sound: Sound) -> None:
    path = sound("opus", 6.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rfind(b"OggS")])
    assert reason(path) == "truncated"


def test_well_formed_files_without_sound_are_of_zero_length(sound: Sound, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(wav(b""))
    assert reason(path) == "zero_length"
    assert reason(sound("flac", 0.0)) in {"zero_length", "truncated"}


HOSTILE = {
    "text": b"just some words\n" * 500,
    "elf": b"\x7fELF\x02\x01\x01" + bytes(20_000),
    "html": b"<!doctype html><script>alert(1)</script>" * 100,
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "zip": b"PK\x03\x04" + bytes(3000),
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 50,
    "id3 and html": b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + b"<html>" * 300,
    "id3 alone": b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10),
    "id3 that lies about its length": b"ID3\x04\x00\x00\x00\x00\x7f\x7f" + b"x" * 50,
    "noise": np.random.default_rng(7).bytes(60_000),
    "ones": b"\xff" * 60_000,
    "zeros": bytes(60_000),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("name", ["x.mp3", "x.flac"])
def test_what_is_no_audio_is_refused_whatever_it_is_called(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert reason(path) == "not_audio"


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "x.mp3").touch()
    assert reason(tmp_path / "x.mp3") == "empty"


def test_stubs_that_only_begin_like_audio_are_refused(tmp_path: Path) -> None:
    stubs = {
        b"fLaC": {"truncated"}, b"OggS": {"unsupported_format"}, b"OggS\0\2" + bytes(50): {"unsupported_format"},
        b"RIFF\0\0\0\0WAVE": {"truncated"}, b"\0\0\0\x18ftypM4A " + bytes(12): {"not_audio", "truncated"},
        b"fLaC\x00\x00\x00\x22" + bytes(34) + b"\x81\xff\xff\xff": {"truncated", "corrupt", "zero_length"},
    }  # fmt: skip
    for content, expected in stubs.items():
        path = tmp_path / "stub"
        path.write_bytes(content)
        assert reason(path) in expected, content


@pytest.mark.parametrize("kind", ["alac", "oggflac", "webm"])
def test_other_audio_formats_are_refused_by_name(sound: Sound, kind: str) -> None:
    assert reason(sound(kind)) == "unsupported_format"


def test_audio_over_the_length_limit_is_too_long_however_small_the_file(sound: Sound) -> None:
    path = sound("flac", 30.0, level=0.0, rate=8000, layout="mono")
    assert path.stat().st_size < 50_000
    assert reason(path, max_seconds=20) == "too_long"


def test_noise_behind_a_good_beginning_is_corrupt(sound: Sound) -> None:
    path = sound("flac", 4.0)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 8 :] = np.random.default_rng(3).bytes(len(whole) - len(whole) // 8)
    path.write_bytes(whole)
    assert reason(path) in {"corrupt", "truncated"}


@pytest.mark.parametrize(("rate", "channels"), [(1, 2), (3_000_000, 2), (44_100, 60)])
def test_rates_and_channels_nobody_has_are_refused(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(wav(bytes(channels * 2 * 1000), rate=rate, channels=channels))
    assert reason(path) in {"unsupported_format", "corrupt"}


def test_three_channels_without_a_layout_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(wav(bytes(44_100 * 6), channels=3))
    assert read(path)["facts"]["channels"] == 3


def test_joined_files_are_measured_to_the_end_also_when_the_rate_changes(
    sound: Sound, tmp_path: Path
) -> None:
    chained, joined = tmp_path / "chained.ogg", tmp_path / "joined.mp3"
    chained.write_bytes(sound("ogg", 1.0).read_bytes() + sound("ogg", 1.0).read_bytes())
    assert read(chained)["facts"]["duration_ms"] == pytest.approx(2000, abs=60)
    joined.write_bytes(sound("mp3", 1.0).read_bytes() + sound("mp3", 1.0, rate=22_050).read_bytes())
    assert read(joined)["facts"]["duration_ms"] == pytest.approx(2000, abs=200)


def test_a_chain_that_no_browser_could_play_is_corrupt(sound: Sound, tmp_path: Path) -> None:
    path = tmp_path / "chained.ogg"
    path.write_bytes(sound("ogg", 1.0).read_bytes() + sound("ogg", 1.0, rate=22_050).read_bytes())
    assert reason(path) == "corrupt"


def test_an_mp3_behind_padding_and_tags_of_its_own_is_still_an_mp3(sound: Sound, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(3000) + sound("mp3", 1.0).read_bytes() + b"TAG" + bytes(125))
    assert read(path)["facts"]["codec"] == "mp3"


def test_a_few_broken_bytes_do_not_condemn_an_mp3(sound: Sound) -> None:
    path = sound("mp3", 8.0)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 40] = bytes(40)
    path.write_bytes(whole)
    assert read(path)["facts"]["duration_ms"] > 7500


def test_more_than_16_mb_of_tags_is_a_bomb(tmp_path: Path, sound: Sound) -> None:
    size = 17 * 1024 * 1024
    length = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    path = tmp_path / "x.mp3"
    path.write_bytes(b"ID3\x04\x00\x00" + length + bytes(size) + sound("mp3").read_bytes())
    assert reason(path) == "tag_bomb"


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg", "opus", "m4a", "wav", "aac"])
def test_bytes_changed_at_random_are_refused_or_read_but_never_break_the_reader(
    sound: Sound, kind: str
) -> None:
    path, random = sound(kind, 0.4), np.random.default_rng(11)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    for round_ in range(25):
        changed = whole.copy()
        places = random.integers(0, min(len(changed), 400) if round_ % 2 else len(changed), 1 + round_ * 2)
        changed[places] = random.integers(0, 256, len(places))
        path.write_bytes(changed.tobytes())
        try:
            read(path)
        except Refused:
            continue


def test_a_codec_nobody_knows_is_unsupported(sound: Sound) -> None:
    path = sound("m4a")
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz"))
    assert reason(path) == "unsupported_format"
