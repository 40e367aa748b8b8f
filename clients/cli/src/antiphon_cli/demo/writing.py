"""From samples to a tagged file: encoded by libav into one of five formats, tags and cover by mutagen."""

import base64
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from mutagen import flac, id3, mp4, oggopus, oggvorbis

from antiphon_cli.demo.mixing import Stereo
from antiphon_cli.demo.records import Format, Song

_FRONT: Final = 3
_SIDE: Final = 900
# (container, encoder, bits a second)
_ENCODERS: Final[dict[Format, tuple[str, str, int | None]]] = {
    "mp3": ("mp3", "libmp3lame", 192_000),
    "flac": ("flac", "flac", None),
    "ogg": ("ogg", "vorbis", 192_000),
    "opus": ("ogg", "libopus", 128_000),
    "m4a": ("ipod", "aac", 192_000),
}


def rate_of(kind: Format) -> int:
    """The sample rate to compose at; Opus knows only 48 kHz."""
    return 48_000 if kind == "opus" else 44_100


def write(song: Song, samples: Stereo, cover: bytes, target: Path) -> None:
    """Write the file under its final name only when it is whole."""
    part = target.with_suffix(f".part{target.suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    _encode(samples, song.format, part)
    _tag(song, cover, part)
    part.replace(target)


def _encode(samples: Stereo, kind: Format, path: Path) -> None:
    container_name, encoder, bits = _ENCODERS[kind]
    rate = rate_of(kind)
    # libav calls its own Vorbis encoder experimental and wants to hear that this is known.
    options = {"strict": "experimental"} if encoder == "vorbis" else {"compression_level": "6"}
    container: Any = av.open(str(path), "w", format=container_name)
    with container:
        stream = container.add_stream(encoder, rate=rate, options=options)
        stream.layout = "stereo"
        if bits:
            stream.bit_rate = bits
        resampler = av.AudioResampler(
            stream.codec_context.format, "stereo", rate, frame_size=stream.codec_context.frame_size or 4096
        )
        for start in range(0, samples.shape[1], rate):
            piece = np.ascontiguousarray(samples[:, start : start + rate])
            frame: Any = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            for whole in resampler.resample(frame):
                container.mux(stream.encode(whole))
        for whole in resampler.resample(None):
            container.mux(stream.encode(whole))
        container.mux(stream.encode(None))


def _tag(song: Song, cover: bytes, path: Path) -> None:
    if song.format == "mp3":
        _tag_mp3(song, cover, path)
    elif song.format == "m4a":
        _tag_m4a(song, cover, path)
    else:
        _tag_vorbis(song, cover, path)


def _tag_mp3(song: Song, cover: bytes, path: Path) -> None:
    record = song.record
    tags: Any = id3.ID3()
    texts = {
        "TIT2": song.title, "TPE1": song.performer, "TALB": record.title, "TPE2": record.artist,
        "TRCK": str(song.number), "TPOS": "1", "TDRC": record.date, "TCON": record.genre,
    }  # fmt: skip
    if record.compilation:
        texts["TCMP"] = "1"
    for name, text in texts.items():
        tags.add(id3.Frames[name](encoding=3, text=[text]))
    if song.explicit:
        tags.add(id3.Frames["TXXX"](encoding=3, desc="ITUNESADVISORY", text=["1"]))
    tags.add(id3.Frames["APIC"](encoding=3, mime="image/jpeg", type=_FRONT, desc="", data=cover))
    tags.save(path)


def _tag_m4a(song: Song, cover: bytes, path: Path) -> None:
    record = song.record
    file: Any = mp4.MP4(path)
    file["\xa9nam"], file["\xa9ART"], file["\xa9alb"] = song.title, song.performer, record.title
    file["aART"], file["\xa9day"], file["\xa9gen"] = record.artist, record.date, record.genre
    file["trkn"], file["disk"] = [(song.number, 0)], [(1, 1)]
    file["cpil"] = record.compilation
    file["rtng"] = [1 if song.explicit else 0]
    file["covr"] = [mp4.MP4Cover(cover)]
    file.save()


def _tag_vorbis(song: Song, cover: bytes, path: Path) -> None:
    record = song.record
    kinds: dict[Format, Any] = {"flac": flac.FLAC, "ogg": oggvorbis.OggVorbis, "opus": oggopus.OggOpus}
    file = kinds[song.format](path)
    values = {
        "title": song.title, "artist": song.performer, "album": record.title, "albumartist": record.artist,
        "tracknumber": str(song.number), "discnumber": "1", "date": record.date, "genre": record.genre,
    }  # fmt: skip
    for name, value in values.items():
        file[name] = value
    if record.compilation:
        file["compilation"] = "1"
    if song.explicit:
        file["itunesadvisory"] = "1"
    picture: Any = flac.Picture()
    picture.type, picture.mime, picture.data = _FRONT, "image/jpeg", cover
    picture.width = picture.height = _SIDE
    picture.depth = 24
    if song.format == "flac":
        file.add_picture(picture)
    else:
        file["metadata_block_picture"] = base64.b64encode(picture.write()).decode()
    file.save()
