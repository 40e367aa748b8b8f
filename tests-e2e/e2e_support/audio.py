"""Music for the journeys: short synthetic files in every format, with tags."""

import io
from pathlib import Path

import av
import mutagen
import numpy as np
from mutagen.easyid3 import EasyID3
from mutagen.easymp4 import EasyMP4
from mutagen.id3 import APIC, ID3
from PIL import Image

_RATE = 48_000
_ENCODERS = {
    ".mp3": ("libmp3lame", "fltp"),
    ".flac": ("flac", "s16"),
    ".ogg": ("vorbis", "fltp"),
    ".opus": ("libopus", "flt"),
    ".m4a": ("aac", "fltp"),
    ".wav": ("pcm_s16le", "s16"),
}


def make_audio(
    path: Path,
    *,
    seconds: float = 3.0,
    pitch: float = 440.0,
    title: str | None = None,
    artist: str | None = None,
    album: str | None = None,
    genre: str | None = None,
    date: str | None = None,
) -> Path:
    """A file of `seconds` seconds, its format by its ending. Another pitch makes other bytes."""
    codec, sample_format = _ENCODERS[path.suffix]
    time = np.arange(int(seconds * _RATE)) / _RATE
    noise = np.random.default_rng(int(pitch * 1000)).normal(0, 0.01, time.size)
    wave = 0.4 * np.sin(2 * np.pi * pitch * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 0.5 * time)) + noise
    stereo = np.stack([wave, wave * 0.9]).astype(np.float32)
    with av.open(str(path), "w") as container:
        # The wheel has only the encoder of ffmpeg itself for Vorbis, which must be asked for by name.
        stream = container.add_stream(codec, rate=_RATE, options={"strict": "experimental"})
        assert isinstance(stream, av.AudioStream)
        stream.layout = "stereo"
        stream.format = sample_format
        resampler = av.AudioResampler(sample_format, "stereo", _RATE, frame_size=stream.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(stereo, format="fltp", layout="stereo")
        frame.sample_rate = _RATE
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    _tag(path, {"title": title, "artist": artist, "album": album, "genre": genre, "date": date})
    return path


def add_cover(path: Path, *, color: tuple[int, int, int]) -> Path:
    """Put a picture of one colour into an mp3; another colour makes another picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (90, 90), color).save(buffer, "PNG")
    return put_cover(path, buffer.getvalue())


def put_cover(path: Path, picture: bytes) -> Path:
    """Put any bytes into an mp3 as its cover."""
    tags = ID3(path)
    tags.add(APIC(encoding=3, mime="image/png", type=3, desc="", data=picture))
    tags.save(path)
    return path


def _tag(path: Path, tags: dict[str, str | None]) -> None:
    wanted = {name: value for name, value in tags.items() if value}
    if not wanted or path.suffix == ".wav":
        return
    if path.suffix == ".mp3":
        file = EasyID3()
        for name, value in wanted.items():
            file[name] = value
        file.save(path)
        return
    opened = EasyMP4(path) if path.suffix == ".m4a" else mutagen.File(path)
    for name, value in wanted.items():
        opened[name] = value
    opened.save()
