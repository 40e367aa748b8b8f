"""A real nginx with the edge's configuration, before two upstreams that write down every byte they are sent."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antiphon_common.testing.running import eventually
from antiphon_common.testing.servers import are_required, not_tested
from antiphon_gateway.app import create_app
from antiphon_gateway.serving import server
from antiphon_gateway.settings import SERVICES, Settings

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from stack.edge import TEMPLATES, fill, find_nginx, nobody  # noqa: E402
from stack.house import StackError  # noqa: E402

SECRET = "planted-secret-of-the-edge-" + "0" * 48


def nginx() -> str:
    """The program, installed when it may be; without it the calling test is not tested."""
    try:
        return find_nginx()
    except StackError as error:
        not_tested(f"edge ({error})", required=are_required())


@dataclass
class Upstream:
    """A server that answers 200 to everything (with its name, or `body`); `requests` is what arrived."""

    name: str
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    received: int = 0
    answer: Callable[[], Awaitable[object]] | None = None
    cut: bool = False
    body: bytes = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head)
                await self._read_body(head, reader)
                if self.cut:
                    break
                if self.answer:
                    await self.answer()
                body = self.body or self.name.encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        writer.close()

    async def _read_body(self, head: bytes, reader: asyncio.StreamReader) -> None:
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        left = int(fields.get(b"content-length", b"0"))
        while left:
            part = await reader.read(min(left, 65536))
            if not part:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(part)
            self.received += len(part)
        while fields.get(b"transfer-encoding") == b"chunked":
            size = int(await reader.readline(), 16)
            self.received += len(await reader.readexactly(size + 2)) - 2
            if size == 0:
                return


@dataclass
class Edge:
    """A running nginx and what stands behind it."""

    run: Path
    port: int
    tls_port: int
    gateway: Upstream
    stream: Upstream

    async def talk(self, data: bytes, *, tls: ssl.SSLContext | None = None) -> bytes:
        """Send these bytes on a new connection and read until it ends."""
        port = self.tls_port if tls else self.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        writer.write(data)
        answer = b""
        try:
            # A connection that is cut is reset; what came before counts.
            with contextlib.suppress(ConnectionResetError):
                async with asyncio.timeout(20):
                    while part := await reader.read(65536):
                        answer += part
        finally:
            writer.close()
        return answer

    async def get(self, target: str, *headers: str, method: str = "GET") -> bytes:
        """One request with these header lines."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
        return await self.talk("\r\n".join(lines).encode("latin-1"))

    @property
    def log(self) -> str:
        return (self.run / "log").read_text("utf-8")


@contextlib.asynccontextmanager
async def running_edge(
    run: Path, changes: Mapping[str, str] | None = None, *, tls: bool = False, gateway: int | None = None
) -> AsyncIterator[Edge]:
    """Start it in this directory; `changes` replace texts of the configuration, which must be there.

    `gateway` is the listen port of a real one, instead of a server that writes down what it is sent.
    """
    nginx()
    edge = Edge(run, free_port(), free_port(), Upstream("gateway"), Upstream("stream"))
    async with contextlib.AsyncExitStack() as stack:
        for upstream in (edge.gateway, edge.stream):
            server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, limit=1 << 20)
            stack.callback(server.close)
            upstream.port = server.sockets[0].getsockname()[1]
        edge.gateway.port = gateway or edge.gateway.port
        configure(edge, changes or {}, tls=tls)
        stack.callback(stop, run_nginx(edge.run))
        await eventually(lambda: asyncio.to_thread(answers, edge.port))
        yield edge


def configure(edge: Edge, changes: Mapping[str, str], *, tls: bool) -> None:
    """Fill in the templates below the edge's directory."""
    conf = edge.run / "conf.d"
    conf.mkdir()
    values = {
        "USER": nobody(),
        "RUN": str(edge.run),
        "LISTEN": f"127.0.0.1:{edge.port}",
        "GATEWAY": f"127.0.0.1:{edge.gateway.port}",
        "STREAM": f"127.0.0.1:{edge.stream.port}",
        "EDGE_SECRET": SECRET,
        "TLS_LISTEN": f"127.0.0.1:{edge.tls_port}",
        "TLS_CERTIFICATE": str(edge.run / "tls.pem"),
        "TLS_KEY": str(edge.run / "tls.key"),
    }
    fill(TEMPLATES / "nginx.conf.template", edge.run / "nginx.conf", values)
    chosen = [
        *(TEMPLATES / "templates").glob("*.template"),
        *([TEMPLATES / "tls.conf.template"] if tls else []),
    ]
    for template in chosen:
        fill(template, conf / template.stem, values)
    for before, after in changes.items():
        found = [file for file in conf.iterdir() if before in file.read_text("utf-8")]
        assert found, f"the configuration does not say {before!r}"
        for file in found:
            file.write_text(file.read_text("utf-8").replace(before, after), "utf-8")


def run_nginx(run: Path) -> subprocess.Popen[bytes]:
    program = nginx()
    with (run / "log").open("ab") as log:
        return subprocess.Popen(
            [program, "-p", str(run), "-c", "nginx.conf", "-e", "stderr"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(10)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextlib.asynccontextmanager
async def lone_gateway(tmp_path: Path, **settings: Any) -> AsyncIterator[int]:
    """A real gateway of no services, with a limit of one request an address."""
    nowhere: dict[str, Any] = {f"{name}_url": f"http://127.0.0.1:{free_port()}" for name in SERVICES}
    chosen = Settings(
        port=free_port(), bus_url=f"inproc://{tmp_path}/bus.db", rates={"read": "1/600"}, trusted_proxies=1,
        access_log=False, **nowhere, **settings,
    )  # fmt: skip
    running = server(create_app(chosen), chosen)
    task = asyncio.create_task(running.serve())
    try:
        await eventually(lambda: asyncio.to_thread(answers, chosen.port))
        yield chosen.port
    finally:
        running.should_exit = True
        await task


def parts(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the only answer in there."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    return int(status.split()[1]), {k.lower(): v for k, v in (x.split(": ", 1) for x in lines)}, body
