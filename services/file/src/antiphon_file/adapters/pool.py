"""The children that read untrusted files: a few long-lived processes, each job bounded, each death survived.

Failure policy: a child that dies, hangs or talks nonsense takes only its own job with it, is killed and
replaced; the caller learns whether the job was too slow (`TookTooLong`) or the child broke (`ChildDied`).
Idle children end after half a minute, so a service that reads nothing holds no memory for it; children whose
service was killed end by themselves, because their input ends.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from antiphon_file.adapters import wire

_IDLE_SECONDS: Final = 30.0
_JOBS_PER_CHILD: Final = 200  # libraries that read hostile input leak a little; nobody lives for ever
_KEPT_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "SYSTEMROOT")


class ChildDied(Exception):
    """The child ended or broke the protocol during the job; another try may work."""


class TookTooLong(Exception):
    """The job used up its processor or wall time."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one job may use: seconds of processor time, and of waiting."""

    cpu_seconds: int
    wall_seconds: float


@dataclass(slots=True, eq=False)
class _Child:
    process: "subprocess.Popen[bytes]"
    source: asyncio.StreamReader
    sink: asyncio.StreamWriter
    jobs: int = 0
    retirement: asyncio.TimerHandle | None = None


class ReaderPool:
    """At most `size` children; a job waits for a free one in the order of asking."""

    def __init__(self, *, size: int, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._places = asyncio.Semaphore(size)
        self._idle_seconds = idle_seconds
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def pids(self) -> list[int]:
        """The processes that live now."""
        return [child.process.pid for child in self._all]

    async def start(self) -> None:
        """Children are started when there is something to read."""

    async def stop(self) -> None:
        for child in list(self._all):
            self._kill(child)
        while self._endings:
            await asyncio.gather(*self._endings)

    async def run(self, job: wire.Message, bounds: Bounds) -> tuple[wire.Message, list[bytes]]:
        """Send one job and wait for its answer. Raises `ChildDied` or `TookTooLong`."""
        async with self._places, self._borrowed() as child:
            request = wire.pack({**job, "cpu_seconds": bounds.cpu_seconds}, [])
            try:
                return await asyncio.wait_for(_converse(child, request), bounds.wall_seconds)
            except TimeoutError as error:
                raise TookTooLong from error
            except (asyncio.IncompleteReadError, ConnectionError, wire.BrokenWire) as error:
                self._kill(child)
                if await asyncio.to_thread(child.process.wait) == -signal.SIGXCPU:
                    raise TookTooLong from error
                raise ChildDied from error

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[_Child]:
        """A child for one job. It goes back only after a whole answer: else its state is unknown."""
        child = self._idle.pop() if self._idle else await self._spawn()
        if child.retirement is not None:
            child.retirement.cancel()
        try:
            yield child
        except BaseException:  # also when the job was cancelled midway
            self._kill(child)
            raise
        child.jobs += 1
        if child.jobs >= _JOBS_PER_CHILD:
            self._kill(child)
            return
        child.retirement = asyncio.get_running_loop().call_later(self._idle_seconds, self._retire, child)
        self._idle.append(child)

    async def _spawn(self) -> _Child:
        ours, theirs = socket.socketpair()
        with theirs:
            process = _start(theirs)  # two milliseconds, and never half done
        source, sink = await asyncio.open_connection(sock=ours)
        child = _Child(process, source, sink)
        self._all.add(child)
        return child

    def _retire(self, child: _Child) -> None:
        if child in self._idle:
            self._kill(child)

    def _kill(self, child: _Child) -> None:
        if child not in self._all:
            return
        self._all.discard(child)
        if child in self._idle:
            self._idle.remove(child)
        if child.retirement is not None:
            child.retirement.cancel()
        child.sink.transport.abort()
        child.process.kill()
        ending = asyncio.create_task(_reap(child.process))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


def _start(theirs: socket.socket) -> "subprocess.Popen[bytes]":
    """Start a child that talks through this end of a socket pair.

    Not by the event loop: uvloop forks and then runs Python in the child before it becomes the new program,
    where it may wait for ever for a lock that a thread of ours held, and the loop waits with it.
    """
    environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "antiphon_file.adapters.child"],
        stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL,
        env={**environment, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        start_new_session=True,  # Ctrl-C at a terminal is for the service, which then ends its children
    )  # fmt: skip


async def _reap(process: "subprocess.Popen[bytes]") -> None:
    await asyncio.to_thread(process.wait)


async def _converse(child: _Child, request: bytes) -> tuple[wire.Message, list[bytes]]:
    child.sink.write(request)
    await child.sink.drain()
    length = wire.header_length(await child.source.readexactly(wire.LENGTH.size))
    message, sizes = wire.unpack(await child.source.readexactly(length))
    return message, [await child.source.readexactly(size) for size in sizes]
