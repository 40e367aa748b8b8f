"""A TCP proxy inside the test, to break the wire between an adapter and its server.

It stands where the network stands: a kernel without netem can neither delay nor lose packets, this can. What
cannot be done from user space is a host that does not answer to a connect: a blackhole accepts and is silent.
"""

import asyncio
import socket
import struct
from contextlib import suppress

_CHUNK = 65_536
_IN_FLIGHT = 64  # chunks that may be under way while answers are delayed
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST and drops what was not sent


class FaultProxy:
    """Passes bytes to `host:port` until told otherwise. A fault is for all connections, open and new.

    Its methods act at once; only `close` waits. It listens on `port` from the beginning.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.seconds = 0.0
        self.limit: int | None = None
        self.passing = asyncio.Event()
        self.passing.set()
        self._target = (host, port)
        self._open: dict[asyncio.Task[None], _Connection] = {}
        self._accepting: asyncio.Task[None] | None = None
        self._listener = self._listen()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._open)

    def refuse(self) -> None:
        """As if the server were gone: open connections are reset, new ones refused."""
        self._deafen()
        self.reset()

    def blackhole(self) -> None:
        """As if the cable were cut: connections stay open, new ones open, and no byte passes until `heal`."""
        self.passing.clear()

    def reset(self) -> None:
        """Reset the connections that are open now; new ones work."""
        for task in list(self._open):
            task.cancel()

    def delay(self, seconds: float) -> None:
        """Every byte of an answer arrives this much later; the rate stays what it was."""
        self.seconds = seconds

    def cut_after(self, n_bytes: int) -> None:
        """Each connection is reset once this many more bytes of answers have passed on it."""
        self.limit = n_bytes
        for connection in self._open.values():
            connection.left = n_bytes

    def heal(self) -> None:
        """All as in the beginning. What a blackhole held back arrives now; what was reset stays so."""
        self.seconds = 0.0
        self.limit = None
        for connection in self._open.values():
            connection.left = None
        self.passing.set()
        if self._accepting is None:
            self._listener = self._listen()

    async def close(self) -> None:
        """Stop listening and reset what is open."""
        self._deafen()
        self.reset()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _listen(self) -> socket.socket:
        listener = socket.create_server((self.host, self.port), backlog=512)
        listener.settimeout(0)
        self.port = listener.getsockname()[1]
        self._accepting = asyncio.get_running_loop().create_task(self._accept(listener))
        return listener

    def _deafen(self) -> None:
        if self._accepting:
            self._accepting.cancel()
            self._accepting = None
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            connection = _Connection(self, client)
            task = loop.create_task(connection.run(self._target))
            self._open[task] = connection
            task.add_done_callback(self._open.pop)


class _Connection:
    """One client and its way to the server."""

    def __init__(self, proxy: FaultProxy, client: socket.socket) -> None:
        self.left = proxy.limit
        self._proxy = proxy
        self._client = client
        self._writers: list[asyncio.StreamWriter] = []

    async def run(self, target: tuple[str, int]) -> None:
        """Pass bytes both ways until both sides have ended; a failure of one resets the other."""
        orderly = False
        try:
            downstream, to_client = await asyncio.open_connection(sock=self._client)
            self._writers.append(to_client)
            await self._proxy.passing.wait()
            upstream, to_server = await asyncio.open_connection(*target)
            self._writers.append(to_server)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(downstream, to_server, is_answer=False))
                both.create_task(self._pass(upstream, to_client, is_answer=True))
            orderly = True
        except* OSError:
            pass  # a side failed, or was cut: the other one hears of it below
        finally:
            self._end(orderly=orderly)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        """Read as fast as bytes come, write each chunk when it is due; its end is passed on too."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT)
        clock = asyncio.get_running_loop().time

        async def read() -> None:
            chunk = b"-"
            while chunk:
                chunk = await reader.read(_CHUNK)
                await chunks.put((clock() + self._proxy.seconds * is_answer, chunk))

        async with asyncio.TaskGroup() as together:
            together.create_task(read())
            chunk = b"-"
            while chunk:
                due, chunk = await chunks.get()
                await asyncio.sleep(max(0.0, due - clock()))
                await self._proxy.passing.wait()
                if chunk:
                    await self._write(writer, chunk, is_answer=is_answer)
        writer.write_eof()

    async def _write(self, writer: asyncio.StreamWriter, chunk: bytes, *, is_answer: bool) -> None:
        if is_answer and self.left is not None:
            chunk, self.left = chunk[: self.left], self.left - len(chunk)
        writer.write(chunk)
        await writer.drain()
        if is_answer and self.left is not None and self.left <= 0:
            # RST overtakes what the kernel has not sent yet; a loopback has sent it by then
            raise ConnectionResetError

    def _end(self, *, orderly: bool) -> None:
        sockets = [writer.get_extra_info("socket") for writer in self._writers] or [self._client]
        for each in sockets if not orderly else []:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        for writer in self._writers:
            writer.close() if orderly else writer.transport.abort()
        if not self._writers:
            self._client.close()
