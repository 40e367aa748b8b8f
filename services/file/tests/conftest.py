"""A file service with its own database and blobs, and audio made on the spot, for the tests of this folder."""

from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import httpx
import numpy as np
import pytest

from antiphon_common.testing.databases import Migrated
from antiphon_common.testing.running import running
from antiphon_file.app import create_app
from antiphon_file.settings import Settings

# name -> (container, encoder)
_KINDS = {
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "ogg": ("ogg", "vorbis"),
    "opus": ("ogg", "libopus"),
    "m4a": ("ipod", "aac"),
    "aac": ("adts", "aac"),
    "wav": ("wav", "pcm_s16le"),
    "alac": ("ipod", "alac"),
    "oggflac": ("ogg", "flac"),
    "webm": ("webm", "libopus"),
}


class SoundMaker(Protocol):
    """Makes one audio file: a sine of `level` (1.0 is full scale) at `pitch` Hz."""

    def __call__(
        self, kind: str, seconds: float = 1.0, *, level: float = 0.1, pitch: float = 997.0,
        rate: int | None = None, layout: str = "stereo",
    ) -> Path: ...  # fmt: skip


@pytest.fixture
def sound(tmp_path: Path) -> SoundMaker:
    """Makes audio files in a directory of this test."""
    directory = tmp_path / "sounds"
    directory.mkdir()
    made = 0

    def make(
        kind: str, seconds: float = 1.0, *, level: float = 0.1, pitch: float = 997.0, rate: int | None = None,
        layout: str = "stereo",
    ) -> Path:  # fmt: skip
        nonlocal made
        made += 1
        path = directory / f"{made}.{kind}"
        hz = rate or (48_000 if kind in {"opus", "webm"} else 44_100)
        time = np.arange(round(seconds * hz)) / hz
        wave = (level * np.sin(2 * np.pi * pitch * time)).astype(np.float32)
        encode(path, kind, np.tile(wave, (av.AudioLayout(layout).nb_channels, 1)), rate=hz, layout=layout)
        return path

    return make


def encode(path: Path, kind: str, samples: Any, *, rate: int, layout: str) -> None:
    container_name, encoder = _KINDS[kind]
    with av.open(str(path), "w", format=container_name) as container:
        options = {"strict": "experimental"} if encoder == "vorbis" else {}
        stream: Any = container.add_stream(encoder, rate=rate, options=options)
        stream.layout = layout
        size = stream.codec_context.frame_size or 4096
        resampler = av.AudioResampler(stream.codec_context.format, layout, rate, frame_size=size)
        frame: Any = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        pieces = [*resampler.resample(frame), *resampler.resample(None)] if frame.samples else []
        for piece in pieces:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


@pytest.fixture
def settings(urls: dict[str, str], tmp_path: Path, migrated: Migrated) -> Settings:
    """Settings of a migrated, empty service."""
    urls["database_url"] = migrated("antiphon_file")
    return Settings(**urls, blob_url=f"file://{tmp_path}/blobs")


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running service."""
    async with running(create_app(settings)) as client:
        yield client
