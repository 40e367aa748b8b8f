"""What becomes of connections that wait in the pool, and what is told of their end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from antiphon_gateway.http_client import HttpClient
from antiphon_gateway.upstream import Broken, Request, Unanswered

GET = Request("GET", "/", ())
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def service(*connections: list[bytes]) -> AsyncIterator[tuple[str, HttpClient]]:
    """A service that gives each connection its answers, one a request, and then closes it."""
    left = list(connections)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for answer in left.pop(0):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        client = HttpClient()
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", client
        await client.stop()


async def fetch(client: HttpClient, base: str, request: Request = GET) -> bytes:
    return await (await asyncio.wait_for(client.send(base, request), 5)).read()


async def test_a_rested_connection_that_ends_without_a_byte_is_told_apart_from_a_broken_answer() -> None:
    async with service([OK, b""], [OK, b"HTTP/1.1 2"]) as (base, client):
        assert await fetch(client, base) == b"ok"
        with pytest.raises(Unanswered):
            await fetch(client, base)
        assert await fetch(client, base) == b"ok"
        with pytest.raises(Broken) as begun:
            await fetch(client, base)
        assert not isinstance(begun.value, Unanswered)


async def test_a_first_request_that_ends_without_a_byte_may_have_been_seen() -> None:
    async with service([b""]) as (base, client):
        with pytest.raises(Broken) as broken:
            await fetch(client, base)
        assert not isinstance(broken.value, Unanswered)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_answer_says_whether_its_connection_ends_with_it(method: str) -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    for answer, expected in ((OK, False), (closing, True)):
        async with service([answer]) as (base, client):
            assert (await client.send(base, Request(method, "/", ()))).closing is expected


async def test_connections_that_are_forgotten_are_not_used_again() -> None:
    async with service([OK, b"old"], [OK]) as (base, client):
        assert await fetch(client, base) == b"ok"
        client.forget(base)
        assert await fetch(client, base) == b"ok"
