"""Structured logs: one JSON line an event, straight to bytes, bound to one app, with secrets removed.

Nothing here configures structlog globally, because two copies of every service may run in one process. Only
who owns a process adopts what libraries log: as lines like ours, and what repeats itself once a minute.
"""

import asyncio
import contextlib
import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from antiphon_common import telemetry
from antiphon_common.errors import ServiceError

_ADOPTED_SECONDS = 60.0
# A password in a URL, and what follows the word Bearer, also in the middle of somebody else's sentence.
_SECRET_TEXT = re.compile(r"(?<=://)[^/\s@]*:[^/\s]*(?=@)|(?<=[Bb]earer )\S+")
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
            structlog.processors.format_exc_info,
            _redact,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        cache_logger_on_first_use=True,
    )
    return cast(FilteringBoundLogger, logger.bind(service=service))


def adopt(log: FilteringBoundLogger) -> None:
    """Make what libraries say through `logging` lines of this log; for the one app of a process."""
    root = logging.getLogger()
    root.handlers[:] = [_Adopted(log)]
    root.setLevel(logging.WARNING)


class _Adopted(logging.Handler):
    """One line a message, without the stack where something is away: that is no mistake of the program."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._said: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        key, now = (record.name, str(record.msg)[:200]), time.monotonic()
        if now - self._said.get(key, float("-inf")) < _ADOPTED_SECONDS:
            return
        if len(self._said) > 1000:
            self._said.clear()
        self._said[key] = now
        with contextlib.suppress(Exception):
            # Of a stack in the text (uvicorn's way) the last line says what happened.
            text = record.getMessage().strip().splitlines()[-1:]
            error = record.exc_info[1] if record.exc_info else None
            away = isinstance(error, OSError | TimeoutError | ServiceError | asyncio.CancelledError)
            self._log.log(
                record.levelno, "library_says", library=record.name, text="".join(text)[:500],
                error=type(error).__name__ if error else None, exc_info=None if away else error,
            )  # fmt: skip


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
    if isinstance(value, str):
        return _SECRET_TEXT.sub("[redacted]", value)
    if isinstance(value, Mapping):
        return {name: _redacted(name, inner) for name, inner in value.items()}
    return value


def _dumps(event: EventDict, **_: object) -> bytes:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # Half a surrogate pair or a huge number: rare, and no reason to lose the line.
        return json.dumps(event, default=str, ensure_ascii=False).encode(errors="replace")
