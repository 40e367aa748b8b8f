"""Several uvicorn servers in one event loop, with somebody else owning the signals."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Iterator

import uvicorn

Missing = Callable[[], Awaitable[Collection[str]]]
"""Says what an app lacks to be ready."""
_READY_SECONDS = 30.0


class QuietServer(uvicorn.Server):
    """A server that leaves the signals alone: the process has one owner of them.

    One of the few subclasses of the project: uvicorn offers no other way to say so.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class StartFailed(RuntimeError):
    """An app did not start; the log says why."""


class Served:
    """One app on one socket: a component that has started when the app lacks nothing any more."""

    def __init__(self, name: str, server: uvicorn.Server, listener: socket.socket, missing: Missing) -> None:
        self.name = name
        self._server = server
        self._listener = listener
        self._missing = missing
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._serve(), name=f"serve-{self.name}")
        while not self._server.started:
            if self._task.done():
                raise StartFailed(f"{self.name} did not start") from self._task.exception()
            await asyncio.sleep(0.005)
        ends = time.monotonic() + _READY_SECONDS
        while missing := await self._missing():
            if time.monotonic() > ends:
                raise StartFailed(f"{self.name} lacks {', '.join(missing)}")
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task:
            with contextlib.suppress(StartFailed, asyncio.CancelledError):
                await self._task
        self._listener.close()

    async def _serve(self) -> None:
        try:
            await self._server.serve(sockets=[self._listener])
        except SystemExit as error:
            # What uvicorn does when an app cannot start; from a task it would tear the event loop down.
            raise StartFailed(f"{self.name} did not start") from error

    @property
    def failed(self) -> bool:
        """Whether it ended although nobody asked it to."""
        return bool(self._task and self._task.done() and not self._server.should_exit)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises `OSError` when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
        listener.setblocking(False)  # noqa: FBT003 - the socket library takes it so
    except OSError:
        listener.close()
        raise
    return listener
