"""A connection to RabbitMQ that is opened when somebody needs it, and given up at once when it is of no use.

aio-pika's plain connection, not its robust one: what is to be done after a loss (declare again, consume
again, publish again) is decided in one place of ours. Channels are used directly, below the library's objects
for messages and queues. A broker that stopped answering is not waited for: the socket is cut, not closed.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from typing import Any, cast

import aio_pika
import aiormq
from aiormq.channel import Channel
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from antiphon_common.bus.amqp.topology import Topology
from antiphon_common.errors import Conflict, Forbidden, NotFound, ServiceError, Unavailable
from antiphon_common.schemes import WrongUrl, authority, distrust

CONNECT_SECONDS = 5.0
CALL_SECONDS = 5.0
_TLS_PORT = 5671
# Three of these without a sign of life and the connection is given up.
_HEARTBEAT_SECONDS = 5


class Translated:
    """Turns the library's ways of saying "not now" into `Unavailable`, what people must mend into a sentence.

    A connection that goes down ends the calls on it with `CancelledError`; only one of ours passes.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: object) -> None:
        if error is None or isinstance(error, ServiceError):
            return
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return
        elif not isinstance(error, (aiormq.AMQPError, OSError, TimeoutError, EOFError, RuntimeError)):
            return
        raise _category(error) from error


def _category(error: BaseException) -> ServiceError:
    said = " ".join(str(error).split())
    if isinstance(error, aiormq.exceptions.ProbableAuthenticationError):
        return Forbidden("bus_refused", "The broker refuses the user or the password.")
    if isinstance(error, aiormq.exceptions.InvalidFrameError) and "Connection.Close" in said:
        # All that the library tells of an answer which it did not expect when the virtual host is opened.
        return Forbidden("bus_refused", "The virtual host is missing, or the user may not use it.")
    if isinstance(error, aiormq.exceptions.ChannelAccessRefused):
        return Forbidden("bus_forbidden", f"The broker does not allow this: {said}")
    if isinstance(error, aiormq.exceptions.ChannelNotFoundEntity):
        return NotFound("bus_incomplete", f"Something is missing in the broker: {said}")
    if isinstance(error, aiormq.exceptions.ChannelPreconditionFailed):
        return Conflict("queue_differs", _differs(said))
    return Unavailable("bus_unavailable", "The broker does not answer.", retry_after=2)


def _differs(said: str) -> str:
    """The broker says `... for queue 'name' in vhost ...`."""
    found = re.search(r"for ((?:queue|exchange) '[^']*' in vhost '[^']*')", said)
    what = found[1] if found else "a queue or exchange"
    return (
        f"The broker has {what} with other arguments: drain and delete it, it is made anew. It says: {said}"
    )


class _Cuttable(TransportFactory):
    """Makes the library's own transport and remembers it, so that it can be cut."""

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, self._writer = await factory.create(url, **kwargs)
        return reader, self._writer

    def cut(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()


def _checked(url: str) -> URL:
    try:
        parsed = URL(url)
    except ValueError as error:
        raise WrongUrl(url, str(error)) from error
    if not parsed.host:
        raise WrongUrl(url, "it should be amqp://user:password@host:port/vhost")
    for option in ("ca", "cafile"):
        if file := authority(url, tls=parsed.scheme == "amqps", option=option):
            # The library's own name for it.
            parsed = parsed.without_query_params(option).update_query(cafile=file)
    return parsed


class Link:
    """One connection, shared by the channels of one duty."""

    def __init__(self, url: str, duty: str) -> None:
        self._url = _checked(url).update_query(heartbeat=str(_HEARTBEAT_SECONDS), name=duty)
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self._transport = _Cuttable()
        self._lock = asyncio.Lock()
        self._open = False
        self._is_new = False

    def start(self) -> None:
        self._open = self._is_new = True

    async def stop(self) -> None:
        """Say goodbye if the broker listens, for a second."""
        self._open = False
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await asyncio.wait_for(connection.close(), 1)
            # The library says that it is closed in a task of its own.
            await asyncio.sleep(0)
        self._transport.cut()

    def drop(self) -> None:
        """Give the connection up without a word, because nobody listens."""
        self._connection = None
        self._transport.cut()

    async def channel(self, *, confirms: bool = False) -> Channel:
        """A new channel. Raises `Unavailable` within five seconds when the broker does not answer."""
        with Translated():
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self._connected()
                transport = connection.transport
                if transport is None:
                    raise Unavailable("bus_closed", "The bus is not open.")
                return cast(Channel, await transport.connection.channel(publisher_confirms=confirms))

    async def _connected(self) -> aio_pika.abc.AbstractConnection:
        async with self._lock:
            if not self._open:
                raise Unavailable("bus_closed", "The bus is not open.")
            if self._connection is not None and self._connection.connected.is_set():
                return self._connection
            is_new, self._is_new = self._is_new, False
            try:
                self._connection = await self._connect()
            except aiormq.AMQPConnectionError as error:
                if reason := distrust(error, f"{self._url.host}:{self._url.port or _TLS_PORT}"):
                    # Whoever starts ends with this; who had a connection before waits for the next one.
                    category = Forbidden if is_new else Unavailable
                    raise category("bus_distrusted", reason, retry_after=2) from error
                raise
            return self._connection

    async def _connect(self) -> aio_pika.abc.AbstractConnection:
        self._transport = transport = _Cuttable()
        connection = aio_pika.Connection(self._url)
        connection.kwargs["transport_factory"] = transport
        try:
            await connection.connect()
        except BaseException:
            transport.cut()
            # Or it does so in a task of its own when it is collected, perhaps after the loop's end.
            await connection.close()
            raise
        return connection

    async def declare(self, topology: Topology) -> None:
        """Make what is missing. Raises `Conflict` when a queue exists with other arguments."""
        async with self.brief() as channel:
            for exchange in topology.exchanges:
                await channel.exchange_declare(exchange.name, exchange_type=exchange.kind, durable=True)
            for queue in topology.queues:
                await channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
            for binding in topology.bindings:
                bind = channel.queue_bind if binding.to == "queue" else channel.exchange_bind
                await bind(binding.target, binding.source, binding.key)

    async def has_exchanges(self, topology: Topology) -> bool:
        """Whether the exchanges are there, which everybody may ask and only their owner may declare."""
        try:
            async with self.brief() as channel:
                for exchange in topology.exchanges:
                    await channel.exchange_declare(exchange.name, passive=True)
        except NotFound:
            return False
        return True

    @contextlib.asynccontextmanager
    async def brief(self) -> AsyncIterator[Channel]:
        """A channel for a few calls, which together take five seconds at most."""
        channel = await self.channel()
        with Translated():
            async with asyncio.timeout(CALL_SECONDS):
                yield channel
                await channel.close()


def quiet() -> None:
    """The library logs with stack traces what we report in one line."""
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
