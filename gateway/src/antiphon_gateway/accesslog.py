"""One JSON line a request, made from bytes and written by a thread, so the event loop never waits for a disk.

Neither a query string nor a header is ever in it: tokens travel in both.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import BinaryIO

import orjson

from antiphon_gateway.exchange import Exchange

_MOST_LINES = 20_000


class AccessLog:
    """Collects lines and writes them when `flush` is called; it drops and counts those beyond 20,000."""

    def __init__(self, file: Path | None, *, enabled: bool) -> None:
        self._file = file
        self._enabled = enabled
        self._stream: BinaryIO | None = None
        self._lines: list[bytes] = []
        self._dropped = 0

    async def start(self) -> None:
        if self._file is None:
            self._stream = sys.stderr.buffer
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._file.open("ab", buffering=0)

    async def stop(self) -> None:
        await self.flush()
        if self._stream is not None and self._file is not None:
            self._stream.close()

    def note(self, exchange: Exchange) -> None:
        """Keep the line of a finished request."""
        if not self._enabled:
            return
        if len(self._lines) >= _MOST_LINES:
            self._dropped += 1
            return
        principal = exchange.principal
        self._lines.append(
            orjson.dumps(
                {
                    "service": "gateway",
                    "level": "info",
                    "event": "request",
                    "time": time.time(),
                    "method": exchange.method,
                    "path": exchange.path,
                    "route": exchange.template,
                    "status": exchange.status,
                    "ms": round((time.perf_counter() - exchange.started) * 1000, 2),
                    "bytes": exchange.sent_bytes,
                    "address": exchange.address,
                    "user": principal.user_id if principal else None,
                    "trace_id": exchange.trace_id,
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
        )

    async def flush(self) -> None:
        """Write what was kept."""
        if not self._lines or self._stream is None:
            return
        lines, self._lines = self._lines, []
        if self._dropped:
            lines.append(
                b'{"service":"gateway","level":"warning","event":"lines_dropped","count":%d}\n'
                % self._dropped
            )
            self._dropped = 0
        await asyncio.to_thread(self._stream.write, b"".join(lines))
