"""What is in the sound itself: its true length, loudness, peak and outline, found by decoding all of it once.

Runs in the analysis child. Loudness is EBU R128 integrated loudness and true peak (ITU-R BS.1770-4) by
libavfilter, the outline 1000 (min, max) pairs; both come from the same pass, in memory that does not grow
with the length.
"""

import math
from typing import Any, Final

import av
import av.error
import av.filter

from antiphon_file.adapters.outline import Outline
from antiphon_file.adapters.sniffing import Kind
from antiphon_file.domain import AudioFacts, Refused

_SILENCE_LUFS: Final = -70.0  # the absolute gate of BS.1770: at or below it nothing was measured
_MISSING_SECONDS: Final = 0.03  # less than one frame of any format
_MAX_CHANNELS: Final = 8
_UNDECODABLE = (av.error.InvalidDataError, av.error.PatchWelcomeError, av.error.EOFError, ValueError)
_LOWEST_RATE, _HIGHEST_RATE = 4_000, 384_000

_Shape = tuple[str, str, int]  # sample format, layout, rate


def measure(path: str, kind: Kind, *, declared_seconds: float | None, max_seconds: int) -> AudioFacts:
    """Decode the file once. `Refused` with `zero_length`, `truncated`, `too_long`, `corrupt` ..."""
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": kind.demuxer,
        "codec_whitelist": kind.decoders,
    }
    try:
        container = av.open(
            f"file:{path}", "r", format=kind.demuxer, options=options, metadata_errors="replace"
        )
    except av.error.EOFError as error:
        raise Refused("truncated") from error
    except (*_UNDECODABLE, MemoryError) as error:  # headers may ask for more memory than a child has
        raise Refused("corrupt") from error
    with container:
        if not container.streams.audio:
            raise Refused("unsupported_format" if container.streams.video else "zero_length")
        stream = container.streams.audio[0]
        if stream.codec_context is None or stream.codec_context.name not in kind.decoders.split(","):
            raise Refused("unsupported_format")
        stream.codec_context.thread_type = "NONE"  # one child a core: threads inside would only take turns
        pass_ = _Pass(max_seconds=max_seconds)
        pass_.run(container, stream)
        return pass_.facts(stream, kind, declared_seconds=declared_seconds)


class _Pass:
    """One walk over the packets of one stream."""

    def __init__(self, *, max_seconds: int) -> None:
        self._max_seconds = max_seconds
        self._meter: _Meter | None = None
        self._resampler: Any = None
        self._resampled: _Shape | None = None
        self._shape: _Shape | None = None
        self._samples = self._bytes = self._packets = self._broken = 0

    def run(self, container: Any, stream: Any) -> None:
        try:
            for packet in container.demux(stream):
                self._decode(packet)
        except (*_UNDECODABLE, MemoryError):
            self._broken += self._packets  # the container itself ends in nonsense
        if self._meter is not None:
            self._meter.finish()

    def _decode(self, packet: Any) -> None:
        self._packets += 1
        self._bytes += packet.size
        try:
            frames = packet.decode()
        except (
            av.error.FFmpegError,
            ValueError,
        ):  # decoders read nothing, so whatever it is, it is the content
            self._broken += 1
            return
        for frame in frames:
            self._take(frame)

    def _take(self, frame: Any) -> None:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._shape is None:
            self._shape = shape
            self._meter = _Meter(*_checked(frame, shape))
        frame.pts = None
        pieces = [frame] if shape == self._shape else self._reshape(frame, shape)
        for piece in pieces:
            self._samples += piece.samples
            if self._meter is not None:
                self._meter.push(piece)
        if self._samples > self._max_seconds * self._shape[2]:
            raise Refused("too_long")

    def _reshape(self, frame: Any, shape: _Shape) -> list[Any]:
        """Joined streams may change rate or layout midway; all is measured in the first frame's shape."""
        if self._resampler is None or self._resampled != shape:
            self._resampler, self._resampled = av.AudioResampler(*(self._shape or shape)), shape
        return list(self._resampler.resample(frame))

    def facts(self, stream: Any, kind: Kind, *, declared_seconds: float | None) -> AudioFacts:
        if self._shape is None or self._meter is None or self._samples == 0:
            raise Refused("truncated" if declared_seconds else "corrupt" if self._broken else "zero_length")
        rate = self._shape[2]
        seconds = self._samples / rate
        missing = 0.0 if declared_seconds is None else declared_seconds - seconds
        if missing > _MISSING_SECONDS and self._broken <= 2:  # a cut file breaks its last packet, no more
            raise Refused("truncated")
        if self._broken * 10 > self._packets:
            raise Refused("corrupt")
        if missing > _MISSING_SECONDS:
            raise Refused("truncated")
        if round(seconds * 1000) == 0:
            raise Refused("zero_length")
        loudness, peak = self._meter.loudness(), self._meter.peak()
        return AudioFacts(
            mime=kind.mime,
            codec=stream.codec_context.codec.canonical_name,
            bitrate=round(self._bytes * 8 / seconds),
            sample_rate=rate,
            channels=stream.codec_context.channels,
            duration_ms=round(seconds * 1000),
            loudness_lufs=loudness,
            peak=peak,
            waveform=self._meter.outline.encoded(),
        )


def _checked(frame: Any, shape: _Shape) -> _Shape:
    if not _LOWEST_RATE <= shape[2] <= _HIGHEST_RATE or not 1 <= frame.layout.nb_channels <= _MAX_CHANNELS:
        raise Refused("unsupported_format")
    return shape


class _Meter:
    """libavfilter's ebur128 over pushed frames; what it hands back, in pieces of 100 ms, is outlined."""

    def __init__(self, sample_format: str, layout: str, rate: int) -> None:
        self.outline = Outline()
        self._last: dict[str, str] = {}
        self._graph: Any = av.filter.Graph()
        source = self._graph.add_abuffer(sample_rate=rate, format=sample_format, layout=layout)
        meter = self._graph.add("ebur128", "peak=true:metadata=1:framelog=quiet")
        sink = self._graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        self._graph.configure()

    def push(self, frame: Any) -> None:
        self._graph.push(frame)
        self._drain()

    def finish(self) -> None:
        self._graph.push(None)
        self._drain()

    def _drain(self) -> None:
        while True:
            try:
                piece = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            self._last = piece.metadata or self._last
            self.outline.add(piece.to_ndarray().reshape(-1), piece.layout.nb_channels)

    def loudness(self) -> float | None:
        value = self._number("lavfi.r128.I")
        return None if value is None or value <= _SILENCE_LUFS else round(value, 2)

    def peak(self) -> float | None:
        value = self._number("lavfi.r128.true_peak")
        return None if value is None else round(value, 4)

    def _number(self, key: str) -> float | None:
        value = float(self._last.get(key, "nan"))
        return value if math.isfinite(value) else None
