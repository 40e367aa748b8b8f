"""From an admitted request to a service's answer: bytes both ways, nothing buffered that need not be.

Small bodies and small answers are handled whole; large ones flow with the backpressure of both connections.
An error of a service that is not problem+json never reaches the client: its place takes one of ours.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from antiphon_gateway.budgets import JSON_BYTES, BodyReader, check_depth
from antiphon_gateway.deadlines import Deadline
from antiphon_gateway.exchange import Exchange
from antiphon_gateway.headers import answered_headers, has_body, upstream_headers
from antiphon_gateway.instances import Room
from antiphon_gateway.matching import Target
from antiphon_gateway.policy import Access, Body
from antiphon_gateway.problems import ClientGone, foreign_error
from antiphon_gateway.upstream import (
    Answer,
    Broken,
    Call,
    Interrupted,
    Request,
    Upstreams,
    failure,
)

_WHOLE = 64 * 1024


class Forwarder:
    """Passes requests on and answers back."""

    def __init__(
        self,
        upstreams: Upstreams,
        *,
        limits: Mapping[Body, int],
        slow_body_seconds: float,
        silent_stream_seconds: float,
    ) -> None:
        self._upstreams = upstreams
        self._limits = {Body.JSON: JSON_BYTES, **limits}
        self._grace = slow_body_seconds
        self._patience = silent_stream_seconds

    async def forward(self, exchange: Exchange, target: Target) -> None:
        """Answer the exchange with what the service says. Raises `Refused` or `ClientGone`."""
        route = target.route
        reader = self._reader(exchange, route.body)
        body = None
        if reader is not None and route.body is Body.JSON:
            body = await reader.whole()
            check_depth(body)
        is_upload = route.body in (Body.UPLOAD, Body.IMAGE)
        room = Room.STREAMS if route.stream or is_upload else Room.CALLS
        with self._upstreams[route.service].call(room) as call:
            try:
                if is_upload:
                    await self._upload(exchange, target, reader, call)
                elif route.stream and exchange.method == "GET":
                    await self._stream(exchange, target, call)
                else:
                    await self._call(exchange, target, call, body)
            except Broken as error:
                raise failure(error) from error

    def _reader(self, exchange: Exchange, kind: Body) -> BodyReader | None:
        if not has_body(exchange.fields):
            return None
        return BodyReader(exchange, limit=self._limits[kind], grace=self._grace)

    async def _call(self, exchange: Exchange, target: Target, call: Call, body: bytes | None) -> None:
        """Everything that is small: one deadline for the whole."""
        request = request_for(exchange, target, body)
        try:
            async with call.deadline() as deadline:
                answer = await call.send(request)
                await _pass_on(exchange, target, answer, deadline)
        except TimeoutError:
            raise call.timed_out() from None

    async def _stream(self, exchange: Exchange, target: Target, call: Call) -> None:
        """A long answer: the deadline is for its head, and a client that hangs up ends the reading."""
        request = request_for(exchange, target, None)
        watch: asyncio.Task[None] | None = None
        try:
            async with call.deadline():
                answer = await call.send(request)
            watch = asyncio.create_task(_until_gone(exchange))
            watch.add_done_callback(lambda _: answer.abort())
            async with call.deadline(self._patience) as idle:
                await _pass_on(exchange, target, answer, idle)
        except TimeoutError:
            raise call.timed_out() from None
        except Broken:
            if watch is not None and watch.done():
                raise ClientGone from None
            raise
        finally:
            if watch is not None:
                watch.cancel()

    async def _upload(
        self, exchange: Exchange, target: Target, reader: BodyReader | None, call: Call
    ) -> None:
        """A long body: the service has the deadline to take each part, and again to answer after the last."""
        if reader is None:
            await self._call(exchange, target, call, None)
            return
        try:
            async with call.deadline() as deadline:
                body = _clocked(reader, deadline)
                answer = await call.send(_upload_request(exchange, target, body, reader))
                deadline.restart()
                # Answered before the body was read: what is left of it must not be taken for a request.
                exchange.last = exchange.unread
                await _pass_on(exchange, target, answer, deadline)
        except TimeoutError:
            raise call.timed_out() from None
        except Interrupted:
            raise reader.failure or ClientGone() from None


def _upload_request(
    exchange: Exchange, target: Target, body: AsyncIterator[bytes], reader: BodyReader
) -> Request:
    request = request_for(exchange, target, body)
    headers = list(request.headers)
    if reader.length is not None:
        headers.append(("content-length", str(reader.length)))
    return replace(request, headers=headers, interrupted=lambda: reader.failure is not None)


def request_for(exchange: Exchange, target: Target, body: bytes | AsyncIterator[bytes] | None) -> Request:
    """What the service is sent: the path of the table, headers of the allow-list, and two of our own."""
    route = target.route
    headers = upstream_headers(exchange.fields, cookies=route.cookies)
    if route.access is Access.ANONYMOUS:
        headers = [pair for pair in headers if pair[0] != "authorization"]
    headers.append(("traceparent", exchange.traceparent))
    headers.append(("x-antiphon-client", exchange.address))
    path = target.path(exchange.ids)
    if exchange.query:
        path = f"{path}?{exchange.query.decode('ascii')}"
    # A HEAD of a route that has only GET: asked as GET, answered without the body.
    return Request(route.method, path, headers, body)


async def _pass_on(exchange: Exchange, target: Target, answer: Answer, deadline: Deadline) -> None:
    """Send a service's answer to the client, who may take its time: the connection guard watches that."""
    headers = answered_headers(answer.headers, cookies=target.route.cookies)
    status = answer.status
    if foreign := foreign_error(status, headers):
        answer.abort()
        raise foreign
    named = dict(headers)
    if b"cache-control" not in named:
        headers.append((b"cache-control", b"no-store"))
    length = named.get(b"content-length")
    if exchange.method == "HEAD":
        # Either it has no body, or it was asked as GET and its body is not wanted.
        answer.abort() if target.route.method == "GET" else await answer.read()
        deadline.pause()
        await exchange.start(status, headers)
        await exchange.write(b"", more=False)
    elif length is not None and int(length) <= _WHOLE:
        body = await answer.read()
        deadline.pause()
        await exchange.start(status, headers)
        await exchange.write(body, more=False)
    else:
        await _flow(exchange, answer, deadline, (status, headers))


async def _flow(
    exchange: Exchange, answer: Answer, deadline: Deadline, head: tuple[int, list[tuple[bytes, bytes]]]
) -> None:
    try:
        deadline.pause()
        await exchange.start(*head)
        deadline.restart()
        while chunk := await answer.next():
            deadline.pause()
            await exchange.write(chunk, more=True)
            deadline.restart()
        deadline.pause()
        await exchange.write(b"", more=False)
    finally:
        if not exchange.finished:
            answer.abort()


async def _until_gone(exchange: Exchange) -> None:
    """Returns when the client has hung up."""
    try:
        while True:
            await exchange.receive()
    except ClientGone:
        return


async def _clocked(reader: BodyReader, deadline: Deadline) -> AsyncIterator[bytes]:
    """The body; the clock runs only while the service holds a part, not while the client sends one."""
    while reader.more:
        deadline.pause()
        chunk = await reader.next()
        deadline.restart()
        if chunk:
            yield chunk
