"""One service as the gateway sees it: a client behind a narrow port, wrapped in deadlines and limits.

The port speaks HTTP and nothing more; which failures are retried, counted or translated is decided here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from antiphon_gateway.deadlines import Deadline, Deadlines
from antiphon_gateway.problems import Refused, unavailable
from antiphon_gateway.resilience import Breaker, Bulkhead, RetryBudget

_IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE"}


class NotConnected(Exception):
    """No connection came about; the service has seen nothing."""


class Broken(Exception):
    """The connection ended before the answer did."""


class Interrupted(Exception):
    """The client's body ended early, so the call was given up; the service is not to blame."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Request:
    """What a service is sent. `path` includes the query; a body that is an iterator is sent as it comes, and
    `interrupted` says whether it ended before its end.
    """

    method: str
    path: str
    headers: Sequence[tuple[str, str]]
    body: bytes | AsyncIterator[bytes] | None = None
    interrupted: Callable[[], bool] = _never


class Answer(Protocol):
    """The head of an answer has arrived; its body is read once, or the answer is aborted."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...

    async def read(self) -> bytes:
        """The whole body. Raises `Broken`."""

    async def next(self) -> bytes:
        """The next part of the body as it arrives, empty at its end. Raises `Broken`."""

    def abort(self) -> None:
        """Close the connection; a read that waits raises `Broken`. Harmless after the end."""


class Client(Protocol):
    """The port. It follows no redirect, decodes nothing and remembers nothing."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, base: str, request: Request) -> Answer:
        """Send a request and wait for the head of its answer. Raises `NotConnected` or `Broken`."""


class Upstream:
    """Calls one service."""

    def __init__(
        self,
        name: str,
        base: str,
        *,
        client: Client,
        now: Callable[[], float],
        deadlines: Deadlines,
        deadline: float,
        calls: int,
        streams: int,
    ) -> None:
        self.name = name
        self._base = base
        self._client = client
        self._deadlines = deadlines
        self._deadline = deadline
        self._breaker = Breaker(now=now)
        self._calls = Bulkhead(calls)
        self._streams = Bulkhead(streams)
        self._budget = RetryBudget()

    def bulkhead(self, *, stream: bool) -> Bulkhead:
        """The compartment of a call; long streams have their own, so they never crowd out the rest."""
        return self._streams if stream else self._calls

    def deadline(self, seconds: float | None = None) -> Deadline:
        """The time a call may take from now, or this many seconds."""
        return self._deadlines.within(seconds or self._deadline)

    async def send(self, request: Request) -> Answer:
        """The answer's head. Raises 502, 503 or `Interrupted`; the caller holds bulkhead and deadline."""
        self._breaker.check()
        self._budget.called()
        retry = 0
        while True:
            try:
                answer = await self._client.send(self._base, request)
            except (NotConnected, Broken) as error:
                if request.interrupted():
                    raise Interrupted from error
                self._breaker.failed()
                retry += 1
                pause = self._budget.pause_before(retry) if _may_repeat(request, error) else None
                if pause is None:
                    raise failure(error) from error
                await asyncio.sleep(pause)
                self._breaker.check()
                continue
            self._breaker.succeeded()
            return answer

    def timed_out(self) -> Refused:
        """Counts a missed deadline and makes the refusal for it."""
        self._breaker.failed()
        return unavailable(504, "upstream_timeout", detail="This part of the platform took too long.")


class Upstreams:
    """All services by name, with the client they share."""

    def __init__(self, client: Client, deadlines: Deadlines, by_name: Mapping[str, Upstream]) -> None:
        self._client = client
        self._deadlines = deadlines
        self._by_name = by_name

    async def start(self) -> None:
        await self._deadlines.start()
        await self._client.start()

    async def stop(self) -> None:
        await self._client.stop()
        await self._deadlines.stop()

    def __getitem__(self, name: str) -> Upstream:
        return self._by_name[name]

    def names(self) -> Sequence[str]:
        return tuple(self._by_name)

    async def fetch(self, name: str, path: str, *, seconds: float = 2.0) -> tuple[int, bytes]:
        """A small answer for the gateway's own use. Raises `Refused` like any call."""
        upstream = self._by_name[name]
        try:
            async with upstream.deadline(seconds):
                answer = await upstream.send(Request("GET", path, ()))
                return answer.status, await answer.read()
        except TimeoutError:
            raise upstream.timed_out() from None
        except Broken as error:
            raise failure(error) from error


def _may_repeat(request: Request, error: Exception) -> bool:
    """A call is repeated when its body was not begun and doing it twice is the same as doing it once."""
    if request.body is None:
        return isinstance(error, NotConnected) or request.method in _IDEMPOTENT
    return isinstance(error, NotConnected) and isinstance(request.body, bytes)


def failure(error: Exception) -> Refused:
    """The refusal for a call that failed."""
    if isinstance(error, NotConnected):
        return unavailable(503, "service_unavailable", detail="This part of the platform is not answering.")
    return unavailable(502, "bad_gateway", detail="This part of the platform broke off its answer.")
