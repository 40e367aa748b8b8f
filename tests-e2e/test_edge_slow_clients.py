"""The edge before clients that are slow on purpose."""

import asyncio
import contextlib
import time
from pathlib import Path

from e2e_support.edge import parts, running_edge

from antiphon_common.testing.running import eventually

SIGNED = "/api/stream/01920000-0000-7000-8000-000000000001?variant=original&ticket=k1.AQMA-_x.ZTsZ"
_HEAD = b"POST /api/playlists HTTP/1.1\r\nHost: localhost\r\n"


async def test_a_slow_head_and_a_slow_body_are_cut(tmp_path: Path) -> None:
    changes = {
        "client_header_timeout 10s": "client_header_timeout 1s",
        "client_body_timeout 15s": "client_body_timeout 1s",
    }
    async with running_edge(tmp_path, changes) as edge:
        upload = _HEAD.replace(b"/api/playlists", b"/api/uploads") + b"Content-Length: 50\r\n\r\n{"
        for data in (
            b"GET / HTTP/1.1\r\nHost: localh",
            _HEAD + b"Content-Length: 50\r\n\r\n{",
            upload,
        ):
            began = time.monotonic()
            answer = await edge.talk(data)
            assert time.monotonic() - began < 4, data
            assert answer == b"" or parts(answer)[0] == 408, answer
        assert parts(await edge.get("/api/tracks"))[0] == 200


async def test_a_small_body_that_drips_costs_the_gateway_nothing_and_a_large_one_is_cut_by_it(
    tmp_path: Path,
) -> None:
    async with running_edge(tmp_path) as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(_HEAD + b"Content-Length: 500\r\n\r\n")
        for _ in range(10):
            writer.write(b" ")
            await asyncio.sleep(0.1)
        assert edge.gateway.requests == []
        writer.write(b" " * 490)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200 ")
        upload = _HEAD.replace(b"/api/playlists", b"/api/uploads")
        writer.write(upload + b"Content-Length: 500\r\n\r\n ")
        await eventually(lambda: asyncio.sleep(0, len(edge.gateway.requests) == 2))
        writer.close()


async def test_who_takes_no_part_of_an_answer_is_cut(tmp_path: Path) -> None:
    async with running_edge(tmp_path, {"send_timeout 30s": "send_timeout 1s"}) as edge:
        edge.stream.body = bytes(64 * 1024 * 1024)
        request = f"GET {SIGNED} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(request)
        await reader.readexactly(1000)
        await asyncio.sleep(3)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while part := await reader.read(1024 * 1024):
                taken += len(part)
        writer.close()
        assert taken < len(edge.stream.body) - 1000
