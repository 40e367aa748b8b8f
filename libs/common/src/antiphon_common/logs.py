"""Structured logs: one JSON line an event, straight to bytes, bound to one app, with secrets removed.

Nothing here configures structlog globally, because two copies of every service may run in one process.
"""

import contextlib
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from antiphon_common import telemetry

_SECRET_WORDS = ("password", "token", "secret", "authorization", "cookie", "signature", "sig")


def open_log(service: str, *, level: str = "info", file: Path | None = None) -> FilteringBoundLogger:
    """A logger for one app. Lines go to `file` (appended) or to standard error."""
    stream = _append(file) if file else sys.stderr.buffer
    logger = structlog.wrap_logger(
        structlog.BytesLogger(cast(BinaryIO, _Harmless(stream))),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _trace,
            _redact,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        cache_logger_on_first_use=True,
    )
    return cast(FilteringBoundLogger, logger.bind(service=service))


def _append(file: Path) -> BinaryIO:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("ab", buffering=0)


class _Harmless:
    """A stream whose failures are nobody's: a full disk must not end what only wanted to say something."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.name = getattr(stream, "name", "")

    def write(self, line: bytes) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(line)
        return len(line)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def _trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    trace = telemetry.current()
    if trace:
        event["trace_id"] = trace.trace_id
    return event


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: object, value: object) -> object:
    if any(word in str(key).lower() for word in _SECRET_WORDS):
        return "[redacted]"
    if isinstance(value, Mapping):
        return {name: _redacted(name, inner) for name, inner in value.items()}
    return value


def _dumps(event: EventDict, **_: object) -> bytes:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # Half a surrogate pair or a huge number: rare, and no reason to lose the line.
        return json.dumps(event, default=str, ensure_ascii=False).encode(errors="replace")
