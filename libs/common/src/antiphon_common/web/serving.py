"""Serves one app as one process: who listens, and how it ends when it is told to.

On SIGTERM or SIGINT the process says that it is not ready and closes connections after their next answer, but
goes on answering for a moment, so that whoever sends it requests notices first. Then it takes the last
connections that wait to be accepted, listens no more, finishes what runs, stops its parts, and exits with 0:
who is refused may ask another, and who was let in is answered. It is gone ten seconds after the signal, and
at once after a second one.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from types import FrameType
from typing import Any

import uvicorn
from structlog.typing import FilteringBoundLogger

from antiphon_common.errors import Conflict
from antiphon_common.logs import adopt

_REQUESTS_SECONDS = 4
_LAST_SECONDS = 0.2  # on a connection that was just made, the request follows at once
_WHOLE_END_SECONDS = 9.5
_CLOSE = (b"connection", b"close")


def server_config(app: Any, host: str, port: int, *, http: Any = "httptools") -> uvicorn.Config:
    """How every app is served, embedded or alone; the values are those of policies.md."""
    return uvicorn.Config(
        app, host=host, port=port, loop="uvloop", http=http, ws="none", lifespan="on",
        proxy_headers=False, server_header=False, access_log=False, log_level="warning", log_config=None,
        timeout_graceful_shutdown=_REQUESTS_SECONDS,
    )  # fmt: skip


def run(
    config: uvicorn.Config,
    *,
    lifespan: AbstractAsyncContextManager[object],
    on_stop: Callable[[], None],
    delay: float,
    log: FilteringBoundLogger,
) -> None:
    """Serve until a signal, with the app's life around it. Raises what keeps that from beginning, and
    `Conflict` when the address is in use; exits with 1 when it does not end well, which is in the log.
    """
    adopt(log)
    config.lifespan = "off"
    server = _Server(config, lifespan=lifespan, on_stop=on_stop, delay=delay, log=log)
    with _bound(config.host, config.port) as listener:
        try:
            server.run(sockets=[listener])
        except Exception:
            if not server.started:
                raise
            log.exception("not_stopped_well")
            sys.exit(1)
    # The interpreter would look at every object once more before it ends: half a second of a core, of which
    # nine processes that end together have but a few. Nothing is left that needs it.
    gc.freeze()


class _Server(uvicorn.Server):
    """A subclass, as uvicorn offers no other way to own the signals."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        lifespan: AbstractAsyncContextManager[object],
        on_stop: Callable[[], None],
        delay: float,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(config)
        self._lifespan = lifespan
        self._on_stop = on_stop
        self._delay = delay
        self._log = log
        self._told = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """The app's life is ours: uvicorn would log what keeps it from starting, and raise nothing."""
        with self.capture_signals():
            async with self._lifespan:
                await self._serve(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Python's own handlers run even while a task keeps the loop busy, so a second signal always works.
        self._loop = asyncio.get_running_loop()
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signal module's
        if self._told:
            os._exit(128 + sig)
        self._told = True
        self._loop.call_soon_threadsafe(self._stop_soon)

    def _stop_soon(self) -> None:
        self._on_stop()
        self._log.info("stopping")
        # Every answer from now on carries it, also those that no middleware sees.
        self.config.encoded_headers.append(_CLOSE)
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
        for connection in self.server_state.connections:
            # The head of an answer that is being made was composed before; idle ones are still good for one.
            cycle = getattr(connection, "cycle", None)
            if cycle and not cycle.response_complete:
                connection.shutdown()
        self._loop.call_later(self._delay if self.started else 0, self._stop)
        watch = threading.Timer(_WHOLE_END_SECONDS, self._give_up)
        watch.daemon = True
        watch.start()

    def _stop(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn would reset what the kernel has accepted and close what has not sent its request yet."""
        last = [connection for listener in sockets or [] for connection in _accept_all(listener)]
        for server in self.servers:
            server.close()
        for connection in last:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        await asyncio.sleep(_LAST_SECONDS)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    def _give_up(self) -> None:
        """Something does not end (a frozen server, say). Ending anyway loses what a crash does: nothing."""
        self._log.error("not_stopped_in_time", seconds=_WHOLE_END_SECONDS)
        os._exit(1)


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    """What waits to be accepted at this moment."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)  # noqa: FBT003 - the socket library takes it so
            yield connection


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """The socket to listen on, bound before anything is started: a wrong address fails at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((host, port))
        except OSError as error:
            where = f"cannot listen on {host}:{port}: {error.strerror}"
            raise Conflict("cannot_listen", f"{where}; HOST and PORT say where.") from error
        bound.setblocking(False)  # noqa: FBT003 - the socket library takes it so
        yield bound
