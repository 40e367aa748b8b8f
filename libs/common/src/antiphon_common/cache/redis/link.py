"""One connection to a Redis for everybody in an app: commands are pipelined, answers come in their order.

A client of our own on hiredis, because the gateway asks Redis for every request and the usual client costs
fifteen times as much.

Failure policy: while Redis cannot be used, `ask` raises `Unavailable` at once. An answer that is 60 to 90
ms late means that Redis is frozen or gone: all who wait are told so, and the connection is given up. A new
one is tried for in the background, at least once in one and a half seconds, and is used only after Redis
has let us in and answered on it. So an outage costs those who asked in its first moment a few tens of
milliseconds, and everybody else nothing.
"""

import asyncio
import contextlib
import hashlib
import random
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote, urlsplit

import hiredis

from antiphon_common.errors import Unavailable
from antiphon_common.schemes import WrongUrl, authority, distrust

_SWEEP_SECONDS = 0.03
_STRIKES = 2
_CONNECT_SECONDS = 1.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5
_SETTLED_SECONDS = 5.0

Part = bytes | str | int | float
Reply = bytes | int | list["Reply"] | None
Ask = Callable[..., "asyncio.Future[Reply]"]


class Refusal(Exception):
    """Redis answered with an error; its first word is the kind (`OOM`, `NOSCRIPT`, `WRONGPASS` ...)."""

    @property
    def kind(self) -> str:
        return str(self).partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis is and how to be let in."""

    host: str
    port: int
    user: str
    password: str
    number: int
    tls: ssl.SSLContext | None

    @classmethod
    def parse(cls, url: str) -> "Address":
        """From `redis://[[user]:password@]host[:port][/number]`. Raises `WrongUrl`.

        `rediss:` is TLS; `?ca=` names the file of the authority, if not one of this machine's.
        """
        parts = urlsplit(url)
        number = parts.path.strip("/") or "0"
        try:
            port = parts.port or 6379
        except ValueError:
            port = 0
        if not parts.hostname or not port or not number.isascii() or not number.isdigit():
            raise WrongUrl(url, "a Redis is named redis://[[user]:password@]host[:port][/number]")
        return cls(
            parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or ""),
            int(number), _tls(url, wanted=parts.scheme == "rediss"),
        )  # fmt: skip


def _tls(url: str, *, wanted: bool) -> ssl.SSLContext | None:
    ca = authority(url, tls=wanted)
    return ssl.create_default_context(cafile=ca) if wanted else None


class Script:
    """A Lua script, sent by its hash once Redis knows it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


async def _greet_nothing(_: Ask) -> None:
    return


class Link:
    """The connection, renewed as long as the app lives. `greet` is run on each new one before it is used."""

    def __init__(self, url: str, *, greet: Callable[[Ask], Awaitable[None]] = _greet_nothing) -> None:
        self._address = Address.parse(url)
        self._greet = greet
        self._wire: _Wire | None = None
        self._tried = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self.problem = "not started"

    async def start(self) -> None:
        """Returns after the first try, whether or not it came to anything."""
        self._keeper = asyncio.create_task(self._keep(), name="redis")
        await self._tried.wait()

    async def stop(self) -> None:
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        self.drop()

    def ask(self, *command: Part) -> "asyncio.Future[Reply]":
        """Send a command; await its answer. Raises `Unavailable`, here or there, and there `Refusal`."""
        if self._wire is None:
            raise Unavailable("redis_away", f"Redis cannot be used: {self.problem}")
        return self._wire.ask(*command)

    async def run(self, script: Script, keys: Sequence[str], *arguments: Part) -> Reply:
        """Run a script. Raises like `ask`."""
        try:
            return await self.ask("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except Refusal as refusal:
            if refusal.kind != "NOSCRIPT":
                raise
        return await self.ask("EVAL", script.text, len(keys), *keys, *arguments)

    def drop(self) -> None:
        """Give the connection up; the next one is greeted anew."""
        if self._wire:
            self._wire.fail()

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
        while True:
            try:
                wire = await self._connect()
            except (OSError, TimeoutError, Unavailable, Refusal, ValueError) as error:
                self.problem = _told(error, self._address)
            else:
                self._wire, since = wire, loop.time()
                self._tried.set()
                await wire.lost
                self._wire, self.problem = None, "the connection broke off, or an answer was late"
                if loop.time() - since > _SETTLED_SECONDS:
                    pause = _FIRST_PAUSE
            self._tried.set()
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _connect(self) -> "_Wire":
        loop, at = asyncio.get_running_loop(), self._address
        wire = _Wire(loop, patient=True)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await loop.create_connection(lambda: wire, at.host, at.port, ssl=at.tls)
                if at.password:
                    await wire.ask("AUTH", *([at.user] if at.user else []), at.password)
                await wire.ask("SELECT", at.number)
                await wire.ask("PING")
                await self._greet(wire.ask)
        except BaseException:
            wire.fail()
            raise
        wire.patient = False
        return wire


class _Wire(asyncio.Protocol):
    """One connection. While it is `patient`, being late is for somebody else to judge."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, patient: bool) -> None:
        self._loop = loop
        self._reader = hiredis.Reader(replyError=Refusal, notEnoughData=self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._unsent: list[bytes] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._watched: asyncio.Future[Reply] | None = None
        self._strikes = 0
        self.patient = patient
        self.lost: asyncio.Future[None] = loop.create_future()

    def ask(self, *command: Part) -> "asyncio.Future[Reply]":
        answer: asyncio.Future[Reply] = self._loop.create_future()
        if self.lost.done():
            answer.set_exception(_away())
            return answer
        self._waiting.append(answer)
        if not self._unsent:
            # What is asked in the same turn of the loop leaves in one system call.
            self._loop.call_soon(self._send)
        self._unsent.append(hiredis.pack_command(command))  # type: ignore[arg-type]
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        return answer

    def fail(self) -> None:
        """End the connection; whoever waits is told."""
        if self._transport:
            self._transport.abort()
        if not self.lost.done():
            self.lost.set_result(None)
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(_away())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        self.fail()

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not self:
                self._give(reply)
        except (hiredis.ProtocolError, IndexError):
            # What speaks here is no Redis, or speaks unasked.
            self.fail()

    def _give(self, reply: object) -> None:
        answer = self._waiting.popleft()
        if answer.done():
            return
        if isinstance(reply, Refusal):
            answer.set_exception(reply)
        else:
            answer.set_result(cast(Reply, reply))

    def _send(self) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _sweep(self) -> None:
        """Give up when the same answer is missing at three sweeps in a row.

        Sweeps are counted, not time: when our loop stood still, there is one sweep, and then the answer.
        """
        self._sweeper = None
        if not self._waiting:
            return
        self._strikes = self._strikes + 1 if self._watched is self._waiting[0] else 0
        self._watched = self._waiting[0]
        if self._strikes >= _STRIKES and not self.patient:
            self.fail()
            return
        self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)


def _away() -> Unavailable:
    return Unavailable("redis_away", "Redis does not answer.")


def _told(error: Exception, at: Address) -> str:
    """What is wrong, in words for whoever runs it; never with the password in them."""
    if reason := distrust(error, f"{at.host}:{at.port}"):
        return reason
    if isinstance(error, Refusal):
        return f"it refuses us: {error}"
    if isinstance(error, TimeoutError):
        return "no answer"
    return str(error) or type(error).__name__
