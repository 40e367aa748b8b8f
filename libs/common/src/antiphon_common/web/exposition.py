"""`/metrics` on a listen port of its own, which nobody outside can reach; and how late the event loop is."""

import asyncio
import contextlib
from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from antiphon_common.errors import Conflict
from antiphon_common.lifecycle import Component
from antiphon_common.metrics import Metrics
from antiphon_common.telemetry import Telemetry

_HEAD_BYTES = 8192
_REQUEST_SECONDS = 5.0
_BEAT_SECONDS = 0.25
_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def exposed(telemetry: Telemetry, *, log: FilteringBoundLogger) -> Sequence[Component]:
    """What a measured app starts first; nothing for others."""
    if telemetry.metrics_at is None:
        return ()
    host, port = telemetry.metrics_at
    return (Exposition(telemetry.metrics, host=host, port=port, log=log),)


class Exposition:
    """A component. It answers one request a connection and knows one path, so it needs no framework."""

    def __init__(self, metrics: Metrics, *, host: str, port: int, log: FilteringBoundLogger) -> None:
        self._metrics = metrics
        self._host = host
        self._port = port
        self._log = log
        self._server: asyncio.Server | None = None
        self._beat: asyncio.Task[None] | None = None
        self._lag = metrics.histogram(
            "antiphon_event_loop_lag_seconds", "How late the loop wakes who sleeps", buckets=_LAG_BUCKETS
        )

    @property
    def port(self) -> int:
        """Where it really listens."""
        assert self._server
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        try:
            self._server = await asyncio.start_server(self._answer, self._host, self._port, limit=_HEAD_BYTES)
        except OSError as error:
            where = f"cannot listen on {self._host}:{self._port}"
            raise Conflict(
                "cannot_listen", f"{where}: {error.strerror}; METRICS_HOST and METRICS_PORT say where."
            ) from error
        self._beat = asyncio.create_task(self._watch_the_loop(), name="loop-lag")

    async def stop(self) -> None:
        if self._beat:
            self._beat.cancel()
        if self._server:
            self._server.close()
            self._server = None

    async def _watch_the_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _BEAT_SECONDS
            await asyncio.sleep(_BEAT_SECONDS)
            self._lag.observe(max(0.0, loop.time() - due))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith((b"GET /metrics ", b"GET /metrics?")):
                    await _reply(writer, b"200 OK", await self._metrics.exposition())
                else:
                    await _reply(writer, b"404 Not Found", b"")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # who asks so badly gets no answer
        except Exception:  # noqa: BLE001 - a boundary: said, and the next one is answered again
            self._log.exception("metrics_failed")
        finally:
            with contextlib.suppress(OSError):
                writer.close()


async def _reply(writer: asyncio.StreamWriter, status: bytes, body: bytes) -> None:
    kind = b"text/plain; version=0.0.4; charset=utf-8"
    writer.write(
        b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
        % (status, kind, len(body), body)
    )
    await writer.drain()
