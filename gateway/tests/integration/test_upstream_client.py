"""The upstream client against services that answer byte by byte as a test wrote it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from antiphon_gateway.http_client import HttpClient
from antiphon_gateway.upstream import Broken, NotConnected, Request

GET = Request("GET", "/x?y=1", [("accept", "a")])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Service:
    """Counts connections and keeps what it was sent."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections = 0
        self.base = ""
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.script(reader, writer)
        writer.close()


@contextlib.asynccontextmanager
async def service(script: Script, *, idle_seconds: float = 3.0) -> AsyncIterator[tuple[Service, HttpClient]]:
    one = Service(script)
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        one.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = HttpClient(idle_seconds=idle_seconds)
        await client.start()
        try:
            yield one, client
        finally:
            await client.stop()


def saying(*answers: bytes, close: bool = False) -> Script:
    """One answer for each request on a connection, whatever it asks."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        if not close:
            await reader.read()

    return script


async def fetch(client: HttpClient, base: str, request: Request = GET) -> tuple[int, bytes]:
    answer = await asyncio.wait_for(client.send(base, request), 5)
    return answer.status, await asyncio.wait_for(answer.read(), 5)


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with service(saying(OK, OK, OK)) as (one, client):
        assert [await fetch(client, one.base) for _ in range(3)] == [(200, b"ok")] * 3
        assert one.connections == 1


async def test_two_at_once_have_a_connection_each() -> None:
    async with service(saying(OK, OK)) as (one, client):
        await asyncio.gather(fetch(client, one.base), fetch(client, one.base))
        assert one.connections == 2


async def test_the_request_is_written_as_it_was_put_together() -> None:
    got: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        got.append(await reader.readexactly(4))
        writer.write(OK)

    async with service(script) as (one, client):
        await fetch(client, one.base, Request("POST", "/a", [("x", "1")], b"body"))
    host = one.base.removeprefix("http://").encode()
    assert got[0] == (
        b"POST /a HTTP/1.1\r\nhost: "
        + host
        + b"\r\naccept-encoding: identity\r\nx: 1\r\ncontent-length: 4\r\n\r\n"
    )
    assert got[1] == b"body"


@pytest.mark.parametrize("bad", ["a\r\nx: 1", "a\nb", "a\rb", "a\0b"])
async def test_a_header_never_becomes_two(bad: str) -> None:
    async with service(saying(OK)) as (one, client):
        for request in (Request("GET", "/", [("x", bad)]), Request("GET", f"/{bad}", [])):
            with pytest.raises(ValueError):
                await client.send(one.base, request)


async def test_more_than_one_answer_is_never_given_to_the_next() -> None:
    evil = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    async with service(saying(evil, evil)) as (one, client):
        assert await fetch(client, one.base) == (200, b"ok")
        assert await fetch(client, one.base) == (200, b"ok")
        assert one.connections == 2


async def test_an_answer_nobody_asked_for_ends_the_connection() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await reader.read()

    async with service(script) as (one, client):
        assert await fetch(client, one.base) == (200, b"ok")
        await asyncio.sleep(0.1)
        assert await fetch(client, one.base) == (200, b"ok")
        assert one.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 60_000,
    ],
)  # fmt: skip
async def test_an_answer_that_is_not_whole_is_broken(answer: bytes) -> None:
    async with service(saying(answer, close=True)) as (one, client):
        with pytest.raises(Broken):
            await fetch(client, one.base)


async def test_a_body_may_end_with_the_connection() -> None:
    async with service(saying(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True)) as (one, client):
        assert await fetch(client, one.base) == (200, b"all of it")


async def test_answers_without_a_body_leave_the_connection_in_order() -> None:
    plain = [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: a\r\nContent-Length: 9\r\n\r\n",
        OK,
    ]
    async with service(saying(*plain)) as (one, client):
        assert [await fetch(client, one.base) for _ in plain] == [(204, b""), (304, b""), (200, b"ok")]
        assert one.connections == 1


async def test_a_head_has_no_body_whatever_it_says() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    async with service(saying(head)) as (one, client):
        assert await fetch(client, one.base, Request("HEAD", "/", [])) == (200, b"")
        assert await fetch(client, one.base, Request("HEAD", "/", [])) == (200, b"")


async def test_a_note_before_the_answer_is_passed_over() -> None:
    async with service(saying(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)) as (one, client):
        answer = await client.send(one.base, GET)
        assert (answer.status, await answer.read()) == (200, b"ok")
        assert [name for name, _ in answer.headers] == [b"Content-Length"]


async def test_a_trailer_is_not_a_header_of_the_answer() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: a\r\n\r\n"
    async with service(saying(chunked, OK)) as (one, client):
        answer = await client.send(one.base, GET)
        assert await answer.read() == b"ok"
        assert [name for name, _ in answer.headers] == [b"Transfer-Encoding"]
        assert await fetch(client, one.base) == (200, b"ok")
        assert one.connections == 1


async def test_letting_go_of_an_answer_late_harms_nobody_else() -> None:
    slow = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        await slow.wait()
        writer.write(OK)
        await reader.read()

    async with service(script) as (one, client):
        first = await client.send(one.base, GET)
        assert await first.read() == b"ok"
        second = asyncio.create_task(fetch(client, one.base))
        await asyncio.sleep(0.05)
        first.abort()
        assert await first.read() == b""
        slow.set()
        assert await second == (200, b"ok")
        assert one.connections == 1


async def test_an_answer_that_is_let_go_takes_its_connection_with_it() -> None:
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst")
        await reader.read()
        ended.set()

    async with service(script) as (one, client):
        answer = await client.send(one.base, GET)
        assert await answer.next() == b"first"
        waiting = asyncio.create_task(answer.next())
        await asyncio.sleep(0.01)
        answer.abort()
        with pytest.raises(Broken):
            await waiting
        await asyncio.wait_for(ended.wait(), 2)


async def test_giving_up_while_waiting_closes_the_connection() -> None:
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(10_000)
        await reader.read()
        ended.set()

    async with service(script) as (one, client):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.send(one.base, GET), 0.1)
        await asyncio.wait_for(ended.wait(), 2)


async def test_giving_up_while_reading_closes_the_connection() -> None:
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst")
        await reader.read()
        ended.set()

    async with service(script) as (one, client):
        answer = await client.send(one.base, GET)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(answer.read(), 0.1)
        await asyncio.wait_for(ended.wait(), 2)


async def test_a_head_without_an_end_is_broken_early() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: y\r\n" * 1000)
            await writer.drain()
            await asyncio.sleep(0.001)

    async with service(script) as (one, client):
        with pytest.raises(Broken):
            await fetch(client, one.base)


async def test_a_connection_that_has_rested_too_long_is_not_used() -> None:
    async with service(saying(OK, OK), idle_seconds=0.05) as (one, client):
        await fetch(client, one.base)
        await asyncio.sleep(0.1)
        await fetch(client, one.base)
        assert one.connections == 2


async def test_a_service_that_closes_between_requests_is_not_noticed() -> None:
    async with service(saying(OK, close=True)) as (one, client):
        for _ in range(5):
            assert await fetch(client, one.base) == (200, b"ok")
            await asyncio.sleep(0.02)
        assert one.connections == 5
        assert len(client._idle[one.base]) <= 1


async def test_nobody_listening_is_told_apart_from_a_broken_answer() -> None:
    with pytest.raises(NotConnected):
        await HttpClient().send("http://127.0.0.1:9", GET)


async def test_no_more_than_a_window_is_read_ahead() -> None:
    sent = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
        for _ in range(1024):
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536
        await reader.read()

    async with service(script) as (one, client):
        answer = await client.send(one.base, GET)
        await answer.next()
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 16 * 1024 * 1024
        size = 65536
        while chunk := await asyncio.wait_for(answer.next(), 5):
            size += len(chunk)
        assert 67108864 - 65536 <= size <= 67108864 + 65536
        assert await fetch_again(client, one.base)


async def fetch_again(client: HttpClient, base: str) -> bool:
    """The connection of a long answer is in the pool again."""
    return len(client._idle[base]) == 1


async def parts(*chunks: bytes, fail: bool = False) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if fail:
        raise RuntimeError("the client broke off")


async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, got: list[bytes]) -> None:
    got.append(await reader.readuntil(b"\r\n\r\n"))
    got.append(await reader.read())


async def test_a_body_that_flows_is_chunked_or_of_its_length() -> None:
    got: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        got.append(await reader.readexactly(10 if b"content-length" in got[-1] else 25))
        writer.write(OK)
        await reader.read()

    async with service(script) as (one, client):
        assert await fetch(client, one.base, Request("POST", "/", [], parts(b"hello", b"world"))) == (
            200,
            b"ok",
        )
        length = [("content-length", "10")]
    async with service(script) as (one, client):
        assert await fetch(client, one.base, Request("POST", "/", length, parts(b"hello", b"world"))) == (
            200,
            b"ok",
        )
    assert b"transfer-encoding: chunked" in got[0]
    assert got[1] == b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"
    assert b"transfer-encoding" not in got[2]
    assert got[3] == b"helloworld"


async def test_a_body_that_breaks_off_is_never_taken_for_whole() -> None:
    got: list[bytes] = []
    async with service(lambda r, w: until_closed(r, w, got)) as (one, client):
        with pytest.raises(Broken):
            await fetch(client, one.base, Request("POST", "/", [], parts(b"hello", fail=True)))
        async with asyncio.timeout(2):
            while len(got) < 2:
                await asyncio.sleep(0.01)
    assert not got[1].endswith(b"0\r\n\r\n")


async def test_an_answer_before_the_end_of_the_body_is_taken_and_the_connection_is_not_used_again() -> None:
    forever = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 10
        await forever.wait()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"x")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()

    async with service(script) as (one, client):
        assert await fetch(client, one.base, Request("POST", "/", [], body())) == (413, b"no")
        assert not client._idle[one.base]
